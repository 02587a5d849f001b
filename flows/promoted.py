"""Flows `ner-promoted` (checks the version that a person made champion) and `ner-rollback` (goes back to the last one).

Run     prefect deployment run ner-promoted/promoted       (flows/watch.py does it when the alias has moved)
        prefect deployment run ner-rollback/rollback --param reason="worse on the live texts"
Reads   the MLflow registry, through `python -m tasks.promotion`
Writes  the history in the registry; an artifact in Prefect
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from flows.process import stream
from flows.quiet import shorten_logs
from flows.stages import stage_environment
from tasks.io import read_json

VERDICTS = {True: "passed", False: "**failed**", None: "not run"}


@flow(name="ner-promoted")
def ner_promoted(on_failure: Literal["warn", "restore"] = "warn", again: bool = False) -> State:
    """Check the champion where the history does not know it: its gate, its files, that it loads, what it predicts.

    on_failure: "warn" leaves the alias where it is, "restore" puts it back on the last good version. again: check a
    champion that the history knows.
    """
    return promotion("--record", "--on-failure", on_failure, *(["--again"] if again else []))


@flow(name="ner-rollback")
def ner_rollback(reason: str) -> State:
    """Put the alias `champion` back on the last good version of the history, and write the reason there."""
    return promotion(f"--rollback={reason}")


def promotion(*arguments: str) -> State:
    """Run `python -m tasks.promotion`, its lines in the log; its entry as an artifact, its sentence as the state."""
    shorten_logs()
    log = get_run_logger()
    environment = stage_environment(str(flow_run.id), flow_run.ui_url if os.environ.get("PREFECT_API_URL") else None)
    environment["NER_FLOW_RUN_NAME"] = flow_run.name
    last = [""]

    def hear(line: str) -> None:
        last[0] = line
        log.info(line)

    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        command = [sys.executable, "-m", "tasks.promotion", *arguments, "--report", str(report)]
        status = stream(command, Path.cwd(), environment, hear)
        told = read_json(report) if report.exists() else {}
    if told.get("entry"):
        create_markdown_artifact(markdown(told), key="promotion", description=told["sentence"])
    if status:
        return Failed(message=told.get("sentence") or last[0] or f"promotion: it ended with status {status}.")
    return Completed(message=told.get("sentence") or "The history already has where champion points: nothing to do.")


def markdown(told: dict[str, Any]) -> str:
    """An entry of the history as a page: what happened, each check, and what was done."""
    entry = told["entry"]
    lines = [f"# {told['sentence']}", ""]
    if entry["checks"]:
        lines += ["| check | verdict | reason |", "|---|---|---|"]
        for check in entry["checks"]:
            reason = check["reason"].replace("|", "\\|")
            lines.append(f"| {check['name']} | {VERDICTS[check['passed']]} | {reason} |")
        lines.append("")
    for name in ("kind", "when", "who", "action", "gate", "reason"):
        if entry[name]:
            lines.append(f"- {name}: {entry[name]}")
    versions = {name: entry[name]["version"] if entry[name] else "none" for name in ("before", "after", "champion")}
    lines.append("- versions: from {before} to {after}; champion now: {champion}".format(**versions))
    return "\n".join(lines)
