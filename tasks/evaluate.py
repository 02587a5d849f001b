"""Stage `evaluate`: every score of validation and test, from the stored predictions, in seconds.

Run     python -m tasks.evaluate
Reads   reports/predictions, data/prepared/train.parquet (which mentions and sentences are known from training),
        params.yaml [evaluation]
Writes  reports/metrics.json, reports/scores.json (its headline), reports/{per_type,slices,documents,thresholds,
        reliability,confusion}.csv, reports/conlleval.txt (what the original script prints), reports/disagreements.json,
        reports/plots/*.csv (validation, for DVC plots)

Validation decides at the gate and fits the temperature; test is reported. All is scored on whole sentences.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ner import conlleval
from ner.bootstrap import MEASURES, draws, f1, interval, intervals
from ner.calibration import expected_calibration_error, fit_temperature, reliability
from ner.corpus import shared_share
from ner.entities import PREDICTED, count, entity_table, mark_correct, unit_numbers
from ner.mistakes import CATEGORIES, confusion, mistakes
from ner.params import EvaluationParams, Params
from ner.probability import log_loss
from ner.scoring import MODE, score
from ner.slices import Mentions, add_features, document_scores, known_mentions, slice_scores
from ner.three_ways import differences
from tasks.cli import run_stage
from tasks.corrected import corrected_scores
from tasks.io import read_json, read_params, replacing_folder, write_json, write_text
from tasks.predictions import Predictions, read_predictions
from tasks.prepared import read_manifest, read_parts, to_tags
from tasks.tables import scores_table
from tasks.tracking import try_log_evaluation

PREPARED, REPORTS = Path("data/prepared"), Path("reports")
TRAINING = REPORTS / "training.json"
SPLITS = ("validation", "test")
THRESHOLDS = np.round(np.linspace(0, 1, 101), 2)
CONTEXT_SCORES = ("precision", "recall", "f1", "f1_strict", "accuracy")
Tables = dict[str, pd.DataFrame]


def evaluate(params: Params, prepared: Path, reports: Path) -> dict[str, Any]:
    """Write every score and table and return what metrics.json holds.

    Raises NerError where predictions or data are missing, and CorpusError for a corrected test set of other tokens.
    """
    splits = {name: read_predictions(reports / "predictions", name) for name in SPLITS}
    validation, test = splits["validation"], splits["test"]
    temperature = fit_temperature(validation.logits, validation.gold_ids())
    known = training_mentions(prepared)
    metrics: dict[str, Any] = {
        "mode": MODE,
        "context": validation.context,
        "fingerprint": validation.fingerprint,
        "temperature": temperature,
        "bootstrap": {name: getattr(params.evaluation, name) for name in ("resamples", "confidence", "seed")},
    }
    tables: list[Tables] = []
    disagreements = {}
    for name, predictions in splits.items():
        scores, own, differing = score_split(predictions, temperature, known, params.evaluation)
        scores["shared_sentences"] = shared_share(predictions.tokens, training_sentences(prepared))
        metrics[name], disagreements[name] = scores, differing
        tables.append({table: rows.assign(split=name) for table, rows in own.items()})
    metrics["test_corrected"] = corrected_scores(test, params.evaluation)
    for table in tables[0]:
        rows = pd.concat([own[table] for own in tables], ignore_index=True)
        write_text(reports / f"{table}.csv", to_csv(rows))
    write_plots(reports / "plots", tables[0])
    write_text(reports / "conlleval.txt", conlleval_reports(splits))
    write_json(reports / "disagreements.json", disagreements)
    write_json(reports / "metrics.json", metrics)
    write_json(reports / "scores.json", headline(metrics))
    return metrics


def training_mentions(prepared: Path) -> Mentions:
    """The mentions of the training split with their types; a part of it is in memory at a time."""
    labels, known = read_manifest(prepared)["labels"], {}
    for part in read_parts(prepared, "train"):
        known_mentions(part.tokens, entity_table(to_tags(part.tag_ids, labels)), known)
    return known


def training_sentences(prepared: Path) -> Iterator[list[str]]:
    """The sentences of the training split; a part of it is in memory at a time."""
    return (tokens for part in read_parts(prepared, "train") for tokens in part.tokens)


def score_split(
    predictions: Predictions, temperature: float, known: Mentions, params: EvaluationParams
) -> tuple[dict[str, Any], Tables, list[dict[str, Any]]]:
    """The block of metrics.json of one split, its tables by name of their file, and where the ways of scoring part."""
    tags = predictions.tags(predictions.logits)
    gold, found = entity_table(predictions.gold), predictions.entities(temperature)
    mark_correct(gold, found)
    units, unit = unit_numbers(predictions.document_ids)
    drawn = draws(int(units.max(initial=-1)) + 1, params.resamples, params.seed)
    types = sorted({*gold["type"], *found["type"]})
    counts = count(gold, found, units, types)
    documents = predictions.document_ids if unit == "document" else None
    featured = [add_features(table, predictions.tokens, documents, known) for table in (gold, found)]
    wrong = mistakes(gold, found)
    curves = {
        "fitted": reliability(found["score"], found["correct"]),
        "none": reliability(predictions.entities(1.0)["score"], found["correct"]),
    }
    scores, differing = context_scores(predictions, tags)
    for index, name in enumerate(types):
        row = scores["per_type"][name]
        row["predicted"] = int(counts[:, index, PREDICTED].sum())
        row["interval"] = interval(f1(drawn @ counts[:, index]), params.confidence)
    tables = {
        "per_type": type_rows(scores["per_type"]),
        "slices": slice_scores(*featured, units, drawn, params.confidence),
        "documents": documents_table(gold, found, documents, params),
        "thresholds": threshold_scores(found, len(gold)),
        "reliability": pd.concat([rows.assign(temperature=name) for name, rows in curves.items()]),
        "confusion": confusion(gold, wrong),
    }
    scores |= {
        "loss": log_loss(predictions.logits, predictions.gold_ids(), temperature),
        "predicted": len(found),
        "interval": intervals(counts.sum(1), drawn, params.confidence),
        "unit": unit,
        "units": int(units.max(initial=-1)) + 1,
        "sentences": len(predictions.tokens),
        "words": predictions.words,
        "words_without_prediction": predictions.words - sum(map(len, tags)),
        "calibration": {
            "ece": expected_calibration_error(curves["fitted"]),
            "ece_before": expected_calibration_error(curves["none"]),
            "loss_before": log_loss(predictions.logits, predictions.gold_ids()),
        },
        "mistakes": {name: int((wrong["category"] == name).sum()) for name in CATEGORIES},
    }
    return scores, tables, differing


def context_scores(predictions: Predictions, tags: list[list[str]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Scores in the context of training, beside those with documents and with each sentence alone, always both."""
    main = score(predictions.gold, tags)
    parted = differences(predictions.gold, tags, predictions.tokens)
    readings = {"document": predictions.logits_document, "sentence": predictions.logits_alone}
    main["disagreements"] = parted["sentences"]
    for name, logits in readings.items():
        is_main = name == predictions.context or np.array_equal(logits, predictions.logits)
        own = main if is_main else score(predictions.gold, predictions.tags(logits))
        main[name] = {measure: own[measure] for measure in CONTEXT_SCORES}
    return main, parted["listed"]


