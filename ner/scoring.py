"""Entity-level scores by seqeval, on whole sentences.

Default mode agrees with conlleval and with the public card; strict IOB2 stands beside it. Source: Nakayama, seqeval
(https://github.com/chakki-works/seqeval); Tjong Kim Sang and De Meulder, CoNLL-2003 (W03-0419).
"""

from collections.abc import Sequence
from typing import Any

from seqeval.metrics import accuracy_score, classification_report
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
from seqeval.scheme import IOB2

MODE = "seqeval default (conlleval)"

Tags = Sequence[Sequence[str]]


def score(gold: Tags, predicted: Tags) -> dict[str, Any]:
    """Precision, recall and F1 of entities, all in 0 to 1.

    gold, predicted: tags of each sentence, of equal lengths. Returns precision, recall, f1 (micro), f1_macro, support
    (gold entities), accuracy (share of tokens with the right tag), the same in strict IOB2 (`_strict`), and `per_type`.
    """
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    default = classification_report(gold, predicted, output_dict=True, zero_division=0)
    strict = classification_report(gold, predicted, output_dict=True, zero_division=0, mode="strict", scheme=IOB2)
    micro, micro_strict = default["micro avg"], strict["micro avg"]
    types = sorted(set(default) - {"micro avg", "macro avg", "weighted avg"})
    return {
        "precision": float(micro["precision"]),
        "recall": float(micro["recall"]),
        "f1": float(micro["f1-score"]),
        "accuracy": float(accuracy_score(gold, predicted)),
        "precision_macro": float(default["macro avg"]["precision"]),
        "recall_macro": float(default["macro avg"]["recall"]),
        "f1_macro": float(default["macro avg"]["f1-score"]),
        "precision_strict": float(micro_strict["precision"]),
        "recall_strict": float(micro_strict["recall"]),
        "f1_strict": float(micro_strict["f1-score"]),
        "support": int(micro["support"]),
        "per_type": {name: _of_type(default[name], strict.get(name)) for name in types},
    }


def micro_scores(gold: Tags, predicted: Tags) -> dict[str, float]:
    """Precision, recall, f1 and accuracy only: what an epoch is judged by."""
    gold, predicted = [list(tags) for tags in gold], [list(tags) for tags in predicted]
    precision, recall, f1, _ = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "accuracy": float(accuracy_score(gold, predicted)),
    }


def _of_type(default: dict[str, Any], strict: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "precision": float(default["precision"]),
        "recall": float(default["recall"]),
        "f1": float(default["f1-score"]),
        "f1_strict": float(strict["f1-score"]) if strict else 0.0,
        "support": int(default["support"]),
    }
