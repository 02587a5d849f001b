"""Entities counted by three readers, so that the counts of the parts of a corpus add up to those of the whole.

    counted = tally(gold, predicted) + tally(more_gold, more_predicted)
    ways = ways_of(counted)                              # ner.three_ways: the rates

Entities are read by seqeval itself: by `get_entities`, which its default mode counts, and by `Entities` of IOB2, which
its strict mode counts. Its own scores of a corpus need all of it at once; a test holds the rates of these counts to
them. Source: Nakayama, seqeval 1.2.2 (`seqeval/metrics/sequence_labeling.py`, `seqeval/scheme.py`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Entities

from ner import conlleval
from ner.conlleval import ChunkScores, Counts, Tags, add_types

TagTuple = tuple[str, ...]
Entity = tuple[str, int, int]  # type, then what tells it from others of its sentence


@dataclass(frozen=True)
class Tally:
    """Counts by entity type, as each of the three ways of ner.three_ways has them; types in alphabetical order."""

    default: dict[str, Counts] = field(default_factory=dict)
    strict: dict[str, Counts] = field(default_factory=dict)
    conlleval: ChunkScores = field(default_factory=ChunkScores)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            add_types(self.default, other.default),
            add_types(self.strict, other.strict),
            self.conlleval + other.conlleval,
        )


def tally(gold: Tags, predicted: Tags) -> Tally:
    """Count the entities of some sentences. gold, predicted: tags of each, orphans allowed.

    Raises TagError for a tag that is no IOB2 tag, CorpusError where lengths differ.
    """
    counted = conlleval.count(gold, predicted)
    pairs = Counter(zip(map(tuple, gold), map(tuple, predicted), strict=True))
    return Tally(_count(pairs, _default), _count(pairs, _strict), counted)


def _default(tags: TagTuple) -> set[Entity]:
    return set(get_entities(list(tags)))


def _strict(tags: TagTuple) -> set[Entity]:
    (entities,) = Entities([list(tags)], IOB2).entities
    return {(entity.tag, entity.start, entity.end) for entity in entities}


def _count(
    pairs: Mapping[tuple[TagTuple, TagTuple], int], read: Callable[[TagTuple], set[Entity]]
) -> dict[str, Counts]:
    """Counts by type. Equal sentences are read once: many have the same tags, and most predictions are right."""
    entities = {tags: read(tags) for tags in dict.fromkeys(tags for pair in pairs for tags in pair)}
    in_gold, in_predicted, in_both = Counter(), Counter(), Counter()
    for (gold, predicted), times in pairs.items():
        _add(in_gold, entities[gold], times)
        _add(in_predicted, entities[predicted], times)
        _add(in_both, entities[gold] & entities[predicted], times)
    return {
        name: Counts(in_gold[name], in_predicted[name], in_both[name]) for name in sorted({*in_gold, *in_predicted})
    }


def _add(counts: Counter[str], entities: Iterable[Entity], times: int) -> None:
    for name, _, _ in entities:
        counts[name] += times
