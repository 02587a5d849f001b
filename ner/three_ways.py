"""One prediction scored three ways side by side, and the sentences in which the ways part.

default    seqeval's default mode
strict     seqeval's mode="strict" with scheme=IOB2
conlleval  conlleval's own definition, counted by `ner.conlleval` without seqeval

Default and conlleval count the same entities for every sequence of O, B-TYPE and I-TYPE (searched with random tags and
type names: no exception). They part only on paper: the script prints the type "0" without its name, as "0" is false in
Perl. Strict differs from both in two ways, and `differences` explains each:
- an orphan, an I- tag that continues no entity of its type, starts an entity in default and conlleval; strict skips it
  and all that continues it. This is the common one: models predict orphans, and a corpus in IOB1 is full of them.
- seqeval's strict mode drops dashes at both ends of a type, so that "X-" and "X" are one type there ("-" becomes "_").
Source: Nakayama, seqeval 1.2.2 (`seqeval/scheme.py`); ner.conlleval names conlleval's.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ner.conlleval import Counts, Tags, check_lengths
from ner.tags import Span, split_tag, tags_to_spans
from ner.tally import Tally, tally

WAYS = ("default", "strict", "conlleval")
LISTED = 50  # sentences


def three_ways(gold: Tags, predicted: Tags) -> dict[str, dict[str, Any]]:
    """Scores by each of WAYS: precision, recall, f1, support (gold entities) and `per_type` with the same four.

    gold, predicted: tags of each sentence, orphans allowed. Strict lists every type of the others too, with zeros where
    it finds none. Rates lie in 0 to 1. Raises TagError for a tag that is no IOB2 tag, CorpusError where lengths differ.
    """
    return ways_of(tally(gold, predicted))


def ways_of(counted: Tally) -> dict[str, dict[str, Any]]:
    """What three_ways returns, of counts that may have been added up over parts."""
    strict = dict.fromkeys(counted.default, Counts()) | counted.strict
    return {
        "default": _way(counted.default, _row_of_seqeval),
        "strict": _way(dict(sorted(strict.items())), _row_of_seqeval),
        "conlleval": _way(counted.conlleval.per_type, _row),
    }


def differences(
    gold: Tags, predicted: Tags, tokens: Tags | None = None, limit: int | None = LISTED, first: int = 0
) -> dict[str, Any]:
    """The sentences whose gold or predicted tags the ways read differently, and what they change in the counts.

    gold, predicted: tags of each sentence; tokens: their words, to be shown beside them; first: the index of the first
    sentence, where they are part of a corpus. Returns
    sentences   how many there are, whatever the limit
    default     gold, predicted and correct entities of the whole corpus, as default and conlleval count them
    strict      the same as strict counts them
    difference  default minus strict: the sum of the differences of those sentences, as all others agree
    listed      the first `limit` of them (None: all). Each has its index (`sentence`), `tokens` where they were given,
                the `gold` and `predicted` tags, its own `default`, `strict` and `difference`, the first two with the
                spans of each reading (`gold_spans`, `predicted_spans`; half-open), and `why`, a sentence.
    Raises TagError for a tag that is no IOB2 tag, CorpusError where lengths differ.
    """
    check_lengths(gold, predicted)
    if tokens is not None:
        check_lengths(gold, tokens, "tokens")
    found = 0
    listed: list[dict[str, Any]] = []
    default_total = strict_total = Counts()
    for index, sides in enumerate(zip(gold, predicted, strict=True)):
        default, strict = [tags_to_spans(tags) for tags in sides], [strict_spans(tags) for tags in sides]
        default_counts, strict_counts = _compare(*default), _compare(*strict)
        default_total, strict_total = default_total + default_counts, strict_total + strict_counts
        if default == strict:
            continue
        found += 1
        if limit is None or len(listed) < limit:
            words = None if tokens is None else list(tokens[index])
            listed.append(
                {
                    "sentence": first + index,
                    **({} if words is None else {"tokens": words}),
                    "gold": list(sides[0]),
                    "predicted": list(sides[1]),
                    "default": _reading(default, default_counts),
                    "strict": _reading(strict, strict_counts),
                    "difference": _minus(default_counts, strict_counts),
                    "why": _why(*sides, words, _minus(default_counts, strict_counts)),
                }
            )
    return {
        "sentences": found,
        "default": _as_dict(default_total),
        "strict": _as_dict(strict_total),
        "difference": _minus(default_total, strict_total),
        "listed": listed,
    }


def strict_spans(tags: Sequence[str]) -> list[Span]:
    """The entities of one sentence as seqeval's strict IOB2 reads them; a fast reader, held to seqeval by a test."""
    tags = _strict_types(tags)
    return [span for span in tags_to_spans(tags) if tags[span.start].startswith("B")]


