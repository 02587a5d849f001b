"""Scores of metrics.json as a table for the terminal."""

from typing import Any

from ner.common.tables import plain_table
from ner.evaluation.gate import split_name

CONTEXTS = {"document": "sentences in documents", "sentence": "each sentence alone"}


def scores_table(metrics: dict[str, Any]) -> str:
    """Return scores overall, by entity type and in the two contexts, for validation and test.

    Where there is a corrected test set, a row for it follows.
    """
    share = metrics["bootstrap"]["confidence"]
    rows = [["", "precision", "recall", "F1", f"{share:.0%} interval", "strict F1", "accuracy", "support"]]
    names = ("precision", "recall", "f1")
    for split in ("validation", "test"):
        scores = metrics[split]
        lines = [(split_name(metrics, split), scores, scores["interval"]["f1"], scores["support"])]
        lines += [(f"  {name}", row, row["interval"], row["support"]) for name, row in scores["per_type"].items()]
        lines += [(f"  {title}", scores[context], None, scores["support"]) for context, title in CONTEXTS.items()]
        if split == "test" and (own := metrics.get("test_corrected")):
            lines.append(("test, corrected", own, own["interval"]["f1"], own["support"]))
        for title, row, interval, support in lines:
            between = f"{interval[0]:.4f}-{interval[1]:.4f}" if interval else ""
            accuracy = f"{row['accuracy']:.4f}" if "accuracy" in row else ""
            numbers = [f"{row[name]:.4f}" for name in names]
            rows.append([title, *numbers, between, f"{row['f1_strict']:.4f}", accuracy, str(support)])
    return plain_table(rows)
