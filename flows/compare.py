"""Flow `ner-compare`: challenger against champion on the same data, with the sentences that only one gets right.

Run     prefect deployment run ner-compare/compare
        prefect deployment run ner-compare/compare --param challenger=ner/3 --param champion=ner/2
Reads   the MLflow registry and the runs of both versions, through `python -m tasks.compare`
Writes  what that writes; artifacts in Prefect: the comparison, its sentences as a table, its picture
"""

import os
from typing import Any, Literal

from prefect import flow
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.states import State

from flows.told import run_module

TABLE_ROWS = 100


@flow(name="ner-compare")
def ner_compare(
    challenger: str | int = "challenger",
    champion: str | int = "champion",
    splits: list[Literal["validation", "test"]] | None = None,
    predict: bool = False,
) -> State:
    """Compare two versions: paired bootstrap overall and by type, and the sentences that only one gets right.

    challenger, champion: an alias, `ner@alias`, or a version: 3 or `ner/3`. splits: both unless given; the verdict is
    on the first. predict: let a version that has not predicted the present data do so first.
    """
    chosen = ["--split", *splits] if splits else []
    told = run_module("compare", str(challenger), str(champion), *chosen, *(["--predict"] if predict else []))
    if told.report.get("markdown"):
        publish(told.report)
    return told.state("The two were compared.")


def publish(report: dict[str, Any]) -> None:
    """The artifacts of a comparison; the table has the first TABLE_ROWS sentences."""
    create_markdown_artifact(report["markdown"], key="comparison", description=report["sentence"])
    if rows := report["rows"]:
        many = f", the first {TABLE_ROWS} of {len(rows):,}" if len(rows) > TABLE_ROWS else ""
        about = f"Sentences that only one gets right{many}"
        create_table_artifact(rows[:TABLE_ROWS], key="comparison-sentences", description=about)
    if url := picture_url(report):
        create_image_artifact(url, key="comparison-difference", description="Difference of F1 by entity type")


def picture_url(report: dict[str, Any]) -> str | None:
    """Where the MLflow server shows the picture; None without a server, or where the comparison is in no run."""
    server = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    if not (server.startswith("http") and "@" not in server and report.get("place")):
        return None
    return f"{server}/get-artifact?path={report['place']}/difference.png&run_uuid={report['mlflow_run_id']}"
