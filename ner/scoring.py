"""Entity-level scores by seqeval, on whole sentences.

Default mode agrees with conlleval and with the public card; strict IOB2 and conlleval's own definition stand beside it
(`ner.three_ways`). Source: Nakayama, seqeval (https://github.com/chakki-works/seqeval); Tjong Kim Sang and De Meulder,
CoNLL-2003 (W03-0419).
"""

from collections.abc import Sequence
from typing import Any

from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

from ner.tally import Tally, tally
from ner.three_ways import ways_of

MODE = "seqeval default (conlleval)"
MEASURES = ("precision", "recall", "f1")

Tags = Sequence[Sequence[str]]


def score(gold: Tags, predicted: Tags) -> dict[str, Any]:
    """Precision, recall and F1 of entities, all in 0 to 1.

    gold, predicted: tags of each sentence, of equal lengths. Returns precision, recall, f1 (micro), their means over
    the types (`_macro`; 0 where there is no type), the same in strict IOB2 (`_strict`), support (gold entities),
    accuracy (share of tokens with the right tag), `per_type`, and `ways`: default, strict and conlleval in full.
    """
    return scores_of(tally(gold, predicted))


def scores_of(counted: Tally) -> dict[str, Any]:
    """What `score` returns, of counts that may have been added up over parts."""
    ways = ways_of(counted)
    default, strict = ways["default"], ways["strict"]
    types = default["per_type"]
    return {
        **{name: default[name] for name in MEASURES},
        "accuracy": counted.conlleval.accuracy,
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


def micro_scores(gold: Tags, predicted: Tags) -> dict[str, float]:
    """Precision, recall, f1 and accuracy only: what an epoch is judged by."""
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    precision, recall, f1, _ = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "accuracy": accuracy(gold, predicted),
    }


def accuracy(gold: Tags, predicted: Tags) -> float:
    """Share of tokens with the right tag; 0 without any token."""
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    return float(accuracy_score(gold, predicted)) if any(gold) else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
