"""The blocks of params.yaml, one frozen pydantic model each; a default lives in params.yaml, never here.

params = parse_params(yaml_text, where="params.yaml")
params.train.learning_rate
"""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML, YAMLError

from ner.errors import ParamsError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
FromList = Field(strict=False)  # a tuple that YAML writes as a list
Name = Annotated[str, Field(min_length=1, pattern=r"^\S(.*\S)?$")]


class Block(BaseModel):
    """One block of params.yaml: immutable, no unknown keys, no coercion of text to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())


class DataParams(Block):
    source: Name


class ModelParams(Block):
    base: Name


class EncodingParams(Block):
    context: Literal["document", "sentence"]
    max_length: Annotated[int, Field(ge=8, le=8192)]
    case: Literal["read", "as_encoder"]


class ValidationParams(Block):
    max_sentence_tokens: Positive
    max_token_chars: Positive
    max_unreadable_tokens: Share
    max_shared_sentences: Share
    max_copied_documents: Share
    max_label_drift: Share
    max_entities_not_kept: Share
    max_ratio_to_profile: Annotated[float, Field(ge=1)]
    max_change_without_entity: Share
    max_new_scripts: Share


Auto = Literal["auto"]
Epochs = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Below1 = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]


class TrainParams(Block):
    """The block `train` as it is written. What is `auto` there, ner/training/recipe.py resolves: a Recipe."""

    epochs: Auto | Epochs
    keep: Literal["auto", "best", "last"]
    patience: Auto | Count
    learning_rate: Auto | Rate
    schedule: Literal["linear", "cosine", "constant_with_warmup"]
    warmup: Auto | Below1
    new_learning_rate: Literal["auto", "same"] | Rate
    layer_decay: Annotated[float, Field(gt=0, le=1)]
    batch_by: Literal["subwords", "windows"]
    batch_size: Auto | Positive
    gradient_accumulation: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    adam_beta1: Below1
    adam_beta2: Below1
    adam_epsilon: Annotated[float, Field(gt=0)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    label_smoothing: Below1
    dropout: Literal["auto", "encoder"] | Below1
    sentences_alone: Auto | Share
    dropped_layers: Auto | Count
    frozen_layers: Count
    frozen_embeddings: Auto | bool
    seed: Seed
    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    compile: bool
    processes: Positive
    checkpoints: Positive


class Recipe(TrainParams):
    """The block `train` with a value for each key."""

    epochs: Epochs
    keep: Literal["best", "last"]
    patience: Count
    learning_rate: Rate
    warmup: Below1
    new_learning_rate: Literal["same"] | Rate
    batch_size: Positive
    dropout: Literal["encoder"] | Below1
    sentences_alone: Share
    dropped_layers: Count
    frozen_embeddings: bool


class PredictionParams(Block):
    batch_subwords: Literal["auto"] | Positive
    precision: Literal["auto", "fp32", "bf16"]
    overlap: Annotated[int, Field(ge=0)]


class EvaluationParams(Block):
    resamples: Annotated[int, Field(ge=100, le=100_000)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed
    corrected_test: Name | None


class SplitParams(Block):
    """Cross-validation. folds: 0 for none."""

    folds: Annotated[int, Field(ge=0)]
    seed: Seed

    @field_validator("folds")
    @classmethod
    def _divides(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("0 (no cross-validation), or 2 or more")
        return folds


class SeedsParams(Block):
    extra: Annotated[tuple[Seed, ...], FromList]


class GateParams(Block):
    min_f1: Share
    min_f1_on: Literal["point", "lower_bound"]
    min_f1_each_type: Share
    min_f1_per_type: dict[str, Share]
    max_f1_loss_to_champion: Share
    champion_predicts: bool
    max_shared_sentences: Share
    max_words_without_prediction: Annotated[int, Field(ge=0)]


class ExportParams(Block):
    formats: Annotated[tuple[Literal["onnx", "onnx-int8"], ...], FromList]
    max_f1_loss: Share


class Range(Block):
    """From low to high, both included. log: as many small values as large ones; step: of whole steps from low on."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def _is_range(self) -> "Range":
        if not self.low < self.high or (self.log and (self.low <= 0 or self.step is not None)):
            raise ValueError("low under high, and with log a low over 0 and no step")
        return self


Choices = Annotated[tuple[int | float | str, ...], Field(min_length=1), FromList]
Dimension = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("values")],
    Discriminator(lambda value: "range" if isinstance(value, dict | Range) else "values"),
]
_KIND = re.compile(r"literal\[.*\]|constrained-\w+|bool|int|float")  # in the path of an error: of a key's several kinds


def refusal(block: type[Block], key: str, value: Any) -> str | None:
    """Return what a key of a block needs, where it does not take the value."""
    try:
        TypeAdapter(block.model_fields[key].rebuild_annotation(), config=ConfigDict(strict=True)).validate_python(value)
    except ValidationError as error:
        return str(error.errors()[-1]["msg"]).removeprefix("Input should be ")
    return None


class SweepSpace(Block):
    """The search space of `ner sweep`: keys of `train` and `encoding`, each with a Range or the values to try."""

    train: dict[str, Dimension]
    encoding: dict[str, Dimension]


class SweepParams(Block):
    trials: Positive
    startup_trials: Positive
    min_epochs: Positive
    seed: Seed
    train_documents: Positive | None
    validation_documents: Positive | None
    space: SweepSpace


