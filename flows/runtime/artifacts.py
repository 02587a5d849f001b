"""A run's results as artifacts in the Prefect UI, made of the reports that belong to that run, also when it failed.

A stage of yours gets one by a function here, named in ARTIFACTS with the report that it reads.
"""

from collections.abc import Callable
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from flows.runtime.overrides import flat
from flows.runtime.run_record import DATA_DOCS, GATE, METRICS, REGISTRATION, REPORT, TRAINING, VALIDATION, Record
from flows.runtime.run_stage import CACHED
from flows.runtime.summary import number, picked, registered, score_rows, spread
from flows.servers.mlflow_rest import run_page, server
from ner.common.escaping import in_markdown
from ner.common.tables import markdown_table
from ner.evaluation.gate import headline

SPLITS = ("validation", "test")
FIGURES = {
    "types": "F1 by entity type, with intervals",
    "confusion": "Annotated and predicted types",
    "training": "Loss, and validation after each epoch",
}


def publish(record: Record) -> None:
    """Create every artifact that the run has a report for."""
    for path, create in ARTIFACTS.items():
        if report := record.read(path):
            create(report, record)
    for name, url in figure_urls(record).items():
        create_image_artifact(url, key=f"figure-{name}", description=FIGURES[name])
    create_markdown_artifact(links(record), key="results", description="Where the results are")


def publish_scores(metrics: dict[str, Any], record: Record) -> None:
    """Create two tables: the scores of each split, and of each entity type of each split."""
    table = score_rows(metrics)
    create_table_artifact(table, key="scores", description="Scores on whole sentences (seqeval, default mode)")
    if types := type_rows(metrics):
        create_table_artifact(types, key="scores-by-type", description="Scores by entity type")


def publish_gate(gate: dict[str, Any], record: Record) -> None:
    """Create the table of gate rules, failed ones first, with the reasons below it, since Prefect cuts long cells."""
    verdict = headline(gate) + ("" if gate["passed"] else ": nothing is registered")
    rules = sorted(gate["rules"], key=lambda rule: rule["passed"])
    rows = [
        [*(in_markdown(cell) for cell in (rule["rule"], number(rule["threshold"]), number(rule["value"]))), _word(rule)]
        for rule in rules
    ]
    lines = [f"# Gate {verdict}", "", markdown_table(["rule", "threshold", "value", "verdict"], rows)]
    lines += ["", *(f"- {in_markdown(rule['rule'])}: {in_markdown(rule['reason'])}" for rule in rules)]
    create_markdown_artifact("\n".join(lines), key="gate", description=f"Gate {verdict}")


def publish_validation(validation: dict[str, Any], record: Record) -> None:
    """Create a table of how many expectations held on each split, and which did not."""
    verdict = "passed" if validation["passed"] else "failed: nothing is trained"
    rows, broken = [], []
    for name, split in validation.get("splits", {}).items():
        held = f"{split.get('held')} of {split.get('expectations')}"
        rows.append([name, in_markdown(split.get("file", "")), held, _word(split)])
        entries = [entry for table in split.get("tables", {}).values() for entry in table if not entry["passed"]]
        broken += [
            f"- {name}: {in_markdown(entry['name'])}: {in_markdown(entry.get('observed', ''))}" for entry in entries
        ]
    table = markdown_table(["split", "file", "held", "verdict"], rows)
    page = "\n".join([f"# Validation {verdict}", "", table, "", *broken])
    create_markdown_artifact(page, key="validation", description=f"Validation {verdict}")


def links(record: Record) -> str:
    """Return Markdown that says where the model version, the MLflow run, the Data Docs and the reports are."""
    registration = record.read(REGISTRATION)
    lines = ["# Results", ""]
    if registration:
        lines.append(f"- Model: {in_markdown(registered(registration))}")
        if registration["version"]:
            lines[-1] += ": `models:/{model}/{version}`".format_map(registration)
    if run_id := _run_id(record):
        page = run_page(run_id)
        lines.append(f"- MLflow run: [{run_id}]({page})" if page else f"- MLflow run: `{run_id}`")
    for name, path in (("Data Docs", DATA_DOCS), ("Mistakes, slices, pictures", REPORT)):
        if file := record.report(path):
            lines.append(f"- {name}: `{file}`")
    lines.append(f"- Reports: `{record.folder / 'reports'}`")
    if record.changes:
        settings = (f"`{key}={value}`" for key, value in flat(record.changes).items())
        lines.append(f"- Parameters of this run: {', '.join(settings)}")
    if record.sentence:
        lines.append(f"- Failed: {in_markdown(record.sentence)}")
    return "\n".join(lines)


def figure_urls(record: Record) -> dict[str, str]:
    """Return the address of each figure in the MLflow run; none without a server that may be named.

    A training from the cache that is judged by other parameters keeps the figures of its first run, so none then.
    """
    run_id, uri, train = _run_id(record), server(), record.outcomes.get("train")
    is_first = not (record.changes and train and train.how == CACHED)
    if not (run_id and uri and "@" not in uri and record.report(REPORT) and is_first):
        return {}
    return {name: f"{uri}/get-artifact?path=figures/{name}.png&run_uuid={run_id}" for name in FIGURES}


def type_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row an entity type and split, with the interval of its F1."""
    columns = ("precision", "recall", "f1", "support")
    return [
        {"split": split, "type": in_markdown(name), **picked(row, columns), **spread(row.get("interval"))}
        for split in SPLITS
        for name, row in metrics.get(split, {}).get("per_type", {}).items()
    ]


def _run_id(record: Record) -> str | None:
    return record.read(REGISTRATION).get("mlflow_run_id") or record.read(TRAINING).get("mlflow_run_id")


def _word(result: dict[str, Any]) -> str:
    return "passed" if result["passed"] else "**failed**"


ARTIFACTS: dict[str, Callable[[dict[str, Any], Record], None]] = {
    VALIDATION: publish_validation,
    METRICS: publish_scores,
    GATE: publish_gate,
}
