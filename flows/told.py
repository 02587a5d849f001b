"""A task module run for a flow: its lines in the log, what it has to tell as JSON, how it ended in a sentence.

told = run_module("promotion", "--record")      # python -m tasks.promotion --record --report FILE
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Failed, State

from flows import json_log
from flows.process import stream
from flows.quiet import shorten_logs
from flows.stages import stage_environment
from tasks.io import read_json

KILLED = 128  # flows/guard.py adds the number of the signal


@dataclass(frozen=True)
class Told:
    """report: what the module wrote with --report; last: its last line."""

    name: str
    status: int
    report: dict[str, Any]
    last: str

    def state(self, otherwise: str) -> State:
        """Completed or Failed with the report's sentence; a failure without one has the last line."""
        sentence = self.report.get("sentence")
        if not self.status:
            return Completed(message=sentence or otherwise)
        if self.status > KILLED:
            return Failed(message=f"{self.name}: it was killed (signal {self.status - KILLED}): run it again.")
        return Failed(message=sentence or self.last or f"{self.name}: it ended with status {self.status}.")


def run_module(name: str, *arguments: str) -> Told:
    """Run `python -m tasks.<name>` inside a flow run, in the working directory."""
    shorten_logs()
    json_log.use(deployment.name if deployment.id else None)
    log = get_run_logger()
    environment = stage_environment(str(flow_run.id), flow_run.ui_url if os.environ.get("PREFECT_API_URL") else None)
    environment["NER_FLOW_RUN_NAME"] = flow_run.name
    last = [""]

    def hear(line: str) -> None:
        last[0] = line
        log.info(line)

    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        environment["TMPDIR"] = scratch  # a version is 400 MB: where the module is killed, its copy goes too
        command = [sys.executable, "-m", f"tasks.{name}", *arguments, "--report", str(report)]
        status = stream(command, Path.cwd(), environment, hear)
        return Told(name, status, read_json(report) if report.exists() else {}, last[0])
