"""A run's results as artifacts in the Prefect UI, made of the reports that belong to that run, also when it failed.

A stage of yours gets one by a function here, named in ARTIFACTS with the report that it reads.
"""

import os
from collections.abc import Callable
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from flows.record import DATA_DOCS, GATE, METRICS, REGISTRATION, REPORT, TRAINING, VALIDATION, Record
from ner.gate import headline
from tasks.plain_text import in_markdown

SPLITS = ("validation", "test")
MEASURES = ("precision", "recall", "f1", "accuracy")
FIGURES = {
    "types": "F1 by entity type, with intervals",
    "mistakes": "What is wrong with the wrong entities",
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
    """Two tables: each split, and each entity type of each split."""
    table = score_rows(metrics)
    create_table_artifact(table, key="scores", description="Scores on whole sentences (seqeval, default mode)")
    if types := type_rows(metrics):
        create_table_artifact(types, key="scores-by-type", description="Scores by entity type")


def publish_gate(gate: dict[str, Any], record: Record) -> None:
    """The verdict and the reason of each rule, those that failed first."""
    verdict = headline(gate) + ("" if gate["passed"] else ": nothing is registered")
    lines = [f"# Gate {verdict}", "", "| rule | threshold | value | verdict | reason |", "|---|---|---|---|---|"]
    for rule in sorted(gate["rules"], key=lambda rule: rule["passed"]):
        word = "passed" if rule["passed"] else "**failed**"
        cells = [
            in_markdown(number(rule[name]) if name != "rule" else rule[name]) for name in ("rule", "threshold", "value")
        ]
        lines.append(f"| {' | '.join(cells)} | {word} | {in_markdown(rule['reason'])} |")
    create_markdown_artifact("\n".join(lines), key="gate", description=f"Gate {verdict}")


def publish_validation(validation: dict[str, Any], record: Record) -> None:
    """How many expectations held on each split, and those that did not."""
    verdict = "passed" if validation["passed"] else "failed: nothing is trained"
    lines = [f"# Validation {verdict}", "", "| split | file | held | verdict |", "|---|---|---|---|"]
    broken = []
    for name, split in validation.get("splits", {}).items():
        word = "passed" if split["passed"] else "**failed**"
        lines.append(
            f"| {name} | {in_markdown(split.get('file', ''))} | {split.get('held')} of {split.get('expectations')} "
            f"| {word} |"
        )
        entries = [entry for table in split.get("tables", {}).values() for entry in table if not entry["passed"]]
        broken += [
            f"- {name}: {in_markdown(entry['name'])}: {in_markdown(entry.get('observed', ''))}" for entry in entries
        ]
    lines += ["", *broken]
    create_markdown_artifact("\n".join(lines), key="validation", description=f"Validation {verdict}")


def links(record: Record) -> str:
    """Markdown that says where the model version, the MLflow run, the Data Docs and the reports are."""
    registration, training = record.read(REGISTRATION), record.read(TRAINING)
    lines = ["# Results", ""]
    if registration:
        name, version, alias = (registration.get(key) for key in ("model", "version", "alias"))
        lines.append(f"- Model: `{name}` version {version}, alias `{alias}`: `models:/{name}/{version}`")
    run_id = registration.get("mlflow_run_id") or training.get("mlflow_run_id")
    if url := registration.get("mlflow_run_url"):
        lines.append(f"- MLflow run: [{run_id}]({url}), with the reports and the Data Docs under *Artifacts*")
    elif run_id:
        lines.append(f"- MLflow run: `{run_id}`")
    if docs := record.report(DATA_DOCS):
        lines.append(f"- Data Docs: [{docs}]({docs.resolve().as_uri()})")
    if report := record.report(REPORT):
        lines.append(f"- Mistakes, slices, pictures: [{report}]({report.resolve().as_uri()})")
    lines.append(f"- Reports: `{record.folder / 'reports'}`")
    if record.changes:
        settings = (f"`{block}.{key}={value}`" for block, keys in record.changes.items() for key, value in keys.items())
        lines.append(f"- Parameters of this run: {', '.join(settings)}")
    if record.sentence:
        lines.append(f"- Failed: {in_markdown(record.sentence)}")
    return "\n".join(lines)


def figure_urls(record: Record) -> dict[str, str]:
    """The address of each of FIGURES on the MLflow server; empty without a server, or where the run made no figures."""
    server = os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
    run_id = (record.read(REGISTRATION) or record.read(TRAINING)).get("mlflow_run_id")
    if not (server.startswith("http") and "@" not in server and run_id and record.report(REPORT)):
        return {}
    return {name: f"{server}/get-artifact?path=figures/{name}.png&run_uuid={run_id}" for name in FIGURES}


def score_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a split: precision, recall, F1, accuracy, F1 in strict mode, support, and the interval of F1."""
    columns = (*MEASURES, "f1_strict", "support")
    return [
        {"split": split, **_picked(metrics[split], columns), **_spread(metrics[split].get("interval", {}).get("f1"))}
        for split in SPLITS
        if split in metrics
    ]


def type_rows(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """A row an entity type and split, with the interval of its F1."""
    columns = ("precision", "recall", "f1", "support")
    return [
        {"split": split, "type": in_markdown(name), **_picked(row, columns), **_spread(row.get("interval"))}
        for split in SPLITS
        for name, row in metrics.get(split, {}).get("per_type", {}).items()
    ]


def number(value: Any) -> Any:
    """Four decimals for a float; a dash for what could not be computed."""
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else value


def _picked(scores: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    return {column: number(scores[column]) for column in columns if column in scores}


def _spread(interval: Any) -> dict[str, str]:
    """The interval of an F1 as a cell; no cell where the report has none."""
    return {"interval of f1": f"{interval[0]:.4f} to {interval[1]:.4f}"} if interval else {}


ARTIFACTS: dict[str, Callable[[dict[str, Any], Record], None]] = {
    VALIDATION: publish_validation,
    METRICS: publish_scores,
    GATE: publish_gate,
}
