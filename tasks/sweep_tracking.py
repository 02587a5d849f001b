"""A sweep in MLflow: one parent run with a child run a trial, each with its parameters, curves and how it ended.

Nothing here ends a sweep because of the server: what it does not take is said once, and is in reports/sweep.json.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.errors import RegistryError
from ner.params import Params
from tasks.store import client, registry_errors, upload
from tasks.tracking import LiveRun, sync
from tasks.training_log import flatten, say

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}  # MLflow has no word for pruned
STATE, PARENT = "ner.trial_state", "mlflow.parentRunId"


def open_parent(known: str | None, params: Params, tags: Mapping[str, str]) -> LiveRun:
    """The run of the sweep: the one that it had before it was killed, or a new one."""
    run = LiveRun.resume(known) if known else None
    if run is None or run.run_id is None:
        sweep = flatten({"sweep": params.sweep.model_dump()})
        run = LiveRun.open(params.registry.experiment, "sweep", sweep, {"ner.stage": "sweep", **tags})
    return run


def adopt(run_id: str, parent: str | None, number: int) -> None:
    """Make a run the child of the sweep's, while its training goes on."""
    _try(lambda store: _adopt(store, run_id, parent, number))


def log_trial(
    training: Mapping[str, Any] | None, params: Params, number: int, state: str, parent: str | None, reason: str
) -> str | None:
    """See that a trial's run has all its curves and says how it ended; returns its id, None where there is no server.

    training: its training.json, None where it failed before there was one.
    """

    def act(store: Any) -> str:
        if training:
            run_id = sync(training, params.registry.experiment)
        else:
            run = LiveRun.open(params.registry.experiment, f"trial {number}", flatten(params.model_dump()), {})
            run_id = run.run_id or ""
        _adopt(store, run_id, parent, number)
        store.set_tag(run_id, STATE, state)
        if reason:
            store.set_tag(run_id, "ner.trial_reason", reason)
        store.set_terminated(run_id, STATUS[state])
        return run_id

    return _try(act) or (training or {}).get("mlflow_run_id")


def close_parent(run: LiveRun, metrics: Mapping[str, float], files: Sequence[Path], figures: Sequence[Path]) -> None:
    """Log the best score, the report and the pictures, and end the run of the sweep."""

    def act(store: Any) -> None:
        for name, value in metrics.items():
            store.log_metric(run.run_id, name, value)
        upload(store, run.run_id, files)
        upload(store, run.run_id, figures, "figures")

    if run.run_id:
        _try(act)
    run.close("FINISHED")


def _adopt(store: Any, run_id: str, parent: str | None, number: int) -> None:
    store.set_tag(run_id, "ner.stage", "sweep-trial")
    if parent:
        store.set_tag(run_id, PARENT, parent)
    store.update_run(run_id, name=f"trial {number}")


def _try(act: Callable[[Any], Any]) -> Any:
    try:
        with registry_errors():
            return act(client())
    except (RegistryError, OSError) as error:
        say(f"warning: {str(error).rstrip('.')}. The sweep goes on; its results are in reports/sweep.json.")
        return None
