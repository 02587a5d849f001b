"""Many trainings in MLflow: a parent run with a child run each, which has its parameters, curves and how it ended.

Nothing here ends a training because of the server: what it does not take is reported once.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ner.params import Params, flatten
from ner.tracking.live_run import LiveRun, best_effort
from ner.tracking.mlflow_store import client, registry_errors, upload
from ner.tracking.runs import sync

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}  # MLflow has no word for pruned
STATE, PARENT = "ner.trial_state", "mlflow.parentRunId"


class Child(NamedTuple):
    """What the MLflow run of one of many trainings is called. parent: the id of their run; stage: its tag ner.stage."""

    parent: str | None
    name: str
    stage: str


def open_parent(
    known: str | None, experiment: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]
) -> LiveRun:
    """Return the parent run: the one that there was before a stop, or a new one. params: nested, as they are shown."""
    run = LiveRun.resume(known) if known else None
    if run is None or run.run_id is None:
        run = LiveRun.open(experiment, name, flatten(dict(params)), {"ner.stage": name, **tags})
    return run


def adopt(run_id: str, child: Child) -> None:
    """Make a run the child of its parent while its training goes on."""
    _try(lambda store: _adopt(store, run_id, child))


def log_child(
    training: Mapping[str, Any] | None, params: Params, child: Child, state: str, reason: str = ""
) -> str | None:
    """See that a training's run has all its curves and says how it ended; returns its id, None without a server.

    training: its training.json, None where it failed before there was one.
    """

    def act(store: Any) -> str:
        if training:
            run_id = sync(training, params.registry.experiment)
        else:
            run = LiveRun.open(params.registry.experiment, child.name, flatten(params.model_dump()), {})
            run_id = run.run_id or ""
        _adopt(store, run_id, child)
        store.set_tag(run_id, STATE, state)
        if reason:
            store.set_tag(run_id, "ner.trial_reason", reason)
        store.set_terminated(run_id, STATUS[state])
        return run_id

    return _try(act) or (training or {}).get("mlflow_run_id")


def close_parent(run: LiveRun, metrics: Mapping[str, float], files: Sequence[Path]) -> None:
    """Log the best score and the report, and end the parent run."""

    def act(store: Any) -> None:
        for name, value in metrics.items():
            store.log_metric(run.run_id, name, value)
        upload(store, str(run.run_id), files)

    if run.run_id:
        _try(act)
    run.close("FINISHED")


def _adopt(store: Any, run_id: str, child: Child) -> None:
    store.set_tag(run_id, "ner.stage", child.stage)
    if child.parent:
        store.set_tag(run_id, PARENT, child.parent)
    store.update_run(run_id, name=child.name)


@best_effort("The trainings go on; their results are in the report.")
def _try(act: Callable[[Any], Any]) -> Any:
    with registry_errors():
        return act(client())
