"""Entity-level scores by seqeval on whole sentences, in default and strict mode.

default  seqeval's default mode, which agrees with conlleval and with the public card: what F1 means without a mode
strict   seqeval's mode="strict" with scheme=IOB2. It differs from default in two ways:
         - an orphan, an I- tag that continues no entity of its type, starts an entity in default; strict skips it and
           all that continues it. What stage `predict` decodes is valid IOB2, without any.
         - strict drops dashes at both ends of a type, so that "X-" and "X" are one type there ("-" becomes "_").
Source: Nakayama, seqeval (https://github.com/chakki-works/seqeval); Tjong Kim Sang and De Meulder, CoNLL-2003
(W03-0419).
"""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from ner.evaluation.counts import Counts, EntityCounts, Readings, Tags, count, read_entities

MODE = "seqeval default (conlleval)"
MEASURES = ("precision", "recall", "f1")
WAYS = Readings._fields


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


def disagreements(gold: Tags, predicted: Tags) -> int:
    """Return how many sentences have gold or predicted tags that the two modes read differently."""
    readings = (map(read_entities, map(tuple, sides)) for sides in zip(gold, predicted, strict=True))
    return sum(any(own.default != own.strict for own in sides) for sides in readings)


def _way(types: dict[str, Counts]) -> dict[str, Any]:
    return {**_row(sum(types.values(), Counts())), "per_type": {name: _row(counts) for name, counts in types.items()}}


def _row(counts: Counts) -> dict[str, float | int]:
    return {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1, "support": counts.gold}


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0  # exact: `sum` adds in another way from Python 3.12 on
