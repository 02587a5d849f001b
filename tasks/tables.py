"""Small tables for the terminal and for CSV."""

import csv
import io
from typing import Any


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
    """Scores of metrics.json: overall, each entity type, and single sentences, for validation and test."""
    rows = [["", "precision", "recall", "F1", "strict F1", "accuracy", "support"]]
    for split in ("validation", "test"):
        scores = metrics[split]
        numbers = [scores[name] for name in ("precision", "recall", "f1", "f1_strict", "accuracy")]
        rows.append([split, *(f"{n:.4f}" for n in numbers), str(scores["support"])])
        for name, of_type in scores["per_type"].items():
            numbers = [of_type[column] for column in ("precision", "recall", "f1", "f1_strict")]
            rows.append([f"  {name}", *(f"{n:.4f}" for n in numbers), "", str(of_type["support"])])
        alone = scores["sentence"]
        numbers = [alone[name] for name in ("precision", "recall", "f1", "f1_strict", "accuracy")]
        rows.append(["  each sentence alone", *(f"{n:.4f}" for n in numbers), str(scores["support"])])
    return plain_table(rows)
