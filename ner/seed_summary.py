"""How far scores spread over trainings that differ only in their seed."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

SPLITS = ("validation", "test")
MEASURES = ("f1", "precision", "recall")

Spread = dict[str, float | None]


def spread(values: Sequence[float]) -> Spread:
    """Mean, sample standard deviation (n - 1 below the line; None for one value), min and max."""
    return {
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "min": min(values),
        "max": max(values),
    }


def summarize(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Spread]]:
    """The spread of each measure on each split.

    results: one a seed, {"validation": {"f1": ..., "precision": ..., "recall": ...}, "test": {...}}; at least one.
    """
    return {split: {name: spread([result[split][name] for result in results]) for name in MEASURES} for split in SPLITS}
