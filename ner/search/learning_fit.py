"""The curve through the F1 of a few trainings: error = a + b / documents^c, and what twice the documents would bring.

    curve = fit(np.array([10, 20, 40, 80]), counts, params.evaluation)       # counts: [points, units, 3]
    curve.gain, curve.interval                                               # of twice the documents

The interval is a bootstrap: each resample draws the documents of validation anew, the same ones for all points, and
from four points on leaves one of them out in turn, which is what luck of a single training can do to the curve.
Source: Figueroa et al., "Predicting sample size required for classification performance" (2012), the inverse power law.
"""

from typing import NamedTuple

import numpy as np

from ner.evaluation.bootstrap import f1, interval, resampled
from ner.params import EvaluationParams

POWERS = np.geomspace(0.05, 8, 60)
FLAT = 0.01  # F1: a curve that cannot have gained so much by the last doubling is flat
FEWEST = 3  # points that a curve is laid through


class Curve(NamedTuple):
    """A fitted curve. gain, interval: of F1 by twice the documents; low, high: ends of `f1` at `size`, [grid]."""

    gain: float
    interval: list[float]
    size: np.ndarray
    f1: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def drawn(self) -> dict[str, np.ndarray]:
        """Return the arrays, by name."""
        return {name: value for name, value in self._asdict().items() if isinstance(value, np.ndarray)}


def fit(documents: np.ndarray, counts: np.ndarray, params: EvaluationParams) -> Curve:
    """Return the curve through at least FEWEST points. counts: [points, units, 3] of validation."""
    points = len(documents)
    errors = 1 - f1(resampled(np.swapaxes(counts, 0, 1), params.resamples, params.seed))
    taken = np.ones_like(errors)
    if points > FEWEST:
        left_out = np.arange(len(taken)) % (points + 1)  # none, in one resample of points + 1
        rows = np.flatnonzero(left_out < points)
        taken[rows, left_out[rows]] = 0
    sizes = documents / documents[-1]
    at = np.sort(np.append(np.geomspace(sizes[0], 2, 50), 1.0))
    present = int(np.searchsorted(at, 1.0))
    mid = 1 - _errors(sizes, 1 - f1(counts.sum(1))[None], np.ones((1, points)), at)[0]
    resamples = 1 - _errors(sizes, errors, taken, at)
    low, high = np.quantile(resamples, [(1 - params.confidence) / 2, (1 + params.confidence) / 2], axis=0)
    gains = interval(resamples[:, -1] - resamples[:, present], params.confidence)
    return Curve(float(mid[-1] - mid[present]), gains, at * documents[-1], mid, low, high)


def _errors(sizes: np.ndarray, errors: np.ndarray, taken: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the errors at the sizes `at`, [rows, at], by the curve of each row of errors [rows, sizes].

    For each power the best a and b are those of least squares, with a of at least 0; the power that fits best is kept.
    """
    least, best = np.full(len(errors), np.inf), np.zeros((len(errors), len(at)))
    for power in POWERS:
        x = np.broadcast_to(sizes**-power, errors.shape)
        n, sx, sy = taken.sum(1), (taken * x).sum(1), (taken * errors).sum(1)
        sxx, sxy = (taken * x * x).sum(1), (taken * x * errors).sum(1)
        b = (n * sxy - sx * sy) / (n * sxx - sx**2)
        a = (sy - b * sx) / n
        a, b = np.where(a < 0, 0, a), np.where(a < 0, sxy / sxx, b)
        loss = (taken * (errors - a[:, None] - b[:, None] * x) ** 2).sum(1)
        better = loss < least
        least[better] = loss[better]
        best[better] = a[better, None] + b[better, None] * at**-power
    return best
