"""Stage `evaluate`: every score of validation and test, from the stored predictions, in seconds.

Run     python -m tasks.evaluate
Reads   reports/predictions, data/prepared/train.parquet (which mentions and sentences are known from training),
        params.yaml [evaluation]
Writes  reports/metrics.json, reports/scores.json (its headline), reports/{per_type,slices,documents,thresholds,
        reliability,confusion}.csv, reports/conlleval.txt (what the original script prints), reports/plots/*.csv
        (validation, for DVC plots)

Validation decides at the gate and fits the temperature; test is reported. All is scored on whole sentences.
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.evaluation.run import evaluate
from ner.evaluation.scores_table import scores_table

PREPARED, REPORTS = Path("data/prepared"), Path("reports")


def main() -> None:
    metrics = evaluate(read_params(), PREPARED, REPORTS)
    print(scores_table(metrics), flush=True)


if __name__ == "__main__":
    run_stage("evaluate", main)
