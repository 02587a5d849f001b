"""All scores of one split, added up over parts of it, so that one part is in memory at a time.

    outline = read_outline(folder, "validation")
    known, shared = read_training(Path("data/prepared"), {"validation": outline.distinct})
    scored = score_split(read_prediction_parts(folder, "validation"), outline, temperature, [known], params.evaluation)

What is scored is counts, so where the parts are cut changes no number; only the loss and the mean scores of calibration
may differ in their last digit, as sums of fractions. Of the whole split there are the outline, some 130 bytes a
sentence, and the counts of each unit (document, or sentence where there are none), some 260 bytes.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ner.data.entities import (
    PREDICTED,
    add_counts,
    entity_scores,
    entity_table,
    mark_correct,
    sentence_counts,
    unit_numbers,
)  # fmt: skip
from ner.data.fingerprint import distinct_sentences
from ner.data.predictions import ABOUT, Predictions, read_about, read_columns, read_folds
from ner.data.prepared import to_lists
from ner.evaluation.bootstrap import MEASURES, f1, interval, intervals, resampled
from ner.evaluation.calibration import Loss, bin_sums, expected_calibration_error, reliability
from ner.evaluation.counts import EntityCounts, count
from ner.evaluation.error_analysis import CATEGORIES, confusion, mistakes
from ner.evaluation.scoring import disagreements, scores_of
from ner.evaluation.slices import (
    VALUES,
    Mentions,
    add_features,
    add_slices,
    document_scores,
    positions,
    slice_scores,
)  # fmt: skip
from ner.params import EvaluationParams

THRESHOLDS = np.round(np.linspace(0, 1, 101), 2)
CONTEXT_SCORES = ("precision", "recall", "f1", "f1_strict", "accuracy")
Tables = dict[str, pd.DataFrame]
Tags = list[list[str]]


# ---- what is known before the first part


class Outline(NamedTuple):
    """Statistics of a whole split, read before its parts are scored; arrays have a value per sentence."""

    document_ids: np.ndarray
    units: np.ndarray  # of the bootstrap (ner.data.entities.unit_numbers)
    unit: str
    places: np.ndarray | None  # of sentences in documents; None where the split has no documents
    distinct: set[bytes]  # ner.data.fingerprint.distinct_sentences
    folds: np.ndarray | None  # ner.data.predictions.read_folds
    labels: list[str]
    context: str
    fingerprint: str

    @property
    def n_units(self) -> int:
        return int(self.units.max(initial=-1)) + 1


def read_outline(folder: Path, split: str) -> Outline:
    """Read the Outline in one pass. Raises what ner.data.predictions.read_predictions raises."""
    about, ids, distinct = read_about(folder, split), [], set()
    for table in read_columns(folder, split, ("document_id", "tokens")):
        ids.append(table["document_id"].to_numpy())
        distinct |= distinct_sentences(to_lists(table["tokens"]))
    document_ids = np.concatenate(ids)
    units, unit = unit_numbers(document_ids)
    places = positions(document_ids) if unit == "document" else None
    own = {name: about[name] for name in ABOUT}
    return Outline(document_ids, units, unit, places, distinct, read_folds(folder, split), **own)


# ---- one part


@dataclass(frozen=True)
class Sums:
    """The sums of one part of a split, entities by document aside; every field adds up."""

    document: EntityCounts  # sentences read with their neighbours
    sentence: EntityCounts  # each by itself
    disagreements: int  # sentences that seqeval's two readings read differently
    kept: np.ndarray  # kept_counts
    fitted: np.ndarray  # ner.evaluation.calibration.bin_sums of the scores with the temperature,
    unfitted: np.ndarray  # and without it
    mistakes: Counter[str]  # by category
    confusion: Counter[tuple[str, str]]  # by gold and predicted type
    loss: Loss
    loss_before: Loss  # without the temperature
    words: int
    predicted_words: int

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def marked(part: Predictions, tags: Tags, temperature: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the gold and the predicted entities (marked tables of ner.data.entities). tags: those of part.logits."""
    gold = entity_table(part.gold)
    predicted = entity_table(tags, part.by_sentence(part.probabilities(temperature)), part.labels)
    mark_correct(gold, predicted)
    return gold, predicted


def part_sums(part: Predictions, tags: Tags, gold: pd.DataFrame, predicted: pd.DataFrame, temperature: float) -> Sums:
    """Return the sums of a part."""
    wrong, ids = mistakes(gold, predicted), part.gold_ids()
    unfitted = entity_scores(predicted, part.by_sentence(part.probabilities(1.0)), part.labels)
    return Sums(
        **counts_by_context(part, tags),
        disagreements=disagreements(part.gold, tags),
        kept=kept_counts(predicted, len(gold)),
        fitted=bin_sums(predicted["score"], predicted["correct"]),
        unfitted=bin_sums(unfitted, predicted["correct"]),
        mistakes=Counter(wrong["category"]),
        confusion=Counter({(row.gold, row.predicted): row.entities for row in confusion(gold, wrong).itertuples()}),
        loss=Loss.of(part.logits, ids, temperature),
        loss_before=Loss.of(part.logits, ids),
        words=part.words,
        predicted_words=sum(map(len, tags)),
    )


def counts_by_context(part: Predictions, tags: Tags) -> dict[str, EntityCounts]:
    """Count entities with document context and with each sentence alone. tags: in the context that decides."""
    main, counts = count(part.gold, tags), {}
    for name, logits in (("document", part.logits_document), ("sentence", part.logits_alone)):
        is_main = name == part.context or np.array_equal(logits, part.logits)
        counts[name] = main if is_main else count(part.gold, part.tags(logits))
    return counts


