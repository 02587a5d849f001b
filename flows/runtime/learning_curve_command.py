"""The command behind `make learning-curve`: the curve, and its table and picture as artifacts where Prefect runs."""

from typing import Any

from flows.runtime.prefect_api import answers
from flows.servers.mlflow_rest import server
from ner.common.tables import markdown_table


def main() -> None:
    """Train on 1/8, 1/4, 1/2 and all training documents, and say what twice the documents would bring."""
    from ner.search.learning_curve import main as draw

    report = draw()
    from prefect.settings import PREFECT_API_URL

    if (api := PREFECT_API_URL.value()) and answers(api):
        publish(report)


def publish(report: dict[str, Any]) -> None:
    """Create the artifacts `learning-curve` and, where MLflow has a server, `learning-curve-picture`."""
    from prefect.artifacts import create_image_artifact, create_markdown_artifact

    from ner.search.learning_report import table_rows

    sentence = report["sentence"]
    head, *rows = table_rows(report)
    page = f"# Learning curve\n\n{sentence}\n\n{markdown_table(head, rows)}"
    create_markdown_artifact(page, key="learning-curve", description=sentence)
    run, uri = report["mlflow_run_id"], server()
    if run and uri and "@" not in uri:
        address = f"{uri}/get-artifact?path=reports/curve.png&run_uuid={run}"
        create_image_artifact(address, key="learning-curve-picture", description=sentence)
