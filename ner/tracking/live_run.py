"""An MLflow run while a training goes on: live curves that never stop the training.

run = LiveRun.open("ner", "mpnet seed 42", params, tags)      # never raises: without a server it only warns
run.log({"train/loss": 0.31}, step=50)
run.close("FINISHED")
"""

import sys
import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from ner.errors import RegistryError
from ner.tracking.mlflow_store import (
    NOT_THERE,
    client,
    dataset_inputs,
    experiment_id,
    log_params,
    registry_errors,
    source_tags,
    tracking_uri,
)

PAUSE_S = 60  # after a failure, so long no attempt is made: a server that hangs costs a training under a tenth


def warn(sentence: str) -> None:
    """Print a warning on stderr at once."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


def best_effort(instead: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator: where MLflow cannot be had, a warning that ends with `instead`, and None for an answer."""

    def decorate(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def attempt(*arguments: Any, **options: Any) -> Any:
            try:
                return call(*arguments, **options)
            except (RegistryError, OSError) as error:
                warn(f"{str(error).rstrip('.')}. {instead}")
                return None

        return attempt

    return decorate


class LiveRun:
    """One MLflow run while a training goes on. Nothing here raises because of the server, and nothing waits for long.

    What the server does not take is not kept: `sync`, in stage register, sends what is missing, or the whole run.
    `run_id` is None where there is no run.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id
        self._began = self._is_down = False
        self._resting_until = 0.0

    @classmethod
    def open(cls, experiment: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> "LiveRun":
        """Start a run with its parameters and tags."""
        run = cls()

        def make(store: Any) -> None:
            group = experiment_id(store, experiment)
            run.run_id = store.create_run(group, run_name=name, tags={**source_tags(), **tags}).info.run_id
            log_params(store, run.run_id, params)

        run._attempt(make)
        return run

    @classmethod
    def resume(cls, run_id: str) -> "LiveRun":
        """Go on with a run that a killed training had started. One that is gone is not made again here: `sync` does."""
        run = cls(run_id)

        def reopen(store: Any) -> None:
            if find_run(store, run_id):
                store.update_run(run_id, status="RUNNING")
                return
            warn(f"MLflow has lost the run {run_id}; the training continues, and stage register makes the run again.")
            run.run_id = None

        run._attempt(reopen)
        return run

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Send one point a metric."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(name, float(value), now, step) for name, value in metrics.items()]
        self._attempt(lambda store: store.log_batch(self.run_id, metrics=points))

    def log_dataset(self, manifest: Mapping[str, Any]) -> None:
        """Link the run with the splits that it trains and is judged on."""
        self._attempt(lambda store: store.log_inputs(self.run_id, datasets=dataset_inputs(manifest)))

    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        self._resting_until = 0.0
        self._attempt(lambda store: store.set_terminated(self.run_id, status))

    def close_killed(self, run_id: str) -> None:
        """End another run as KILLED where it says that it still goes on; only who knows that it does not may ask."""

        def act(store: Any) -> None:
            run = find_run(store, run_id)
            if run and run.info.status == "RUNNING":
                store.set_terminated(run_id, "KILLED")

        self._attempt(act)

    def _attempt(self, act: Callable[[Any], None]) -> None:
        if (self.run_id is None and self._began) or time.monotonic() < self._resting_until:
            return
        self._began = True
        try:
            with registry_errors():
                act(client())
        except Exception as error:  # whatever goes wrong with the curves, a training of an hour does not end by it
            self._resting_until = time.monotonic() + PAUSE_S
            if not self._is_down:
                warn(f"{str(error).rstrip('.')}. The training continues, and stage register sends what is missing.")
            self._is_down = True
        else:
            self._is_down = False


def watch_system(run_id: str) -> None:
    """Log system metrics (CPU, memory, GPU power) until the run ends, where MLflow's own variable asks for it."""
    from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    if MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():
        SystemMetricsMonitor(run_id, resume_logging=True, tracking_uri=tracking_uri()).start()


def find_run(store: Any, run_id: str | None) -> Any:
    """Return the run of that id; None where it is deleted or was never there."""
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        run = store.get_run(run_id)
    except MlflowException as error:
        if error.error_code in NOT_THERE:
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None
