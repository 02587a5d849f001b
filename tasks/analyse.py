"""Stage `analyse`: what a score does not say: each mistake, suspected annotations, figures, and one page with it all.

Run     python -m tasks.analyse
Reads   reports/predictions, reports/{metrics,training}.json, reports/{history,loss,slices,documents,
        thresholds,reliability,confusion}.csv
Writes  reports/mistakes/{validation,test}.parquet, reports/label_issues.csv, reports/figures/*.png, reports/report.html
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.report.analysis import analyse, summary

REPORTS = Path("reports")


def main() -> None:
    print(f"{summary(analyse(REPORTS))}\n{REPORTS / 'report.html'}", flush=True)


if __name__ == "__main__":
    run_stage("analyse", main)
