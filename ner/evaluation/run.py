"""Computes every score of validation and test from the stored predictions.

metrics = evaluate(params, Path("data/prepared"), Path("reports"))
"""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ner.common.files import replacing_folder, write_json, write_text
from ner.data.predictions import read_logits, read_prediction_parts, read_predictions
from ner.evaluation import conlleval
from ner.evaluation.calibration import fit_temperature
from ner.evaluation.corrected_test import corrected_scores
from ner.evaluation.scoring import MODE
from ner.evaluation.split_scores import Tables, read_outline, score_split
from ner.evaluation.training_overlap import read_other_folds, read_training
from ner.params import Params

SPLITS = ("validation", "test")


def evaluate(params: Params, prepared: Path, reports: Path) -> dict[str, Any]:
    """Write every score and table and return what metrics.json holds.

    Raises NerError where predictions or data are missing, and CorpusError for a corrected test set of other tokens.
    """
    folder = reports / "predictions"
    outlines = {name: read_outline(folder, name) for name in SPLITS}
    if outlines["validation"].folds is None:
        mentions, shared = read_training(prepared, {name: outline.distinct for name, outline in outlines.items()})
        known = {name: [mentions] for name in SPLITS}
    else:
        (*of_folds, of_all), shared = read_other_folds(folder, outlines)
        known = {"validation": of_folds, "test": [of_all]}
    temperature = fit_temperature(partial(read_logits, folder, "validation"))
    scored = {}
    for name, outline in outlines.items():
        parts = read_prediction_parts(folder, name)
        scored[name] = score_split(parts, outline, temperature, known[name], params.evaluation)
        scored[name].scores["shared_sentences"] = shared[name]
    metrics: dict[str, Any] = {
        "mode": MODE,
        "context": outlines["validation"].context,
        "fingerprint": outlines["validation"].fingerprint,
        "temperature": temperature,
        "bootstrap": {name: getattr(params.evaluation, name) for name in ("resamples", "confidence", "seed")},
        **{name: own.scores for name, own in scored.items()},
        "test_corrected": None,
    }
    if params.evaluation.corrected_test is not None:
        metrics["test_corrected"] = corrected_scores(read_predictions(folder, "test"), params.evaluation)
    write_tables(reports, {name: own.tables for name, own in scored.items()})
    reports_of = (f"{name}\n{conlleval.report(own.counts)}" for name, own in scored.items())
    write_text(reports / "conlleval.txt", "\n".join(reports_of))
    write_json(reports / "metrics.json", metrics)
    write_json(reports / "scores.json", headline(metrics))
    return metrics


def write_tables(reports: Path, splits: dict[str, Tables]) -> None:
    """Write a CSV file per table, with the rows of every split, and the plots of validation."""
    for table in splits["validation"]:
        rows = pd.concat([own[table].assign(split=name) for name, own in splits.items()], ignore_index=True)
        write_text(reports / f"{table}.csv", to_csv(rows))
    write_plots(reports / "plots", splits["validation"])


def write_plots(folder: Path, tables: Tables) -> None:
    """Write validation as DVC's plot templates read it: a file per plot, and in `confusion` a row per entity."""
    pairs = tables["confusion"]
    plots = {name: tables[name] for name in ("per_type", "thresholds")}
    plots["confusion"] = pairs.loc[pairs.index.repeat(pairs["entities"]), ["gold", "predicted"]]
    with replacing_folder(folder) as temporary:
        for name, rows in plots.items():
            rows = rows.drop(columns="split", errors="ignore")
            rows.to_csv(temporary / f"{name}.csv", index=False, float_format="%.6f", lineterminator="\n")


def to_csv(rows: pd.DataFrame) -> str:
    """Return CSV with the split first and six decimals."""
    columns = ["split", *(name for name in rows if name != "split")]
    return rows[columns].to_csv(index=False, float_format="%.6f", lineterminator="\n")


def headline(metrics: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return the few numbers that fit a line of `dvc metrics show` and `dvc exp show`; metrics.json has them all."""
    numbers = {
        split: {
            "f1": metrics[split]["f1"],
            "alone": metrics[split]["sentence"]["f1"],
            "strict": metrics[split]["f1_strict"],
        }
        for split in SPLITS
    }
    corrected = metrics["test_corrected"]
    return numbers | ({"test_corrected": {"f1": corrected["f1"]}} if corrected else {})
