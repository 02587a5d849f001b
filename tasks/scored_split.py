"""All scores of one split, added up over parts of it, so that one part is in memory at a time.

    scored = score_split(read_prediction_parts(folder, "validation"), outline, temperature, known, params.evaluation)

What is scored is counts, so where the parts are cut changes no number; only the loss and the mean scores of calibration
may differ in their last digit, as sums of fractions. Of the whole split there are the outline, some 130 bytes a
sentence, and the counts of each unit (document, or sentence where there are none), some 260 bytes.
"""

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ner.bootstrap import MEASURES, f1, interval, intervals, resampled
from ner.calibration import expected_calibration_error, reliability_of
from ner.conlleval import ChunkScores
from ner.entities import PREDICTED, add_counts, sentence_counts
from ner.mistakes import CATEGORIES
from ner.params import EvaluationParams
from ner.scoring import scores_of
from ner.slices import VALUES, Mentions, add_features, add_slices, document_scores, slice_scores
from tasks.outline import Outline
from tasks.predictions import Predictions
from tasks.scored_part import THRESHOLDS, Sums, marked, part_sums

CONTEXT_SCORES = ("precision", "recall", "f1", "f1_strict", "accuracy")
Tables = dict[str, pd.DataFrame]


class Scored(NamedTuple):
    """scores: the block of metrics.json. tables: by the name of their file. differing: the first sentences in which the
    ways of scoring part. conlleval: what conlleval counts."""

    scores: dict[str, Any]
    tables: Tables
    differing: list[dict[str, Any]]
    conlleval: ChunkScores


def score_split(
    parts: Iterable[Predictions], outline: Outline, temperature: float, known: Mentions, params: EvaluationParams
) -> Scored:
    """The scores of a split. parts: all of it in order, at least one; known: the mentions of training."""
    counts = _Counts(outline, known)
    sums = reduce(add, (counts.add(part, temperature) for part in parts))
    resamples = resampled(counts.by_unit, params.resamples, params.seed)
    scores = _context_scores(sums, outline.context)
    for name, row in scores["per_type"].items():
        index = counts.types.index(name)
        row["predicted"] = int(counts.by_unit[:, index, PREDICTED].sum())
        row["interval"] = interval(f1(resamples[:, index]), params.confidence)
    overall = resamples[:, : len(counts.types)].sum(1)
    scores |= _summary(sums, outline, intervals(overall, params.confidence))
    tables = _tables(sums, scores, counts, resamples, params)
    main = sums.document if outline.context == "document" else sums.sentence
    return Scored(scores, tables, sums.differing, main.conlleval)


class _Counts:
    """Entities by unit, and by sentence: arrays [n, …, 3] of correct, predicted and gold (ner.entities)."""

    def __init__(self, outline: Outline, known: Mentions) -> None:
        self.outline, self.known, self.done = outline, known, 0
        self.types = sorted({label[2:] for label in outline.labels if label != "O"})
        self.by_unit = np.zeros((outline.n_units, len(self.types) + len(VALUES), 3), np.int32)
        self.by_sentence = np.zeros((len(outline.units), 3), np.int32)

    def add(self, part: Predictions, temperature: float) -> Sums:
        """Count the next part; returns what else it adds."""
        own = slice(self.done, self.done + len(part.tokens))
        tags = part.tags(part.logits)
        gold, found = marked(part, tags, temperature)
        sums = part_sums(part, tags, gold, found, temperature, first=self.done)
        units, places = self.outline.units[own], self.outline.places
        featured = [
            add_features(table, part.tokens, None if places is None else places[own], self.known)
            for table in (gold, found)
        ]
        types = len(self.types)
        add_counts(self.by_unit[:, :types], gold, found, units, "type", self.types)
        add_slices(self.by_unit[:, types:], *featured, units)
        self.by_sentence[own] = sentence_counts(gold, found, len(part.tokens))
        self.done = own.stop
        return sums


def _context_scores(sums: Sums, context: str) -> dict[str, Any]:
    """Scores in the context of training, beside those with documents and with each sentence alone, always both."""
    readings = {"document": sums.document, "sentence": sums.sentence}
    main = scores_of(readings[context])
    main["disagreements"] = sums.disagreements
    for name, counted in readings.items():
        own = main if name == context else scores_of(counted)
        main[name] = {measure: own[measure] for measure in CONTEXT_SCORES}
    return main


def _summary(sums: Sums, outline: Outline, overall: dict[str, list[float]]) -> dict[str, Any]:
    """What stands beside the scores in the block of metrics.json. overall: the intervals of all entities."""
    return {
        "loss": sums.loss.mean,
        "predicted": int(sums.fitted[:, -1].sum()),
        "interval": overall,
        "unit": outline.unit,
        "units": outline.n_units,
        "sentences": len(outline.units),
        "words": sums.words,
        "words_without_prediction": sums.words - sums.predicted_words,
        "calibration": {
            "ece": expected_calibration_error(reliability_of(sums.fitted)),
            "ece_before": expected_calibration_error(reliability_of(sums.unfitted)),
            "loss_before": sums.loss_before.mean,
        },
        "mistakes": {name: sums.mistakes[name] for name in CATEGORIES},
    }


def _tables(
    sums: Sums, scores: dict[str, Any], counts: _Counts, resamples: np.ndarray, params: EvaluationParams
) -> Tables:
    types, curves = len(counts.types), {"fitted": sums.fitted, "none": sums.unfitted}
    pairs = [(*pair, n) for pair, n in sorted(sums.confusion.items())]
    return {
        "per_type": type_rows(scores["per_type"]),
        "slices": slice_scores(counts.by_unit[:, types:].sum(0), resamples[:, types:], params.confidence),
        "documents": _documents(counts, params),
        "thresholds": threshold_rows(sums.kept),
        "reliability": pd.concat([reliability_of(bins).assign(temperature=name) for name, bins in curves.items()]),
        "confusion": pd.DataFrame(pairs, columns=["gold", "predicted", "entities"]).astype({"entities": int}),
    }


def _documents(counts: _Counts, params: EvaluationParams) -> pd.DataFrame:
    """Scores by document; a table without rows where the corpus has none."""
    rows = slice(None if counts.outline.unit == "document" else 0)
    ids = counts.outline.document_ids[rows]
    return document_scores(counts.by_sentence[rows], ids, params.resamples, params.seed, params.confidence)


def type_rows(per_type: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A row an entity type, its interval as f1_low and f1_high."""
    columns = ["type", "precision", "recall", "f1", "f1_low", "f1_high", "f1_strict", "predicted", "support"]
    rows = [
        {**row, "type": name, **dict(zip(columns[4:6], row["interval"], strict=True))} for name, row in per_type.items()
    ]
    return pd.DataFrame(rows, columns=columns)


def threshold_rows(counts: np.ndarray) -> pd.DataFrame:
    """Scores where only entities of at least that confidence are kept: threshold, precision, recall, f1, predicted."""
    values = {name: measure(counts) for name, measure in MEASURES.items()}
    return pd.DataFrame({"threshold": THRESHOLDS, **values, "predicted": counts[:, PREDICTED]})
