"""Small tables for the terminal and for CSV."""

import csv
import io
from typing import Any

CONTEXTS = {"document": "sentences in documents", "sentence": "each sentence alone"}


def to_csv(header: list[str], rows: list[list[Any]]) -> str:
    """CSV text with LF line ends."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def plain_table(rows: list[list[str]]) -> str:
    """Columns padded with spaces: the first to the left, the others to the right; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join([row[0].ljust(len(first)), *others]).rstrip())
    return "\n".join(lines)


def scores_table(metrics: dict[str, Any]) -> str:
    """Scores of metrics.json: overall, each entity type, and the two contexts, for validation and test."""
    share = metrics["bootstrap"]["confidence"]
    rows = [["", "precision", "recall", "F1", f"{share:.0%} interval", "strict F1", "accuracy", "support"]]
    names = ("precision", "recall", "f1")
    for split in ("validation", "test"):
        scores = metrics[split]
        lines = [(split, scores, scores["interval"]["f1"], scores["support"])]
        lines += [(f"  {name}", row, row["interval"], row["support"]) for name, row in scores["per_type"].items()]
        lines += [(f"  {title}", scores[context], None, scores["support"]) for context, title in CONTEXTS.items()]
        for title, row, interval, support in lines:
            between = f"{interval[0]:.4f}-{interval[1]:.4f}" if interval else ""
            accuracy = f"{row['accuracy']:.4f}" if "accuracy" in row else ""
            numbers = [f"{row[name]:.4f}" for name in names]
            rows.append([title, *numbers, between, f"{row['f1_strict']:.4f}", accuracy, str(support)])
    return plain_table(rows)
