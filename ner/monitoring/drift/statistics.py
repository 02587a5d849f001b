"""Whether a window of texts is like the validation set of the model that read them: by what, by how much, by chance.

    moves = compare(reference, window, params.monitor)
    is_drift(moves), sentence(moves)

A value has drifted where three conditions hold: its distributions over blocks differ by a standard test
(Kolmogorov-Smirnov; for types chi-square; p corrected for all of them by Benjamini and Hochberg), their distance is
over what two sets of documents drawn from the reference have by chance (a bootstrap of whole documents, since sentences
of one are alike), and it is large enough to matter.
The distance is that of Kolmogorov-Smirnov; for types the total variation. Both lie in 0 to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ner.monitoring.drift.sample import TYPES, VALUES, Blocks, Sample
from ner.params import MonitorParams

PIECE = 100  # draws that are in memory together
MOST_VALUES = 100  # different ones, of what chance does; of more it is their quantiles, which costs 0.01 of a distance


@dataclass(frozen=True)
class Move:
    """One value: its distance from the reference, how probable such a difference is by the test, what is allowed.

    reference, window: its mean in both; of types, the share of the type that grew most, which is `which`.
    """

    name: str
    distance: float
    p: float
    allowed: float
    moved: bool
    reference: float
    window: float
    which: str = ""


def compare(reference: Sample, window: Sample, settings: MonitorParams) -> list[Move]:
    """Return a Move for each value that both samples have. Raises ValueError where a sample is empty."""
    from scipy import stats

    if not len(reference) or not len(window):
        raise ValueError("nothing to compare")
    ours, theirs = (sample.blocks(settings.block_tokens) for sample in (window, reference))
    tests = [_value(place, name, theirs, ours) for place, name in enumerate(VALUES)] + [_types(reference, window)]
    values = [value for value in tests if value is not None]
    corrected = stats.false_discovery_control([p for _, _, p, *_ in values])
    allowed = chance(reference, theirs, len(ours.values), settings)
    moves = []
    for (name, distance, _, *means), p in zip(values, corrected, strict=True):
        limit = max(allowed[name] * settings.margin, settings.min_effect)
        moved = bool(p < settings.false_alarms and distance > limit)
        moves.append(Move(name, float(distance), float(p), float(limit), moved, *means))
    return moves


def is_drift(moves: Sequence[Move]) -> bool:
    return any(move.moved for move in moves)


def sentence(moves: Sequence[Move]) -> str:
    """Return which values drifted and by how much, in words, largest first."""
    moved = sorted((move for move in moves if move.moved), key=lambda move: move.allowed - move.distance)
    if not moved:
        nearest = max(moves, key=lambda move: move.distance - move.allowed)
        return f"no value drifted; nearest to its limit: {nearest.name} ({_distance(nearest)})"
    parts = [f"{move.name} from {mean_of(move, move.reference)} to {mean_of(move, move.window)}" for move in moved]
    more = f", and {', '.join(move.name for move in moved[3:])}" if len(moved) > 3 else ""
    return f"{'; '.join(parts[:3])}{more} drifted ({moved[0].name}: {_distance(moved[0])})"


def mean_of(move: Move, value: float) -> str:
    """Return a mean as people read it: subwords and letters a token, all else as a share."""
    if move.name in ("subwords", "letters"):
        return f"{value:.2f} a token"
    return f"{value:.1%} {move.which}".strip()


def chance(sample: Sample, own: Blocks, blocks: int, settings: MonitorParams) -> dict[str, float]:
    """Return for each value the distance by chance of two sets of documents of the reference: all of it, and a
    window of so many blocks.

    Both are drawn with replacement; a share of `false_alarms`, divided by the number of values, goes over it. own: the
    blocks of the sample.
    """
    names, groups = np.unique(sample.groups, return_inverse=True)
    of_block = np.searchsorted(names, own.groups)
    random = np.random.default_rng(settings.seed)
    tables = {name: _table(own.values[:, place], of_block, len(names)) for place, name in enumerate(VALUES)}
    by_type = np.zeros((len(names), sample.counts.shape[1]))
    np.add.at(by_type, groups, sample.counts)
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in (*tables, TYPES)}
    for first in range(0, settings.resamples, PIECE):
        size = min(PIECE, settings.resamples - first)
        windows = _windows(random, np.bincount(of_block, minlength=len(names)), blocks, size)
        wholes = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size).astype(float)
        for name, table in tables.items():
            drawn[name].append(_distances(windows @ table, wholes @ table))
        drawn[TYPES].append(np.abs(_shares(windows @ by_type) - _shares(wholes @ by_type)).sum(-1) / 2)
    quantile = 1 - settings.false_alarms / len(drawn)
    return {name: float(np.quantile(np.concatenate(parts), quantile)) for name, parts in drawn.items()}


def _value(place: int, name: str, reference: Blocks, window: Blocks) -> tuple | None:
    from scipy import stats

    ours, theirs = (column[~np.isnan(column)] for column in (window.values[:, place], reference.values[:, place]))
    if not len(ours) or not len(theirs):
        return None
    test = stats.ks_2samp(ours, theirs, method="asymp")
    return name, test.statistic, test.pvalue, float(theirs.mean()), float(ours.mean())


def _types(reference: Sample, window: Sample) -> tuple | None:
    from scipy import stats

    table = np.array([reference.counts.sum(0), window.counts.sum(0)])
    if not table.sum(1).all():
        return None
    theirs, ours = _shares(table)
    most = int((ours - theirs).argmax())
    known = table[:, table.sum(0) > 0]
    p = stats.chi2_contingency(known).pvalue if known.shape[1] > 1 else 1.0
    return TYPES, np.abs(ours - theirs).sum() / 2, p, float(theirs[most]), float(ours[most]), reference.types[most]


def _windows(random: np.random.Generator, blocks_of: np.ndarray, blocks: int, size: int) -> np.ndarray:
    """Return how often each document is in each of `size` windows: drawn one by one until they have enough blocks."""
    most = int(2 * blocks / max(blocks_of.mean(), 1e-9)) + 10
    drawn = random.integers(0, len(blocks_of), (size, most))
    before = np.cumsum(blocks_of[drawn], 1) - blocks_of[drawn]
    counts = np.zeros((size, len(blocks_of)))
    np.add.at(counts, (np.repeat(np.arange(size), most), drawn.ravel()), (before < blocks).ravel())
    return counts


def _table(values: np.ndarray, documents: np.ndarray, number: int) -> np.ndarray:
    """Return how often each document has each value, sorted: [number, n_different]. documents: of each value."""
    known = ~np.isnan(values)
    values, documents = values[known], documents[known]
    different, place = np.unique(values, return_inverse=True)
    if len(different) > MOST_VALUES:
        different = np.quantile(values, np.linspace(0, 1, MOST_VALUES), method="higher")
        place = np.searchsorted(different, values)
    table = np.zeros((number, len(different)))
    np.add.at(table, (documents, place), 1)
    return table


def _distances(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the Kolmogorov-Smirnov distances of two samples, for each row of how often they have each value."""
    curves = [np.cumsum(_shares(counts), 1) for counts in (ours, theirs)]
    return np.abs(curves[0] - curves[1]).max(1, initial=0)


def _shares(weights: np.ndarray) -> np.ndarray:
    return weights / np.maximum(weights.sum(-1, keepdims=True), 1e-12)


def _distance(move: Move) -> str:
    return f"distance {move.distance:.2f}, {move.allowed:.2f} allowed"