def conlleval_reports(splits: dict[str, Predictions]) -> str:
    """What conlleval prints about each split, under its name."""
    counted = {name: conlleval.count(one.gold, one.tags(one.logits)) for name, one in splits.items()}
    return "\n".join(f"{name}\n{conlleval.report(counts)}" for name, counts in counted.items())


def type_rows(per_type: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """A row an entity type, its interval as f1_low and f1_high."""
    columns = ["type", "precision", "recall", "f1", "f1_low", "f1_high", "f1_strict", "predicted", "support"]
    rows = [
        {**row, "type": name, **dict(zip(columns[4:6], row["interval"], strict=True))} for name, row in per_type.items()
    ]
    return pd.DataFrame(rows, columns=columns)


def documents_table(
    gold: pd.DataFrame, found: pd.DataFrame, documents: list[int] | None, params: EvaluationParams
) -> pd.DataFrame:
    """Scores by document; a table without rows where the corpus has none."""
    if documents is None:
        gold, found, documents = gold.iloc[:0], found.iloc[:0], []
    return document_scores(gold, found, documents, params.resamples, params.seed, params.confidence)


def threshold_scores(found: pd.DataFrame, gold: int) -> pd.DataFrame:
    """Scores where only entities of at least that confidence are kept: threshold, precision, recall, f1, predicted."""
    kept = found["score"].to_numpy()[:, None] >= THRESHOLDS
    counts = np.stack([kept[found["correct"].to_numpy(bool)].sum(0), kept.sum(0), np.full(len(THRESHOLDS), gold)], -1)
    values = {name: measure(counts) for name, measure in MEASURES.items()}
    return pd.DataFrame({"threshold": THRESHOLDS, **values, "predicted": counts[:, PREDICTED]})


def write_plots(folder: Path, tables: Tables) -> None:
    """The validation split as DVC's plot templates read it: one file a plot, and in `confusion` a row an entity."""
    pairs = tables["confusion"]
    plots = {name: tables[name] for name in ("per_type", "thresholds")}
    plots["confusion"] = pairs.loc[pairs.index.repeat(pairs["entities"]), ["gold", "predicted"]]
    with replacing_folder(folder) as temporary:
        for name, rows in plots.items():
            rows = rows.drop(columns="split", errors="ignore")
            rows.to_csv(temporary / f"{name}.csv", index=False, float_format="%.6f", lineterminator="\n")


def to_csv(rows: pd.DataFrame) -> str:
    """CSV with the split first and six decimals."""
    columns = ["split", *(name for name in rows if name != "split")]
    return rows[columns].to_csv(index=False, float_format="%.6f", lineterminator="\n")


def headline(metrics: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The few numbers that fit a line of `dvc metrics show`; metrics.json has them all."""
    names = ("f1", "precision", "recall", "accuracy", "f1_strict")
    return {
        split: {
            **{name: metrics[split][name] for name in names},
            "f1_low": metrics[split]["interval"]["f1"][0],
            "f1_high": metrics[split]["interval"]["f1"][1],
            "f1_alone": metrics[split]["sentence"]["f1"],
        }
        for split in SPLITS
    }


def main() -> None:
    metrics = evaluate(read_params(), PREPARED, REPORTS)
    print(scores_table(metrics), flush=True)
    try_log_evaluation(read_json(TRAINING)["mlflow_run_id"], metrics, [REPORTS / "metrics.json"])


if __name__ == "__main__":
    run_stage("evaluate", main)
