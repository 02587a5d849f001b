"""Flow `ner`: every stage of dvc.yaml as a Prefect task, skipped where DVC has its result.

Run     ner train [--set train.epochs=1]                   (make train)
        prefect deployment run ner/train                   (after make up)
Reads   dvc.yaml, params.yaml
Writes  what the stages write; artifacts in Prefect
"""

import os
import re
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Completed, Failed, State
from prefect.utilities.annotations import quote

from flows.runtime import overrides
from flows.runtime.artifacts import publish
from flows.runtime.crash_recovery import check_count
from flows.runtime.dvc_graph import Stage, read_graph
from flows.runtime.logging import shorten_logs
from flows.runtime.names import run_name
from flows.runtime.prefect_api import answers
from flows.runtime.run_record import Record
from flows.runtime.run_stage import CACHED, FAILED, Outcome, failure, run_stage, stage_environment
from flows.runtime.summary import ending
from flows.runtime.workspace import RUNS, workspace, workspace_environment
from ner.common.lock import lock_checkout
from ner.common.place import git_refusal, require_place
from ner.errors import GateFailed, NerError
from ner.params import LimitsParams

# How a stage's sentence says that the same may succeed in a while: a download or a server that cannot be reached.
MENDABLE = re.compile(r"Try again|cannot be reached|does not answer in time")


def name_run() -> str:
    """Return the run's data, encoder and other changes, and when it began."""
    try:
        changes = overrides.chosen_values(flow_run.parameters)
        params = overrides.apply(Path.cwd(), changes)
    except NerError:
        return run_name("refused")
    chosen = overrides.flat(changes).items()
    changed = [f"{key}={value}" for key, value in chosen if key not in ("data.source", "model.base")]
    return run_name(", ".join([params["data"]["source"], params["model"]["base"], *changed]))


@flow(name="ner", flow_run_name=name_run, validate_parameters=False)  # ours says it in one sentence, and keeps values
@overrides.takes_blocks
def ner(**blocks: Any) -> State:
    """Train, evaluate, gate and register a model: the stages of dvc.yaml with params.yaml.

    Blocks given here override params.yaml for this run, which then works in a copy of the working tree.
    """
    shorten_logs()
    root = Path.cwd()
    record = Record(flow_run_id=str(flow_run.id), folder=root, started=time.time())
    api = PREFECT_API_URL.value()
    try:
        run_pipeline(root, blocks, record)
    except NerError as error:
        record.sentence, record.exit_status = str(error), error.exit_status
    Record.last = record
    show(record, api)
    if record.sentence:
        return Failed(message=record.sentence)
    return Completed(message=ending(record))


def show(record: Record, api: str | None) -> None:
    """Create the run's artifacts, where there is a server to take them: without them the run ends as it would."""
    try:
        if api is None or answers(api) is not False:
            publish(record)
    except httpx.HTTPError as error:
        get_run_logger().warning(f"The run's artifacts are not in Prefect: {error}.")


def run_pipeline(root: Path, blocks: dict[str, Any], record: Record) -> None:
    """Check the parameters, take the lock, run the stages; `record` tells at any time how far it came.

    Raises NerError: for parameters, a busy checkout, or the stage that failed, with its sentence.
    """
    require_place(root)
    if warning := git_refusal(root):
        get_run_logger().warning(warning)
    record.changes = overrides.chosen_values(blocks)
    params = overrides.apply(root, record.changes)
    limits = LimitsParams.model_validate(params["limits"])
    check_count(flow_run.run_count, limits.taken_up)
    record.stages = read_graph(root)
    environment = stage_environment(record.flow_run_id, flow_run.ui_url if os.environ.get("PREFECT_API_URL") else None)
    who = f"flow run {flow_run.name}"
    with lock_checkout(root, "run", who, wait_s=float(os.environ.get("NER_WAIT_S", 0))):
        place: Any = nullcontext(root)
        if record.changes:
            environment |= workspace_environment(root)
            place = workspace(root, record.flow_run_id, params, record.stages)
        with place as folder:
            record.folder = folder
            try:
                run_stages(record, environment, limits)
            finally:
                record.folder = root / RUNS / record.flow_run_id if record.changes else root


def run_stages(record: Record, environment: dict[str, str], limits: LimitsParams) -> None:
    """Run a task for each stage. Raises the first failed stage's error; those after it are shown as cancelled.

    Raises GateFailed after them, where a verdict of this run is that the model, or a format of it, is not good enough.
    """
    states: dict[str, State] = {}
    failed: tuple[str, Outcome] | None = None
    for stage in record.stages:
        needed = [quote(states[name]) for name in stage.needs if name in states]  # for the graph
        run = bring_up_to_date.with_options(
            name=stage.name,
            task_run_name=stage.name,
            description=stage.description,
            retries=len(limits.retry_after_s),
            retry_delay_seconds=[float(wait) for wait in limits.retry_after_s],
        )
        minutes = limits.minutes(stage.name)
        lost = failed and failed[0]
        states[stage.name] = run(stage, record, environment, minutes, lost, wait_for=needed, return_state=True)
        if failed is None and not states[stage.name].is_completed():
            crashed = Outcome(FAILED, f"{stage.name}: {states[stage.name].message}", 1)
            failed = stage.name, record.outcomes.get(stage.name, crashed)
    if failed:
        raise failure(failed[1])
    if refused := record.refused():
        raise GateFailed(refused)


def _is_mendable(_task: Any, _run: Any, state: State) -> bool:
    return bool(MENDABLE.search(state.message or ""))


@task(retry_condition_fn=_is_mendable, cache_policy=NO_CACHE)
def bring_up_to_date(
    stage: Stage, record: Record, environment: dict[str, str], minutes: float, lost: str | None
) -> State:
    """Run the stage where DVC finds it changed. Its task run ends as Completed, Cached or Failed.

    lost: a stage that has failed; then nothing new begins, and the task run ends as Cancelled.
    """
    if lost:
        return Cancelled(message=f"{stage.name}: not run, since {lost} failed.")
    log = get_run_logger()
    try:
        outcome = run_stage(record.folder, stage.name, environment, log.info, minutes)
    except NerError as error:
        outcome = Outcome(FAILED, f"{stage.name}: {error}", error.exit_status)
    except Exception as error:  # ours to mend: the trace is in the log, and the run does not go on
        log.exception("A bug, or a broken environment")
        outcome = Outcome(FAILED, f"{stage.name}: {type(error).__name__}: {error}".rstrip(": "), 1)
    record.outcomes[stage.name] = outcome
    if outcome.how == FAILED:
        return Failed(message=outcome.sentence)
    return Completed(name="Cached" if outcome.how == CACHED else None, message=outcome.sentence)
