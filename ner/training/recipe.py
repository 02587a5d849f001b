"""The recipe of a training: each key of the block `train` that says `auto`, chosen by the corpus and the encoder.

recipe, choices = resolve(params.train, corpus, encoder)    # facts of both: ner/training/recipe_facts.py
print(table(choices))                                       # key, value, why

What params.yaml says itself wins, then what the encoder's entry in catalog.yaml says, then the rules here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, NamedTuple

from ner.common.tables import plain_table
from ner.params import Recipe, TrainParams

AUTO = "auto"
WRITTEN = "as params.yaml says"
KNOWN = "as catalog.yaml says of this encoder"
ENOUGH = 200_000  # subwords that are read once; of fewer, some are read again
SLOWER = 0.75  # the power of that: a corpus of half the size is read 1.7 times as often, not twice
MOST_EPOCHS = 40
SMALL = 20_000  # subwords; under it a step reads half as many, so that there are steps enough
FEW_EPOCHS = 3  # up to so many the last weights are kept, and the encoder needs no dropout
RATE, WIDTH = 5e-5, 768  # learning rate of an encoder of that hidden size; narrower ones take more, wider ones less


@dataclass(frozen=True)
class CorpusFacts:
    """Facts of a prepared corpus. documents: in which sentences share windows; entities: of training, by type.

    too_long: training sentences that one window does not hold; longest: subwords of the longest of them.
    """

    documents: int
    sentences: int
    subwords: int
    entities: Mapping[str, int]
    validation_entities: int
    too_long: int = 0
    longest: int = 0

    @property
    def without_example(self) -> list[str]:
        """Types of the corpus that its training split has no entity of."""
        return [name for name, count in self.entities.items() if not count]


@dataclass(frozen=True)
class EncoderFacts:
    """Facts of an encoder. known: what its entry in catalog.yaml says under `recipe`; None: its files do not say."""

    architecture: str
    layers: int | None
    hidden_size: int | None
    parameters: int
    known: Mapping[str, Any] = field(default_factory=dict)


class Choice(NamedTuple):
    key: str
    value: Any
    why: str


Rule = Callable[[Mapping[str, Any], CorpusFacts, EncoderFacts], tuple[Any, str]]


def resolve(written: TrainParams, corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[Recipe, list[Choice]]:
    """Return the block `train` with a value for each key, and why each that may be `auto` has it."""
    values, choices = written.model_dump(), []
    for key, rule in RULES.items():
        if values[key] != AUTO:
            value, why = values[key], WRITTEN
        elif key in encoder.known and key != "dropped_layers":
            value, why = encoder.known[key], KNOWN
        else:
            value, why = rule(values, corpus, encoder)
        values[key] = value
        choices.append(Choice(key, value, why))
    return Recipe.model_validate(values), choices


def table(choices: Sequence[Choice]) -> str:
    """Return the recipe as it is printed when a training starts."""
    rows = [[choice.key, f"{choice.value:g}" if type(choice.value) is float else str(choice.value), choice.why]
            for choice in choices]  # fmt: skip
    return plain_table([["recipe", "value", "why"], *rows], "lrl")


def for_all(recipe: Recipe, choices: Sequence[Choice], folds: Mapping[str, Any]) -> tuple[Recipe, list[Choice]]:
    """Return the recipe of the last training after a cross-validation, on all documents. folds: of stage `folds`."""
    values = {
        "epochs": (float(folds["epochs"]), f"the median of the best epochs of {folds['folds']} folds"),
        "keep": ("last", "it trains on all documents, so that none is left to judge an epoch by"),
        "patience": (0, "no early stopping, for the same reason"),
    }
    changed = [Choice(choice.key, *values.get(choice.key, choice[1:])) for choice in choices]
    return recipe.model_copy(update={key: value for key, (value, _) in values.items()}), changed


def problems(corpus: CorpusFacts) -> list[str]:
    """Return what no recipe mends, a sentence each."""
    sentences = []
    if corpus.without_example:
        sentences.append(
            f"the training split has no entity of {', '.join(corpus.without_example)}, which cannot be learnt: "
            "annotate some, or leave the type out (`types` of the corpus in catalog.yaml)."
        )
    if not corpus.validation_entities:
        sentences.append("the validation split has no entity: no epoch can be judged by F1, and the gate will fail.")
    return sentences


def notes(corpus: CorpusFacts, max_length: int) -> list[str]:
    """Return what is worth knowing of the corpus beside the recipe, a sentence each."""
    if not corpus.too_long:
        return []
    return [
        f"{corpus.too_long:,} of {corpus.sentences:,} training sentences are longer than a window (encoding.max_length "
        f"{max_length}; the longest has {corpus.longest:,} subwords): each is read in several windows that overlap."
    ]


def _batch_size(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[int, str]:
    if values["batch_by"] == "windows":
        return 8, "windows a step"
    if corpus.subwords < SMALL:
        return 128, f"{corpus.subwords:,} subwords of training are few: more steps, of fewer subwords"
    return 256, "subwords a step"


def _epochs(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[float, str]:
    again = (ENOUGH / max(1, corpus.subwords)) ** SLOWER
    epochs = float(min(MOST_EPOCHS, max(1, round(again))))
    if epochs == 1:
        return epochs, f"{corpus.subwords:,} subwords of training are enough to be read once"
    steps = f", about {epochs * corpus.subwords / values['batch_size']:,.0f} steps"
    return epochs, f"{corpus.subwords:,} subwords of training are few" + steps * (values["batch_by"] == "subwords")


def _keep(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[str, str]:
    if values["epochs"] <= FEW_EPOCHS:
        return "last", f"up to {FEW_EPOCHS} epochs the learning rate has come down only at the end"
    if not corpus.validation_entities:
        return "last", "validation has no entity to judge an epoch by"
    return "best", f"of {values['epochs']:g} epochs, the one with the best F1 on validation"


def _patience(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[int, str]:
    if values["keep"] == "last":
        return 0, "no early stopping where the last weights are kept"
    return max(3, ceil(values["epochs"] / 3)), "epochs without a better one, then the training ends"


def _dropout(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[Any, str]:
    if values["epochs"] <= FEW_EPOCHS:
        return 0.0, "what is read so seldom is not learnt by heart"
    return "encoder", "as it was pretrained, since the corpus is read many times"


def _learning_rate(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[float, str]:
    if encoder.hidden_size is None:
        return RATE, "usual; the encoder's files do not say how large it is"
    rate = float(f"{min(1e-2, max(1e-5, RATE * (WIDTH / encoder.hidden_size) ** 1.5)):.0e}")
    size = f"{encoder.architecture}, hidden size {encoder.hidden_size}, {encoder.parameters / 1e6:.0f} M parameters"
    return rate, f"by its size, as catalog.yaml does not describe it ({size})"


def _new_learning_rate(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[float, str]:
    return max(1e-3, values["learning_rate"]), "head and vectors of upper case start from nothing"


def _dropped_layers(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[int, str]:
    known, room = encoder.known.get("dropped_layers", 0), (encoder.layers or 1) - values["frozen_layers"] - 1
    if known > room:
        return max(0, room), f"{KNOWN}: {known}, of which frozen_layers leaves so many"
    return known, KNOWN if known else "all layers: which of them could be spared is not known"


def _sentences_alone(values: Mapping[str, Any], corpus: CorpusFacts, encoder: EncoderFacts) -> tuple[float, str]:
    if corpus.documents == corpus.sentences:
        return 0.0, "no sentence has neighbours in its window"
    return 0.25, "the model is to read single sentences too"


RULES: dict[str, Rule] = {  # each may look at the values of those before it
    "batch_size": _batch_size,
    "epochs": _epochs,
    "keep": _keep,
    "patience": _patience,
    "dropout": _dropout,
    "warmup": lambda *_: (0.1, "a tenth of the steps"),
    "learning_rate": _learning_rate,
    "new_learning_rate": _new_learning_rate,
    "dropped_layers": _dropped_layers,
    "frozen_embeddings": lambda *_: (True, "saves time and memory; words that training lacks stay where they are"),
    "sentences_alone": _sentences_alone,
}
