"""Confidence that can be believed: the temperature of the softmax, and how far scores are from the share that is right.

    temperature = fit_temperature(logits, gold)                  # on validation
    probabilities = softmax(logits, temperature)                 # everywhere (ner.probability)
    table = reliability(scores, is_correct); error = expected_calibration_error(table)

Source: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017): temperature scaling, and the expected
calibration error over bins of equal width.
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from ner.probability import log_loss

BINS = 10
RANGE = (0.1, 10.0)  # of temperatures that are searched


def fit_temperature(logits: np.ndarray, gold: np.ndarray) -> float:
    """The temperature under which the gold tags are most probable; 1.0 where there is no token to fit it on.

    logits: [n_tokens, n_labels]; gold: [n_tokens] label ids. One number for all tags, so no tag changes.
    """
    if not len(gold):
        return 1.0
    low, high = np.log(RANGE[0]), np.log(RANGE[1])
    found = minimize_scalar(
        lambda log_temperature: log_loss(logits, gold, float(np.exp(log_temperature))),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return round(float(np.exp(found.x)), 4)


def reliability(scores: np.ndarray, is_correct: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """A row a bin of equal width that holds an entity: low, high, score (mean), precision (share right), entities.

    scores: [n] in 0 to 1; is_correct: [n] booleans, exact match of span and type.
    """
    frame = pd.DataFrame({"score": np.asarray(scores, float), "precision": np.asarray(is_correct, float)})
    frame["bin"] = np.clip((frame["score"] * bins).astype(int), 0, bins - 1)
    table = frame.groupby("bin").agg(
        score=("score", "mean"), precision=("precision", "mean"), entities=("score", "size")
    )
    table.insert(0, "low", table.index / bins)
    table.insert(1, "high", (table.index + 1) / bins)
    return table.reset_index(drop=True)


def expected_calibration_error(table: pd.DataFrame) -> float | None:
    """Mean distance between score and precision of the bins, weighted by their entities; None without any."""
    total = table["entities"].sum()
    if not total:
        return None
    return float(((table["score"] - table["precision"]).abs() * table["entities"]).sum() / total)
