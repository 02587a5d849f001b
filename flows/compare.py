"""Flow `ner-compare`: challenger against champion on the same data, with the sentences that only one gets right.

Run     prefect deployment run ner-compare/compare
        prefect deployment run ner-compare/compare --param challenger=ner/3 --param champion=ner/2
Reads   the MLflow registry and the runs of both versions, through `ner compare`
Writes  what that writes; artifacts in Prefect: the comparison, its sentences as a table
"""

from typing import Any, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.states import State

from flows.runtime.names import named
from flows.runtime.run_command import run_command

TABLE_ROWS = 100


@flow(name="ner-compare", flow_run_name=named("{challenger} against {champion}"))
def ner_compare(
    challenger: str | int = "challenger",
    champion: str | int = "champion",
    splits: list[Literal["validation", "test"]] | None = None,
    predict: bool = False,
) -> State:
    """Compare two versions: paired bootstrap overall and by type, and the sentences that only one gets right.

    Args:
        challenger: An alias, `ner@alias`, or a version: 3 or `ner/3`.
        champion: The other one, likewise.
        splits: Both unless given; the verdict is on the first.
        predict: Let a version that has not predicted the present data do so first.
    """
    chosen = [f"--split={split}" for split in splits or []]
    result = run_command("compare", *chosen, *(["--predict"] if predict else []), "--", str(challenger), str(champion))
    if result.report.get("markdown"):
        publish(result.report)
    return result.state("The two were compared.")


def publish(report: dict[str, Any]) -> None:
    """Create the artifacts of a comparison; the table has the first TABLE_ROWS sentences."""
    create_markdown_artifact(report["markdown"], key="comparison", description=report["sentence"])
    if rows := report["rows"]:
        many = f", the first {TABLE_ROWS} of {len(rows):,}" if len(rows) > TABLE_ROWS else ""
        about = f"Sentences that only one gets right{many}"
        create_table_artifact(rows[:TABLE_ROWS], key="comparison-sentences", description=about)
