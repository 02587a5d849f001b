"""Entity-level scores by seqeval on whole sentences, in default and strict mode, and the sentences in which these
differ.

default  seqeval's default mode, which agrees with conlleval and with the public card: what F1 means without a mode
strict   seqeval's mode="strict" with scheme=IOB2. It differs from default in two ways, which `differences` explains:
         - an orphan, an I- tag that continues no entity of its type, starts an entity in default; strict skips it and
           all that continues it. This is the common one: models predict orphans, and a corpus in IOB1 is full of them.
         - strict drops dashes at both ends of a type, so that "X-" and "X" are one type there ("-" becomes "_").
Source: Nakayama, seqeval (https://github.com/chakki-works/seqeval); Tjong Kim Sang and De Meulder, CoNLL-2003
(W03-0419).
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from ner.evaluation.counts import Counts, EntityCounts, Readings, Tags, check_lengths, count, read_entities
from ner.tags import Span, split_tag, tags_to_spans

MODE = "seqeval default (conlleval)"
MEASURES = ("precision", "recall", "f1")
WAYS = Readings._fields
LISTED = 50  # sentences


def score(gold: Tags, predicted: Tags) -> dict[str, Any]:
    """Return precision, recall and F1 of entities, all in 0 to 1.

    gold, predicted: tags of each sentence, of equal lengths. Returns precision, recall, f1 (micro), their means over
    the types (`_macro`; 0 where there is no type), the same in strict IOB2 (`_strict`), support (gold entities),
    accuracy (share of tokens with the right tag), `per_type`, and `ways`: both readings in full.
    """
    return scores_of(count(gold, predicted))


def scores_of(counts: EntityCounts) -> dict[str, Any]:
    """Return what `score` returns, from counts that may have been added up over parts."""
    ways = ways_of(counts)
    default, strict = ways["default"], ways["strict"]
    types = default["per_type"]
    return {
        **{name: default[name] for name in MEASURES},
        "accuracy": counts.accuracy,
        **{f"{name}_macro": _mean([row[name] for row in types.values()]) for name in MEASURES},
        **{f"{name}_strict": strict[name] for name in MEASURES},
        "support": default["support"],
        "per_type": {
            name: {
                **{measure: row[measure] for measure in MEASURES},
                "f1_strict": strict["per_type"][name]["f1"],
                "support": row["support"],
            }
            for name, row in types.items()
        },
        "ways": ways,
    }


def ways_of(counts: EntityCounts) -> dict[str, dict[str, Any]]:
    """Return scores by each of WAYS: precision, recall, f1, support (gold entities) and `per_type` with the same four.

    Strict lists every type of default too, with zeros where it finds none.
    """
    strict = dict.fromkeys(counts.default, Counts()) | counts.strict
    return {"default": _way(counts.default), "strict": _way(dict(sorted(strict.items())))}


def micro_scores(gold: Tags, predicted: Tags) -> dict[str, float]:
    """Return precision, recall, f1 and accuracy only: what an epoch is judged by."""
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    precision, recall, f1, _ = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "accuracy": float(accuracy_score(gold, predicted)) if any(gold) else 0.0,
    }


def differences(
    gold: Tags, predicted: Tags, tokens: Tags | None = None, limit: int | None = LISTED, first: int = 0
) -> dict[str, Any]:
    """Return the sentences whose gold or predicted tags the two modes read differently.

    gold, predicted: tags of each sentence; tokens: their words, to be shown beside them; first: the index of the first
    sentence, where they are part of a corpus. Returns
    sentences   how many there are, whatever the limit
    listed      the first `limit` of them (None: all). Each has its index (`sentence`), `tokens` where they were given,
                the `gold` and `predicted` tags, its counts by `default` and `strict` with the spans of each
                (`gold_spans`, `predicted_spans`; half-open), their `difference`, and `why`, a sentence.
    Raises TagError for a tag that is no IOB2 tag, CorpusError where lengths differ.
    """
    check_lengths(gold, predicted)
    if tokens is not None:
        check_lengths(gold, tokens, "tokens")
    sentences = 0
    listed: list[dict[str, Any]] = []
    for index, sides in enumerate(zip(gold, predicted, strict=True)):
        ours, theirs = (read_entities(tuple(tags)) for tags in sides)
        if ours.default == ours.strict and theirs.default == theirs.strict:
            continue
        sentences += 1
        if limit is None or len(listed) < limit:
            words = None if tokens is None else list(tokens[index])
            listed.append({"sentence": first + index, **_difference(*sides, ours, theirs, words)})
    return {"sentences": sentences, "listed": listed}


def _way(types: dict[str, Counts]) -> dict[str, Any]:
    return {**_row(sum(types.values(), Counts())), "per_type": {name: _row(counts) for name, counts in types.items()}}


def _row(counts: Counts) -> dict[str, float | int]:
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1, "support": counts.gold}


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0  # exact: `sum` adds in another way from Python 3.12 on


# ---- a sentence that is read differently


def _difference(
    gold: Sequence[str], predicted: Sequence[str], ours: Readings, theirs: Readings, words: list[str] | None
) -> dict[str, Any]:
    default, strict = (_reading(own, tags) for own, tags in zip(ours, theirs, strict=True))
    difference = {name: default[name] - strict[name] for name in ("gold", "predicted", "correct")}
    return {
        **({} if words is None else {"tokens": words}),
        "gold": list(gold),
        "predicted": list(predicted),
        "default": default,
        "strict": strict,
        "difference": difference,
        "why": _why(gold, predicted, words, difference),
    }


def _reading(gold: Sequence[Span], predicted: Sequence[Span]) -> dict[str, Any]:
    return {
        "gold": len(gold),
        "predicted": len(predicted),
        "correct": len(set(gold).intersection(predicted)),
        "gold_spans": [span._asdict() for span in gold],
        "predicted_spans": [span._asdict() for span in predicted],
    }


def _why(gold: Sequence[str], predicted: Sequence[str], words: list[str] | None, difference: dict[str, int]) -> str:
    """Return one sentence: the orphan I- tags of each side and what follows from them, or the dashes that strict
    drops.
    """
    causes = []
    orphans = [
        f"in the {side} {' and '.join(places)}"
        for side, tags in (("gold tags", gold), ("prediction", predicted))
        if (places := _orphans(tags, words))
    ]
    if orphans:
        causes.append(f"{'; '.join(orphans)}: there default and conlleval start an entity, strict does not")
    dashed = {name for tag in {*gold, *predicted} if (name := split_tag(tag)[1]) != _strict_type(name)}
    if dashed:
        causes.append(f"strict drops the dashes at the ends of a type, here of {', '.join(sorted(dashed))}")
    effect = [f"{abs(n)} {name} {'fewer' if n > 0 else 'more'}" for name, n in difference.items() if n]
    sentence = f"{'; and '.join(causes)} (in strict {', '.join(effect) or 'the same counts'})."
    return sentence[0].upper() + sentence[1:]


def _strict_type(name: str) -> str:
    """Return the type in seqeval's strict mode: without dashes at its ends, and "_" for nothing."""
    return name and (name.strip("-") or "_")


def _orphans(tags: Sequence[str], words: list[str] | None) -> list[str]:
    """Return 'I-LOC at token 4 ("Bank") follows B-ORG' for each I- tag that starts an entity in default."""
    parts = [split_tag(tag) for tag in tags]
    tags = [f"{prefix}-{_strict_type(name)}" if name else prefix for prefix, name in parts]
    places = []
    for start, _, _ in tags_to_spans(tags):
        if tags[start].startswith("I"):
            word = f' ("{words[start]}")' if words else ""
            before = f"follows {tags[start - 1]}" if start else "opens the sentence"
            places.append(f"{tags[start]} at token {start}{word} {before}")
    return places
