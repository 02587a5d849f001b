"""Flow `ner-collect`: `make collect` by the server, so that it can have a schedule.

Run     prefect deployment run ner-collect/collect --param apply=true
"""

import sys
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from flows import json_log
from flows.process import stream
from flows.quiet import shorten_logs
from flows.stages import stage_environment


@flow(name="ner-collect")
def ner_collect(apply: bool = False) -> State:
    """Show what may go, and with `apply` remove it; the last line is the run's result."""
    shorten_logs()
    json_log.use()
    log, lines = get_run_logger(), [""]

    def hear(line: str) -> None:
        lines.append(line)
        log.info(line)

    command = [sys.executable, "-m", "flows.retention", *(["--apply"] if apply else [])]
    status = stream(command, Path.cwd(), stage_environment(str(flow_run.id), None), hear)
    return (Failed if status else Completed)(message=lines[-1])
