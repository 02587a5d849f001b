"""experiments.yaml: what everything is compared with, and the ideas, each a few values of params.yaml.

file = read_experiments(Path("experiments.yaml"))
for one in planned(file, read_blocks(params_text)):        # one.name, one.seed, one.params
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAMLError

from ner.errors import ParamsError
from ner.params import Block, Name, Params, Positive, Seed, Share, check_params, override, read_yaml

EXPERIMENTS = Path("experiments.yaml")
BASELINE = "baseline"
BLOCKS = ("model", "encoding", "train", "prediction")  # what an experiment may change: the data stay the same
NOT_SET = {"train": ("seed", "processes")}  # seeds are named apart; experiments train in one process

Changes = dict[str, dict[str, Any]]  # block, key, value
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, strict=False)]
IdeaName = Annotated[str, Field(pattern=r"^[\w.+-]+$", max_length=60)]


class Baseline(Block):
    """What the ideas are laid over. *_documents: so many, drawn by `seed`, instead of all."""

    changes: Changes = Field(alias="set")
    train_documents: Positive | None
    validation_documents: Positive | None
    seed: Seed


class TechniqueParams(Block):
    """Of tasks/techniques.py: ways of training that params.yaml has no key for; None: not done."""

    fresh_layers: Positive | None = None
    lora_rank: Positive | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    averaged_from: Share | None = None
    late_layers: Positive | None = None

    @model_validator(mode="after")
    def _agree(self) -> "TechniqueParams":
        if self.ema_decay is not None and self.averaged_from is not None:
            raise ValueError("ema_decay or averaged_from, not both: one model is kept")
        return self


class Idea(Block):
    """A name, why it might help, what it changes, and the seeds that it is trained with (all by default).

    changes: values of params.yaml. technique: what params.yaml has no key for. taught_by: seeds of the baseline whose
    models teach this one (tasks/teaching.py), which may change values of the block train, but reads as they do.
    votes_with: seeds of the baseline whose models' probabilities are averaged with those of this seed's, which is the
    baseline's model: trained as it is, predicted together.
    """

    name: IdeaName
    why: Name
    changes: Changes = Field(alias="set", default={})
    technique: TechniqueParams | None = None
    taught_by: Seeds | None = None
    votes_with: Seeds | None = None
    seeds: Seeds | None = None

    @model_validator(mode="after")
    def _agree(self) -> "Idea":
        has_technique = bool(self.technique and self.technique.model_fields_set)
        is_taught, votes = self.taught_by is not None, self.votes_with is not None
        if not (self.changes or has_technique or is_taught or votes):
            raise ValueError("values under set, a technique, or seeds under taught_by or votes_with")
        readable = {"train"} if is_taught else set()  # by its teachers, whatever of that block it changes
        if (is_taught and votes) or ((is_taught or votes) and (has_technique or set(self.changes) - readable)):
            raise ValueError("taught_by with values of the block train at most, and votes_with alone")
        return self


class Experiments(Block):
    """All of experiments.yaml."""

    baseline: Baseline
    seeds: Seeds
    ideas: Annotated[tuple[Idea, ...], Field(strict=False)]

    @model_validator(mode="after")
    def _agree(self) -> "Experiments":
        names = [BASELINE, *(idea.name for idea in self.ideas)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"another name for every idea; {', '.join(twice)} stands there more than once")
        for name, seeds in [("seeds", self.seeds), *((idea.name, idea.seeds or ()) for idea in self.ideas)]:
            if len(set(seeds)) < len(seeds) or not set(seeds) <= set(self.seeds):
                raise ValueError(f"each seed once, and for an idea some of those of the baseline; {name} has others")
        for idea in self.ideas:
            others = (*(idea.taught_by or ()), *(idea.votes_with or ()))
            if set(others) & set(idea.seeds or self.seeds) or len(set(others)) < len(others):
                raise ValueError(
                    f"other seeds than its own, each once, under taught_by and votes_with; not so {idea.name}"
                )
        return self


class Experiment(NamedTuple):
    """One training: an idea, or the baseline, with one seed."""

    name: str
    seed: int
    params: Params
    below: Params  # of the baseline
    technique: TechniqueParams | None = None
    taught_by: tuple[int, ...] = ()
    votes_with: tuple[int, ...] = ()

    def others(self) -> list["Experiment"]:
        """The trainings of the baseline that this one needs: its teachers, or those that it votes with."""
        return [self.of_baseline(seed) for seed in (*self.taught_by, *self.votes_with)]

    def of_baseline(self, seed: int) -> "Experiment":
        """The baseline's training with a seed."""
        params = self.below.model_copy(update={"train": self.below.train.model_copy(update={"seed": seed})})
        return Experiment(BASELINE, seed, params, self.below)


def read_experiments(path: Path = EXPERIMENTS) -> Experiments:
    """Raises ParamsError that names every wrong key."""
    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} is not here: run from the root of the repository.") from None
    except YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    try:
        return Experiments.model_validate(tree)
    except ValidationError as error:
        raise ParamsError(f"{path}: {'; '.join(_sentence(problem) for problem in error.errors())}.") from None


def planned(file: Experiments, tree: dict[str, Any], where: str = str(EXPERIMENTS)) -> list[Experiment]:
    """Every training, seed by seed, so that a first table is there early. tree: the blocks of params.yaml.

    Raises ParamsError for keys that params.yaml does not have, values out of range, and what no idea may change.
    """
    below = _laid_over(tree, file.baseline.changes, f"{where}, {BASELINE}")
    trees = {BASELINE: below}
    trees |= {idea.name: _laid_over(below, idea.changes, f"{where}, idea {idea.name}") for idea in file.ideas}
    seeds = {BASELINE: file.seeds, **{idea.name: idea.seeds or file.seeds for idea in file.ideas}}
    ideas = {idea.name: idea for idea in file.ideas}
    baseline = check_params(below, where)
    more = {
        name: (idea.technique, tuple(idea.taught_by or ()), tuple(idea.votes_with or ()))
        for name, idea in ideas.items()
    }
    plan = [
        Experiment(
            name,
            seed,
            check_params(override(trees[name], {"train": {"seed": seed}}, where), where),
            baseline,
            *more.get(name, ()),
        )
        for seed in file.seeds
        for name in trees
        if seed in seeds[name]
    ]
    for one in plan:
        if one.taught_by and one.params.train.gradient_accumulation > 1:
            raise ParamsError(f"{where}, idea {one.name}: with taught_by train.gradient_accumulation has to be 1.")
    return plan


def _laid_over(tree: dict[str, Any], changes: Mapping[str, Mapping[str, Any]], where: str) -> dict[str, Any]:
    for block, keys in changes.items():
        if block not in BLOCKS and block in Params.model_fields:
            raise ParamsError(f"{where}: the block {block} stays as it is; {', '.join(BLOCKS)} may be changed.")
        for key in NOT_SET.get(block, ()):
            if key in keys:
                raise ParamsError(f"{where}: {block}.{key} is not set here (seeds has the seeds, processes stay 1).")
    merged = override(tree, {block: dict(keys) for block, keys in changes.items()}, where)
    if merged["train"]["processes"] > 1:
        raise ParamsError("params.yaml, train.processes: experiments train in one process; set it to 1.")
    return merged


def _sentence(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] in ("extra_forbidden", "missing"):
        return f"the key {path} is {'unknown' if problem['type'] == 'extra_forbidden' else 'missing'}"
    message = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{path}: need {message}" if path else f"need {message}"
