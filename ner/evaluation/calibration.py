"""Calibration: the temperature of the softmax, and the calibration error of entity scores.

    temperature = fit_temperature(lambda: [(logits, gold)])      # on validation
    probabilities = softmax(logits, temperature)                 # everywhere (ner.inference.probability)
    table = reliability(bin_sums(scores, is_correct)); error = expected_calibration_error(table)

Source: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017): temperature scaling, and the expected
calibration error over bins of equal width.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from ner.inference.probability import log_loss

BINS = 10
RANGE = (0.1, 10.0)  # of temperatures that are searched


@dataclass(frozen=True)
class Loss:
    """The log loss of some tokens, 0.0 of none; two losses add up to their weighted mean."""

    mean: float = 0.0
    tokens: int = 0

    @classmethod
    def of(cls, logits: np.ndarray, gold: np.ndarray, temperature: float = 1.0) -> "Loss":
        """Return the Loss of tokens. logits: [n_tokens, n_labels]; gold: [n_tokens] label ids."""
        return cls(log_loss(logits, gold, temperature), len(gold)) if len(gold) else cls()

    def __add__(self, other: "Loss") -> "Loss":
        tokens = self.tokens + other.tokens
        share = other.tokens / tokens if tokens else 0.0
        return Loss(self.mean + (other.mean - self.mean) * share, tokens)


def fit_temperature(parts: Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]) -> float:
    """Return the temperature under which the gold tags are most probable; 1.0 where there is no token to fit it on.

    parts: gives logits [n_tokens, n_labels] and gold label ids [n_tokens] from the first on each time that it is
    called, some twenty times; so one is in memory at a time. One number for all tags, so no tag changes.
    """

    def loss(log_temperature: float) -> float:
        temperature = float(np.exp(log_temperature))
        return sum((Loss.of(logits, gold, temperature) for logits, gold in parts()), Loss()).mean

    if not any(len(gold) for _, gold in parts()):
        return 1.0
    low, high = np.log(RANGE[0]), np.log(RANGE[1])
    optimum = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(optimum.x)), 4)


def bin_sums(scores: np.ndarray, is_correct: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Return sums by bin of equal width, which add up over parts: [bins, 3], scores, right entities, all entities.

    scores: [n] in 0 to 1; is_correct: [n] booleans, exact match of span and type.
    """
    frame = pd.DataFrame({"score": np.asarray(scores, float), "right": np.asarray(is_correct, float), "entities": 1.0})
    numbers = np.clip((frame["score"] * bins).astype(int), 0, bins - 1)
    return frame.groupby(numbers).sum().reindex(range(bins), fill_value=0.0).to_numpy()


def reliability(sums: np.ndarray) -> pd.DataFrame:
    """Return a row per bin with an entity: low, high, score (mean), precision (share right), entities. sums: by bin."""
    held = np.flatnonzero(sums[:, 2])
    score, right, entities = sums[held].T
    return pd.DataFrame(
        {
            "low": held / len(sums),
            "high": (held + 1) / len(sums),
            "score": score / entities,
            "precision": right / entities,
            "entities": entities.astype(int),
        }
    )


def expected_calibration_error(table: pd.DataFrame) -> float | None:
    """Return the mean distance of score and precision over the entities of all bins; None without any."""
    total = table["entities"].sum()
    if not total:
        return None
    return float(((table["score"] - table["precision"]).abs() * table["entities"]).sum() / total)