def kept_counts(predicted: pd.DataFrame, gold: int) -> np.ndarray:
    """Return correct, predicted and gold entities with at least each score: [len(THRESHOLDS), 3]."""
    is_kept = predicted["score"].to_numpy()[:, None] >= THRESHOLDS
    right = predicted["correct"].to_numpy(bool)
    return np.stack([is_kept[right].sum(0), is_kept.sum(0), np.full(len(THRESHOLDS), gold)], -1)


# ---- the whole split


class Scored(NamedTuple):
    """scores: the block of metrics.json of a split. tables: by file name. counts: in the context of training."""

    scores: dict[str, Any]
    tables: Tables
    counts: EntityCounts


def score_split(
    parts: Iterable[Predictions],
    outline: Outline,
    temperature: float,
    known: Sequence[Mentions],
    params: EvaluationParams,
) -> Scored:
    """Return the scores of a split. parts: all of it in order, at least one; known: the mentions of training, of each
    fold where there are folds.
    """
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
    if (folds := outline.folds) is not None:
        scores["folds"] = [float(f1(counts.by_sentence[folds == fold].sum(0))) for fold in range(len(known))]
    tables = _tables(sums, scores, counts, resamples, params)
    main = sums.document if outline.context == "document" else sums.sentence
    return Scored(scores, tables, main)


class _Counts:
    """Entities by unit, and by sentence: arrays [n, …, 3] of correct, predicted and gold (ner.data.entities)."""

    def __init__(self, outline: Outline, known: Sequence[Mentions]) -> None:
        self.outline, self.known, self.done = outline, known, 0
        self.types = sorted({label[2:] for label in outline.labels if label != "O"})
        self.by_unit = np.zeros((outline.n_units, len(self.types) + len(VALUES), 3), np.int32)
        self.by_sentence = np.zeros((len(outline.units), 3), np.int32)

    def add(self, part: Predictions, temperature: float) -> Sums:
        """Count the next part; returns what else it adds."""
        own = slice(self.done, self.done + len(part.tokens))
        tags = part.tags(part.logits)
        gold, predicted = marked(part, tags, temperature)
        sums = part_sums(part, tags, gold, predicted, temperature)
        units = self.outline.units[own]
        gold_rows, found_rows = (self._features(table, part, own) for table in (gold, predicted))
        types = len(self.types)
        add_counts(self.by_unit[:, :types], gold, predicted, units, "type", self.types)
        add_slices(self.by_unit[:, types:], gold_rows, found_rows, units)
        self.by_sentence[own] = sentence_counts(gold, predicted, len(part.tokens))
        self.done = own.stop
        return sums

    def _features(self, table: pd.DataFrame, part: Predictions, own: slice) -> pd.DataFrame:
        """Return the table with its slices: of each fold by what its model was trained on."""
        places, folds = self.outline.places, self.outline.folds
        places = None if places is None else places[own]
        if folds is None:
            return add_features(table, part.tokens, places, self.known[0])
        of = folds[own][table["sentence"]]
        return pd.concat(
            add_features(table[of == fold], part.tokens, places, known) for fold, known in enumerate(self.known)
        )


def _context_scores(sums: Sums, context: str) -> dict[str, Any]:
    """Return scores in the context of training, and beside them those in documents and of each sentence alone."""
    readings = {"document": sums.document, "sentence": sums.sentence}
    main = scores_of(readings[context])
    main["disagreements"] = sums.disagreements
    for name, counted in readings.items():
        own = main if name == context else scores_of(counted)
        main[name] = {measure: own[measure] for measure in CONTEXT_SCORES}
    return main


def _summary(sums: Sums, outline: Outline, overall: dict[str, list[float]]) -> dict[str, Any]:
    """Return what stands beside the scores in the block of metrics.json. overall: the intervals of all entities."""
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
            "ece": expected_calibration_error(reliability(sums.fitted)),
            "ece_before": expected_calibration_error(reliability(sums.unfitted)),
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
        "reliability": pd.concat([reliability(bins).assign(temperature=name) for name, bins in curves.items()]),
        "confusion": pd.DataFrame(pairs, columns=["gold", "predicted", "entities"]).astype({"entities": int}),
    }


def _documents(counts: _Counts, params: EvaluationParams) -> pd.DataFrame:
    """Return scores by document; a table without rows where the corpus has none."""
    rows = slice(None if counts.outline.unit == "document" else 0)
    ids = counts.outline.document_ids[rows]
    return document_scores(counts.by_sentence[rows], ids, params.resamples, params.seed, params.confidence)


def type_rows(per_type: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Return a row per entity type, its interval as f1_low and f1_high."""
    columns = ["type", "precision", "recall", "f1", "f1_low", "f1_high", "f1_strict", "predicted", "support"]
    rows = [
        {**row, "type": name, **dict(zip(columns[4:6], row["interval"], strict=True))} for name, row in per_type.items()
    ]
    return pd.DataFrame(rows, columns=columns)


def threshold_rows(counts: np.ndarray) -> pd.DataFrame:
    """Return scores at each confidence threshold: threshold, precision, recall, f1, predicted."""
    values = {name: measure(counts) for name, measure in MEASURES.items()}
    return pd.DataFrame({"threshold": THRESHOLDS, **values, "predicted": counts[:, PREDICTED]})
