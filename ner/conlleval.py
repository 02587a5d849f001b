"""Entity scores by conlleval's own definition, and the report that the script of that name prints.

An entity is correct where its first token, its last token and its type are those of a gold entity. Entities are read as
the script reads them: an I- tag that continues no entity of its type starts one, and a sentence's end is an entity's.
Nothing here uses seqeval, so that the two can be held against each other (`ner.three_ways`). Our own code; the tests
compare it with the output of the script, version 2004-01-26.
Source: Tjong Kim Sang and Buchholz, CoNLL-2000 (W00-0726); Tjong Kim Sang and De Meulder, CoNLL-2003 (W03-0419).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ner.errors import CorpusError, TagError
from ner.tags import tags_to_spans

Tags = Sequence[Sequence[str]]

BOUNDARY = "-X-"  # a word that the script takes for the end of a sentence


@dataclass(frozen=True)
class Counts:
    """Entities in the gold tags, in the predicted ones, and in both; the rates lie in 0 to 1, and x / 0 is 0."""

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
        return 2 * self.correct / (self.gold + self.predicted) if self.correct else 0.0


@dataclass(frozen=True)
class ChunkScores:
    """What conlleval counts: tokens, tokens with the right tag, entities of each type; parts add up."""

    tokens: int = 0
    correct_tokens: int = 0
    per_type: dict[str, Counts] = field(default_factory=dict)  # in alphabetical order (of code points)

    def __add__(self, other: "ChunkScores") -> "ChunkScores":
        per_type = add_types(self.per_type, other.per_type)
        return ChunkScores(self.tokens + other.tokens, self.correct_tokens + other.correct_tokens, per_type)

    @property
    def overall(self) -> Counts:
        """Entities of all types."""
        return sum(self.per_type.values(), Counts())

    @property
    def accuracy(self) -> float:
        return self.correct_tokens / self.tokens if self.tokens else 0.0


def count(gold: Tags, predicted: Tags) -> ChunkScores:
    """Count as conlleval does.

    gold, predicted: IOB2-like tags of each sentence; orphans (I- tags that continue nothing) are allowed on both sides.
    Raises TagError for a tag that is no IOB2 tag, CorpusError where the two differ in length.
    """
    check_lengths(gold, predicted)
    in_gold, in_predicted, in_both = Counter(), Counter(), Counter()
    tokens = correct_tokens = 0
    for gold_tags, predicted_tags in zip(gold, predicted, strict=True):
        gold_spans, predicted_spans = tags_to_spans(gold_tags), tags_to_spans(predicted_tags)
        in_gold.update(span.type for span in gold_spans)
        in_predicted.update(span.type for span in predicted_spans)
        in_both.update(span.type for span in set(gold_spans).intersection(predicted_spans))
        tokens += len(gold_tags)
        correct_tokens += sum(map(str.__eq__, gold_tags, predicted_tags))
    types = sorted(in_gold.keys() | in_predicted.keys())
    return ChunkScores(
        tokens=tokens,
        correct_tokens=correct_tokens,
        per_type={name: Counts(in_gold[name], in_predicted[name], in_both[name]) for name in types},
    )


def add_types(one: dict[str, Counts], other: dict[str, Counts]) -> dict[str, Counts]:
    """The sums of the counts by type, types in alphabetical order."""
    none = Counts()
    return {name: one.get(name, none) + other.get(name, none) for name in sorted({*one, *other})}


def report(scores: ChunkScores) -> str:
    """The text that conlleval prints for these counts, percents and all; in UTF-8 it is the same byte for byte.

    A line of a type ends with the number of its *predicted* entities. No line of rates is printed without tokens.
    """
    all_types = scores.overall
    lines = [
        f"processed {scores.tokens} tokens with {all_types.gold} phrases; "
        f"found: {all_types.predicted} phrases; correct: {all_types.correct}."
    ]
    if scores.tokens:
        accuracy = _percent(scores.correct_tokens, scores.tokens)
        lines.append(f"accuracy: {accuracy:6.2f}%; {_rates(all_types)}")
    for name, counts in _lines_of_types(scores.per_type):
        padding = " " * (17 - len(name.encode()))  # the script pads bytes, not characters
        lines.append(f"{padding}{name}: {_rates(counts)}  {counts.predicted}")
    return "\n".join(lines) + "\n"


def to_columns(tokens: Tags, gold: Tags, predicted: Tags) -> str:
    """The columns that conlleval reads: word, gold tag, predicted tag; a blank line after every sentence.

    Words only stand for themselves there, so those that would disturb the columns are written otherwise: "_" for white
    space and for an empty word, "_X_" for -X-. Raises TagError for a tag with a space or a line break in it,
    CorpusError where lengths differ.
    """
    check_lengths(gold, predicted)
    check_lengths(gold, tokens, "tokens")
    lines: list[str] = []
    for words, *tags in zip(tokens, gold, predicted, strict=True):
        for word, gold_tag, predicted_tag in zip(words, *tags, strict=True):
            for tag in (gold_tag, predicted_tag):
                if not tag or " " in tag or "\n" in tag:
                    raise TagError(f"tag {tag!r} fits no column: conlleval's columns are parted by single spaces")
            lines.append(f"{_word(word)} {gold_tag} {predicted_tag}\n")
        lines.append("\n")
    return "".join(lines)


def check_lengths(gold: Tags, other: Tags, what: str = "predicted tags") -> None:
    """Raise CorpusError unless there is one of `other` for every gold tag."""
    if len(gold) != len(other):
        raise CorpusError(f"{len(gold)} sentences of gold tags, {len(other)} of {what}: both must hold every sentence")
    for index, (gold_tags, others) in enumerate(zip(gold, other, strict=True)):
        if len(gold_tags) != len(others):
            raise CorpusError(
                f"sentence {index}: {len(gold_tags)} gold tags, {len(others)} {what}: give every token one of each"
            )


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _rates(counts: Counts) -> str:
    # Counted in percents from the start, as the script does: other roundings could differ in the last digit.
    precision, recall = _percent(counts.correct, counts.predicted), _percent(counts.correct, counts.gold)
    f1 = 2 * precision * recall / (precision + recall) if counts.correct else 0.0
    return f"precision: {precision:6.2f}%; recall: {recall:6.2f}%; FB1: {f1:6.2f}"


def _lines_of_types(per_type: dict[str, Counts]) -> Iterator[tuple[str, Counts]]:
    """Name and counts of each line. "0" is false in Perl, so the script prints that type without its name, before all
    others, and twice where gold and prediction both have it."""
    nameless = per_type.get("0")
    if nameless:
        yield from [("", nameless)] * (2 if nameless.gold and nameless.predicted else 1)
    yield from ((name, counts) for name, counts in per_type.items() if name != "0")


def _word(token: str) -> str:
    word = "_".join(token.split()) or "_"
    return word.replace("-", "_") if word == BOUNDARY else word
