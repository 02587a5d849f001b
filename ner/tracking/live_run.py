"""An MLflow run while a training goes on: live curves that never stop the training.

run = LiveRun.open("ner", "mpnet seed 42", params, tags)      # never raises: without a server it only warns
run.log({"train/loss": 0.31}, step=50)
run.close("FINISHED")
"""

import time
from collections.abc import Mapping
from typing import Any

from ner.tracking.best_effort import warn
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
METRICS_A_CALL = 1000  # MLflow's own limit


class LiveRun:
    """One MLflow run while a training goes on. Nothing here raises because of the server, and nothing waits for long.

    What cannot be sent is kept and goes with the next call after PAUSE_S; `run_id` is None until the run exists.
    """

    def __init__(self, run_id: str | None = None, opening: tuple[str, str, dict, dict] | None = None) -> None:
        self.run_id = run_id
        self._opening = opening  # experiment, name, params, tags: until the run exists
        self._metrics: list[Any] = []
        self._manifest: Mapping[str, Any] | None = None
        self._resting_until = 0.0
        self._is_down = False
        self._is_gone = False

    @classmethod
    def open(cls, experiment: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> "LiveRun":
        """Start a run with its parameters and tags; without a server, as soon as there is one."""
        run = cls(opening=(experiment, name, dict(params), {**source_tags(), **tags}))
        run._deliver()
        return run

    @classmethod
    def resume(cls, run_id: str) -> "LiveRun":
        """Go on with a run that a killed training had started. One that is gone is not made again here: `sync` does."""
        run = cls(run_id=run_id)
        run._attempt(run._reopen)
        return run

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Send one point a metric, and whatever still waits."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._metrics += [Metric(name, float(value), now, step) for name, value in metrics.items()]
        self._deliver()

    def log_dataset(self, manifest: Mapping[str, Any]) -> None:
        """Link the run with the splits that it trains and is judged on."""
        self._manifest = manifest
        self._deliver()

    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED, after one more attempt to send what waits."""
        self._resting_until = 0.0
        if self._deliver():
            self._attempt(lambda store: store.set_terminated(self.run_id, status))
        if self._metrics and not self._is_gone:
            warn(f"{len(self._metrics)} metric values could not be sent; stage register sends them.")

    def close_killed(self, run_id: str) -> None:
        """End another run as KILLED where it says that it still goes on; only who knows that it does not may ask."""

        def act(store: Any) -> None:
            run = find_run(store, run_id)
            if run and run.info.status == "RUNNING":
                store.set_terminated(run_id, "KILLED")

        self._attempt(act)

    def _deliver(self) -> bool:
        """Send everything that waits, in order. False where the server cannot be had, or is not to be asked yet."""
        return not self._is_gone and self._attempt(self._send_waiting)

    def _reopen(self, store: Any) -> None:
        if find_run(store, self.run_id):
            store.update_run(self.run_id, status="RUNNING")
            return
        warn(f"MLflow has lost the run {self.run_id}; the training continues, and stage register makes the run again.")
        self.run_id, self._is_gone = None, True

    def _send_waiting(self, store: Any) -> None:
        if self.run_id is None and self._opening:
            experiment, name, params, tags = self._opening
            run = store.create_run(experiment_id(store, experiment), run_name=name, tags=tags)
            self.run_id = run.info.run_id
        if self._opening:
            log_params(store, str(self.run_id), self._opening[2])
            self._opening = None
        if self._manifest:
            store.log_inputs(self.run_id, datasets=dataset_inputs(self._manifest))
            self._manifest = None
        while self._metrics:
            store.log_batch(self.run_id, metrics=self._metrics[:METRICS_A_CALL])
            del self._metrics[:METRICS_A_CALL]

    def _attempt(self, act: Any) -> bool:
        if time.monotonic() < self._resting_until:
            return False
        try:
            with registry_errors():
                act(client())
        except Exception as error:  # whatever goes wrong with the curves, a training of an hour does not end by it
            self._resting_until = time.monotonic() + PAUSE_S
            if not self._is_down:
                warn(f"{str(error).rstrip('.')}. The training continues; what could not be sent is sent later.")
            self._is_down = True
            return False
        self._is_down = False
        return True


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
