"""A command of `ner` run for a flow: its lines in the log, what it has to tell as JSON, how it ended in a sentence.

result = run_command("rollback", reason)      # ner rollback REASON --report FILE
"""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from flows.runtime.logging import shorten_logs
from flows.runtime.run_stage import stage_environment
from ner.common.files import read_json
from ner.common.process import stream

WITH_REPORT = ("compare", "monitor", "record-promotion", "rollback")
KILLED = 128  # ner/common/guard.py adds the number of the signal


@dataclass(frozen=True)
class Result:
    """report: what the command wrote with --report; last: its last line."""

    name: str
    status: int
    report: dict[str, Any]
    last: str

    def state(self, otherwise: str) -> State:
        """Return Completed or Failed with the report's sentence; a failure without one has the last line."""
        sentence = self.report.get("sentence")
        if not self.status:
            return Completed(message=sentence or otherwise)
        if self.status > KILLED:
            return Failed(message=f"{self.name}: it was killed (signal {self.status - KILLED}): run it again.")
        return Failed(message=sentence or self.last or f"{self.name}: it ended with status {self.status}.")


def run_command(name: str, *arguments: str, is_progress: Callable[[str], bool] = lambda line: False) -> Result:
    """Run `ner <name>` inside a flow run, in the working directory. What is progress is not its last word."""
    shorten_logs()
    log = get_run_logger()
    environment = stage_environment(str(flow_run.id), flow_run.ui_url if os.environ.get("PREFECT_API_URL") else None)
    environment["NER_FLOW_RUN_NAME"] = flow_run.name
    last = [""]

    def hear(line: str) -> None:
        if not is_progress(line):
            last[0] = line
        log.info(line)

    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.json"
        environment["TMPDIR"] = scratch  # a version is 400 MB: where the module is killed, its copy goes too
        reporting = ["--report", str(report)] if name in WITH_REPORT else []
        command = [sys.executable, "-m", "ner", name, *reporting, *arguments]
        status = stream(command, Path.cwd(), environment, hear)
        return Result(name, status, read_json(report) if report.exists() else {}, last[0])