def _strict_types(tags: Sequence[str]) -> list[str]:
    """The tags with the types that seqeval's strict mode sees: without dashes at their ends, and "_" for nothing."""
    if not any(_has_outer_dash(tag) for tag in tags):
        return list(tags)
    return [tag if tag == "O" else f"{tag[0]}-{tag[2:].strip('-') or '_'}" for tag in tags]


def _has_outer_dash(tag: str) -> bool:
    return tag[2:3] == "-" or tag[-1:] == "-"


def _way(types: dict[str, Counts], row: Callable[[Counts], dict[str, Any]]) -> dict[str, Any]:
    return {**row(sum(types.values(), Counts())), "per_type": {name: row(counts) for name, counts in types.items()}}


def _row_of_seqeval(counts: Counts) -> dict[str, float | int]:
    # F1 out of the two rates, as seqeval has it: out of the counts it could differ in the last digit.
    precision, recall = counts.precision, counts.recall
    f1 = 2 * precision * recall / (precision + recall) if counts.correct else 0.0
    return {**_row(counts), "f1": f1}


def _row(counts: Counts) -> dict[str, float | int]:
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1, "support": counts.gold}


def _compare(gold: list[Span], predicted: list[Span]) -> Counts:
    return Counts(len(gold), len(predicted), len(set(gold).intersection(predicted)))


def _minus(a: Counts, b: Counts) -> dict[str, int]:
    return {"gold": a.gold - b.gold, "predicted": a.predicted - b.predicted, "correct": a.correct - b.correct}


def _as_dict(counts: Counts) -> dict[str, int]:
    return _minus(counts, Counts())


def _reading(spans: list[list[Span]], counts: Counts) -> dict[str, Any]:
    gold, predicted = ([span._asdict() for span in side] for side in spans)
    return {**_as_dict(counts), "gold_spans": gold, "predicted_spans": predicted}


def _why(gold: Sequence[str], predicted: Sequence[str], words: list[str] | None, difference: dict[str, int]) -> str:
    """One sentence: the orphans of each side and what follows from them, or the dashes that strict drops."""
    causes = []
    orphans = [
        f"in the {side} {' and '.join(places)}"
        for side, tags in (("gold tags", gold), ("prediction", predicted))
        if (places := _orphans(_strict_types(tags), words))
    ]
    if orphans:
        causes.append(f"{'; '.join(orphans)}: there default and conlleval start an entity, strict does not")
    dashed = {split_tag(tag)[1] for tag in [*gold, *predicted] if tag != "O" and _has_outer_dash(tag)}
    if dashed:
        causes.append(f"strict drops the dashes at the ends of a type, here of {', '.join(sorted(dashed))}")
    effect = [f"{abs(n)} {name} {'fewer' if n > 0 else 'more'}" for name, n in difference.items() if n]
    sentence = f"{'; and '.join(causes)} (in strict {', '.join(effect) or 'the same counts'})."
    return sentence[0].upper() + sentence[1:]


def _orphans(tags: list[str], words: list[str] | None) -> list[str]:
    """'I-LOC at token 4 ("Bank") follows B-ORG' for each I- tag that starts an entity by conlleval's reading."""
    places = []
    for start, _, _ in tags_to_spans(tags):
        if tags[start].startswith("I"):
            word = f' ("{words[start]}")' if words else ""
            before = f"follows {tags[start - 1]}" if start else "opens the sentence"
            places.append(f"{tags[start]} at token {start}{word} {before}")
    return places
