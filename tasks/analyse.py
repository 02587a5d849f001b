"""Stage `analyse`: what a score does not say: each mistake, suspected annotations, figures, and one page with it all.

Run     python -m tasks.analyse
Reads   reports/predictions, reports/{metrics,disagreements,training}.json, reports/{history,loss,slices,documents,
        thresholds,reliability,confusion}.csv
Writes  reports/mistakes/{validation,test}.parquet, reports/label_issues.csv, reports/figures/*.png, reports/report.html
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.report.analysis import analyse, summary
from ner.tracking.determined import training_record
from ner.tracking.runs import try_log_analysis

REPORTS = Path("reports")


def main() -> None:
    print(f"{summary(analyse(REPORTS))}\n{REPORTS / 'report.html'}", flush=True)
    try_log_analysis(training_record(REPORTS / "training.json").get("mlflow_run_id"), REPORTS)


if __name__ == "__main__":
    run_stage("analyse", main)
