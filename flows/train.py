"""Flow `ner`: every stage of dvc.yaml as a Prefect task, skipped where DVC has its result.

Run     python -m flows.train [--set train.epochs=1]       (make train)
        prefect deployment run ner/train                   (after make up)
Reads   dvc.yaml, params.yaml
Writes  what the stages write; .ner/runs/<flow run id>/run.json; artifacts in Prefect
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
from prefect.runtime import deployment, flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed, State

from flows import json_log, overrides
from flows.artifacts import publish
from flows.graph import Stage, read_graph, up_to
from flows.lock import hold
from flows.lost import check_count
from flows.notices import failed_name
from flows.quiet import shorten_logs
from flows.record import TRAINING, Record
from flows.server_watch import answers, told_when_gone
from flows.stages import CACHED, FAILED, Outcome, failure, run_stage, stage_environment
from flows.workspace import RUNS, workspace, workspace_environment
from ner.errors import NerError
from ner.params import LimitsParams

# How a stage's sentence says that the same may succeed in a while: a download or a server that cannot be reached.
MENDABLE = re.compile(r"Try again|cannot be reached|does not answer in time")

Data, Model, Encoding, Validation, Train, Prediction, Evaluation, Seeds, Gate, Export, Registry, Limits = (
    overrides.partial_block(block)
    for block in overrides.Params.model_fields
    if block not in ("monitor", "retention", "sweep")  # no stage reads them
)


@flow(name="ner", validate_parameters=False)  # ours says the same in one sentence, and keeps the values as given
def ner(
    data: Data | None = None,
    model: Model | None = None,
    encoding: Encoding | None = None,
    validation: Validation | None = None,
    train: Train | None = None,
    prediction: Prediction | None = None,
    evaluation: Evaluation | None = None,
    seeds: Seeds | None = None,
    gate: Gate | None = None,
    export: Export | None = None,
    registry: Registry | None = None,
    limits: Limits | None = None,
    until: str | None = None,
) -> State:
    """Corpus and encoder to a gated, registered model version: the stages of dvc.yaml with params.yaml.

    Blocks given here override params.yaml for this run, which then works in a copy of the working tree. until: the last
    stage of this run, with those that it needs; another worker goes on from the DVC remote.
    """
    blocks = dict(
        data=data,
        model=model,
        encoding=encoding,
        validation=validation,
        train=train,
        prediction=prediction,
        evaluation=evaluation,
        seeds=seeds,
        gate=gate,
        export=export,
        registry=registry,
        limits=limits,
    )
    shorten_logs()
    root = Path.cwd()
    record = Record(flow_run_id=str(flow_run.id), folder=root, started=time.time())
    api = PREFECT_API_URL.value()
    with told_when_gone(api, get_run_logger().warning):
        try:
            json_log.use(deployment.name if deployment.id else None)
            run_pipeline(root, blocks, record, until)
        except NerError as error:
            record.sentence, record.exit_status = str(error), error.exit_status
        record.save(root)
        show(record, api)
    if record.sentence:
        return Failed(message=record.sentence, name=failed_name(record.exit_status))
    return Completed(message=f"All stages {f'that {until} needs ' if until else ''}are up to date.")


def show(record: Record, api: str | None) -> None:
    """Create the run's artifacts, where there is a server to take them: without them the run ends as it would."""
    try:
        if api is None or answers(api) is not False:
            publish(record)
    except httpx.HTTPError as error:
        get_run_logger().warning(f"The run's artifacts are not in Prefect: {error}.")


def run_pipeline(root: Path, blocks: dict[str, Any], record: Record, until: str | None = None) -> None:
    """Check the parameters, take the lock, run the stages; `record` tells at any time how far it came.

    Raises NerError: for parameters, a busy checkout, or the stage that failed, with its sentence.
    """
    record.changes = overrides.given(blocks)
    params = overrides.apply(root, record.changes)
    limits = LimitsParams.model_validate(params["limits"])
    check_count(flow_run.run_count, limits.taken_up)
    record.stages = read_graph(root)
    wanted = up_to(record.stages, until)
    environment = stage_environment(record.flow_run_id, flow_run.ui_url if os.environ.get("PREFECT_API_URL") else None)
    who = f"flow run {flow_run.name}"
    with hold(root, "run", who, wait_s=float(os.environ.get("NER_WAIT_S", 0))):
        place: Any = nullcontext(root)
        if record.changes:
            environment |= workspace_environment(root)
            place = workspace(root, record.flow_run_id, params, record.stages)
        with place as folder:
            record.folder = folder
            try:
                run_stages(record, wanted, environment, limits)
            finally:
                record.folder = root / RUNS / record.flow_run_id if record.changes else root


def run_stages(record: Record, wanted: list[Stage], environment: dict[str, str], limits: LimitsParams) -> None:
    """Run a task for each stage. Raises the first failed stage's error; what depends on it is shown as not ready."""
    states: dict[str, State] = {}
    failed: Outcome | None = None
    for stage in wanted:
        needed = [states[name] for name in stage.needs if name in states]
        if failed and all(state.is_completed() for state in needed):
            continue  # it could run, but the run is lost: what is running has ended, nothing new begins
        run = bring_up_to_date.with_options(
            name=stage.name,
            task_run_name=stage.name,
            description=stage.description,
            retries=len(limits.retry_after_s),
            retry_delay_seconds=[float(wait) for wait in limits.retry_after_s],
        )
        minutes = limits.minutes(stage.name)
        states[stage.name] = run(stage, record, environment, minutes, wait_for=needed, return_state=True)
        json_log.know(mlflow_run_id=record.read(TRAINING).get("mlflow_run_id"))
        if failed is None and not states[stage.name].is_completed():
            failed = record.outcomes.get(stage.name) or Outcome(
                FAILED, f"{stage.name}: {states[stage.name].message}", 1
            )
    if failed:
        raise failure(failed)


def _is_mendable(_task: Any, _run: Any, state: State) -> bool:
    return bool(MENDABLE.search(state.message or ""))


@task(retry_condition_fn=_is_mendable, cache_policy=NO_CACHE)
def bring_up_to_date(stage: Stage, record: Record, environment: dict[str, str], minutes: float) -> State:
    """Run the stage where DVC finds it changed. Its task run ends as Completed, Cached or Failed."""
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


if __name__ == "__main__":
    from flows.command import main

    raise SystemExit(main())
