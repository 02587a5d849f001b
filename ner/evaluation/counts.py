"""Counts of gold, predicted and correct entities by seqeval, in its default and its strict mode.

    counts = count(gold, predicted) + count(more_gold, more_predicted)      # of parts: those of the whole
    counts.default["PER"].f1, counts.strict["PER"].f1, counts.accuracy

default  `get_entities`, which seqeval's default mode counts. An I- tag that continues no entity of its type (an orphan)
         starts one. conlleval reads the same for every sequence of O, B-TYPE and I-TYPE; tests compare the two.
strict   `Entities` of IOB2, which seqeval's strict mode counts: an orphan and what continues it are no entity.
Source: Nakayama, seqeval 1.2.2 (`seqeval/metrics/sequence_labeling.py`, `seqeval/scheme.py`); Tjong Kim Sang and
Buchholz, CoNLL-2000 (W00-0726).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from ner.errors import CorpusError
from ner.tags import Span, split_tag

Tags = Sequence[Sequence[str]]
MEMORY = 1 << 15  # sequences of tags whose entities are remembered: many sentences have the same tags


@dataclass(frozen=True)
class Counts:
    """The number of entities in the gold tags, in the predicted ones, and in both; of nothing a rate is 0."""

    gold: int = 0
    predicted: int = 0
    correct: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.gold + other.gold, self.predicted + other.predicted, self.correct + other.correct)

    @property
    def precision(self) -> float:
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        # Out of the two rates, as seqeval has it: out of the counts it could differ in the last digit.
        precision, recall = self.precision, self.recall
        return 2 * precision * recall / (precision + recall) if self.correct else 0.0


@dataclass(frozen=True)
class EntityCounts:
    """Tokens, tokens with the right tag, and entities by type in each mode; types in the order of code points."""

    tokens: int = 0
    correct_tokens: int = 0
    default: dict[str, Counts] = field(default_factory=dict)
    strict: dict[str, Counts] = field(default_factory=dict)

    def __add__(self, other: "EntityCounts") -> "EntityCounts":
        return EntityCounts(
            self.tokens + other.tokens,
            self.correct_tokens + other.correct_tokens,
            _add_types(self.default, other.default),
            _add_types(self.strict, other.strict),
        )

    @property
    def accuracy(self) -> float:
        return self.correct_tokens / self.tokens if self.tokens else 0.0


class Readings(NamedTuple):
    """The entities of one sentence in each mode, in order."""

    default: tuple[Span, ...]
    strict: tuple[Span, ...]


@lru_cache(MEMORY)
def read_entities(tags: tuple[str, ...]) -> Readings:
    """Return the entities of one sentence in both modes. Raises TagError for a tag that is no IOB2 tag."""
    for tag in set(tags):
        split_tag(tag)
    (strict,) = Entities([list(tags)], IOB2).entities
    return Readings(
        tuple(Span(first, last + 1, name) for name, first, last in get_entities(list(tags))),
        tuple(Span(entity.start, entity.end, entity.tag) for entity in strict),
    )


def count(gold: Tags, predicted: Tags) -> EntityCounts:
    """Count tokens and entities. gold, predicted: tags of each sentence, orphan I- tags allowed on both sides.

    Raises TagError for a tag that is no IOB2 tag, CorpusError where lengths differ.
    """
    if len(gold) != len(predicted):
        raise CorpusError(
            f"{len(gold)} sentences of gold tags, {len(predicted)} of predicted tags: both must hold every one"
        )
    for index, (gold_tags, others) in enumerate(zip(gold, predicted, strict=True)):
        if len(gold_tags) != len(others):
            raise CorpusError(
                f"sentence {index}: {len(gold_tags)} gold tags, {len(others)} predicted tags: a token needs one of each"
            )
    tokens = correct_tokens = 0
    sums: list[tuple[Counter[str], ...]] = [(Counter(), Counter(), Counter()) for _ in Readings._fields]
    for (ours, theirs), times in Counter(zip(map(tuple, gold), map(tuple, predicted), strict=True)).items():
        tokens += times * len(ours)
        correct_tokens += times * sum(map(str.__eq__, ours, theirs))
        for counters, own, other in zip(sums, read_entities(ours), read_entities(theirs), strict=True):
            for counter, spans in zip(counters, (own, other, set(own).intersection(other)), strict=True):
                for span in spans:
                    counter[span.type] += times
    return EntityCounts(tokens, correct_tokens, *(_by_type(*counters) for counters in sums))


def _by_type(gold: Counter[str], predicted: Counter[str], correct: Counter[str]) -> dict[str, Counts]:
    return {name: Counts(gold[name], predicted[name], correct[name]) for name in sorted({*gold, *predicted})}


def _add_types(first: dict[str, Counts], other: dict[str, Counts]) -> dict[str, Counts]:
    none = Counts()
    return {name: first.get(name, none) + other.get(name, none) for name in sorted({*first, *other})}
