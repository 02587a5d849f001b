"""Flow `ner-collect`: `ner collect` by the server, so that it can have a schedule.

Run     prefect deployment run ner-collect/collect --param apply=true
"""

import sys
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from flows.runtime.logging import shorten_logs
from flows.runtime.names import named
from flows.runtime.run_stage import stage_environment
from ner.common.process import stream


@flow(name="ner-collect", flow_run_name=named("what may go"))
def ner_collect(apply: bool = False) -> State:
    """Show what may go; the last line is the run's result.

    Args:
        apply: Remove it.
    """
    shorten_logs()
    log, lines = get_run_logger(), [""]

    def hear(line: str) -> None:
        lines.append(line)
        log.info(line)

    command = [sys.executable, "-m", "ner", "collect", *(["--apply"] if apply else [])]
    status = stream(command, Path.cwd(), stage_environment(str(flow_run.id), None), hear)
    return (Failed if status else Completed)(message=lines[-1])