class RegistryParams(Block):
    model: Annotated[str, Field(min_length=1, max_length=255)]
    experiment: Annotated[Name, Field(max_length=255)]

    @field_validator("model")
    @classmethod
    def _has_an_address(cls, name: str) -> str:
        """Refuse a name that MLflow does not register, or does not find again by `models:/<name>@champion`."""
        if wrong := sorted({c for c in name if c in "/:.%\"'?@" or c.isspace() or not c.isprintable()}):
            raise ValueError(f"a name that MLflow can register and load, without {' '.join(map(ascii, wrong))}")
        return name


class LimitsParams(Block):
    """Time limits and retries of stages in the flow. No stage depends on it, and `dvc repro` does not use it."""

    stage_minutes: Annotated[float, Field(gt=0)]
    stage_minutes_of: dict[str, Annotated[float, Field(gt=0)]]
    retry_after_s: list[Annotated[int, Field(ge=0)]]
    taken_up: Annotated[int, Field(ge=0)]

    def minutes(self, stage: str) -> float:
        """Return how many minutes that stage may take."""
        return self.stage_minutes_of.get(stage, self.stage_minutes)


class MonitorParams(Block):
    """What prediction logs, when a window counts as drifted, and when that starts a training."""

    keep: Literal["nothing", "numbers", "text"]
    max_mb: Annotated[float, Field(gt=0)]
    window: Annotated[int, Field(ge=20)]
    block_tokens: Positive
    false_alarms: Annotated[float, Field(gt=0, lt=0.5)]
    min_effect: Share
    margin: Annotated[float, Field(ge=1, le=10)]
    resamples: Annotated[int, Field(ge=200, le=100_000)]
    seed: Seed
    windows_in_a_row: Positive
    labelled: Name | None
    min_new_documents: Positive


class Params(Block):
    """All of params.yaml."""

    data: DataParams
    model: ModelParams
    encoding: EncodingParams
    validation: ValidationParams
    train: TrainParams
    prediction: PredictionParams
    evaluation: EvaluationParams
    split: SplitParams
    seeds: SeedsParams
    gate: GateParams
    export: ExportParams
    registry: RegistryParams
    monitor: MonitorParams
    sweep: SweepParams
    limits: LimitsParams


def parse_params(text: str, where: str = "params.yaml") -> Params:
    """Parse and check the whole file at once."""
    return check_params(read_blocks(text, where), where)


def read_blocks(text: str, where: str = "params.yaml") -> dict[str, Any]:
    """Return the nested dicts of the file, not checked yet. Raises ParamsError where it is no YAML with blocks."""
    try:
        tree = read_yaml(text)
    except YAMLError as error:
        raise ParamsError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(tree, dict):
        raise ParamsError(f"{where} holds no blocks; it needs {', '.join(Params.model_fields)}.")
    return tree


def read_yaml(text: str) -> Any:
    """Parse YAML 1.2, as DVC does: 5e-05, which `dvc exp run -S` writes, is a number. Raises ruamel's YAMLError."""
    return YAML(typ="safe", pure=True).load(text)


def check_params(tree: dict[str, Any], where: str = "params.yaml") -> Params:
    """Build Params from nested dicts. Raises ParamsError as parse_params does."""
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        problems: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
        for problem in error.errors():
            *path, last = problem["loc"] or ("",)  # a key that takes several kinds has a problem with each of them
            problems.setdefault((*path,) if _KIND.fullmatch(str(last)) else (*path, last), []).append(problem)
        raise ParamsError(f"{where}: " + "; ".join(_sentence(*key) for key in problems.items()) + ".") from None
    if params.split.folds and (conflict := _conflict(params)):
        raise ParamsError(f"{where}, {conflict}.")
    return params


def _conflict(params: Params) -> str | None:
    """Return what does not go with cross-validation, and what to do."""
    if params.train.processes > 1:
        return f"train.processes: folds are trained in one process; write 1 (it is {params.train.processes})"
    if params.seeds.extra:
        return "seeds.extra: with split.folds no document is left to score another seed on; write []"
    if params.export.formats:
        return (
            "export.formats: with split.folds the model has learnt all documents that an export would be judged on; "
            "write []"
        )
    return None


def override(tree: dict[str, Any], changes: dict[str, dict[str, Any]], where: str) -> dict[str, Any]:
    """Return a copy of nested params with `changes` (block, then key) laid over it, checked whole."""
    merged = {block: dict(values) for block, values in tree.items()}
    for block, values in changes.items():
        merged[block] = {**merged.get(block, {}), **values}
    check_params(merged, where)
    return merged


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {'train': {'seed': 42}} as {'train.seed': 42}; an empty dict stays a value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _sentence(loc: tuple[Any, ...], problems: list[Mapping[str, Any]]) -> str:
    *parents, key = map(str, loc)
    path, problem = ".".join([*parents, key]), problems[0]
    if problem["type"] == "extra_forbidden":
        return f"unknown key {path!r}{_guess(parents, key)}"
    if problem["type"] == "missing":
        return f"the key {path!r} is missing"
    needs = [each["msg"].removeprefix("Input should be ").removeprefix("Value error, ") for each in problems]
    return f"{path} is {problem['input']!r}, need {', or '.join(reversed(needs))}"


def _guess(parents: list[str], key: str) -> str:
    fields: Any = Params.model_fields
    for parent in parents:
        fields = getattr(fields[parent].annotation, "model_fields", {}) if parent in fields else {}
    near = difflib.get_close_matches(key, list(fields), n=1)
    known = ", ".join(fields)
    return f" (did you mean {near[0]!r}?)" if near else f" (known: {known})" if known else ""
