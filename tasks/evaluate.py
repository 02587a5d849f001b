"""Stage `evaluate`: every score of validation and test, from the stored predictions, in seconds.

Run     python -m tasks.evaluate
Reads   reports/predictions, data/prepared/train.parquet (which mentions and sentences are known from training),
        params.yaml [evaluation]
Writes  reports/metrics.json, reports/scores.json (its headline), reports/{per_type,slices,documents,thresholds,
        reliability,confusion}.csv, reports/conlleval.txt (what the original script prints), reports/disagreements.json,
        reports/plots/*.csv (validation, for DVC plots)

Validation decides at the gate and fits the temperature; test is reported. All is scored on whole sentences.
"""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from ner import conlleval
from ner.calibration import fit_in_parts
from ner.params import Params
from ner.scoring import MODE
from tasks.cli import run_stage
from tasks.corrected import corrected_scores
from tasks.io import read_json, read_params, replacing_folder, write_json, write_text
from tasks.outline import read_outline, read_training
from tasks.predictions import read_logits, read_prediction_parts, read_predictions
from tasks.scored_split import Tables, score_split
from tasks.tables import scores_table
from tasks.tracking import try_log_evaluation

PREPARED, REPORTS = Path("data/prepared"), Path("reports")
TRAINING = REPORTS / "training.json"
SPLITS = ("validation", "test")


def evaluate(params: Params, prepared: Path, reports: Path) -> dict[str, Any]:
    """Write every score and table and return what metrics.json holds.

    Raises NerError where predictions or data are missing, and CorpusError for a corrected test set of other tokens.
    """
    folder = reports / "predictions"
    outlines = {name: read_outline(folder, name) for name in SPLITS}
    known, shared = read_training(prepared, {name: outline.distinct for name, outline in outlines.items()})
    temperature = fit_in_parts(partial(read_logits, folder, "validation"))
    scored = {}
    for name, outline in outlines.items():
        parts = read_prediction_parts(folder, name)
        scored[name] = score_split(parts, outline, temperature, known, params.evaluation)
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
    reports_of = (f"{name}\n{conlleval.report(own.conlleval)}" for name, own in scored.items())
    write_text(reports / "conlleval.txt", "\n".join(reports_of))
    write_json(reports / "disagreements.json", {name: own.differing for name, own in scored.items()})
    write_json(reports / "metrics.json", metrics)
    write_json(reports / "scores.json", headline(metrics))
    return metrics


def write_tables(reports: Path, splits: dict[str, Tables]) -> None:
    """A CSV file a table, with the rows of every split, and the plots of validation."""
    for table in splits["validation"]:
        rows = pd.concat([own[table].assign(split=name) for name, own in splits.items()], ignore_index=True)
        write_text(reports / f"{table}.csv", to_csv(rows))
    write_plots(reports / "plots", splits["validation"])


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
