"""Runs in MLflow: live curves that never stop a training, and their repair from reports/training.json.

run = LiveRun.open("ner", "mpnet seed 42", params, tags)      # never raises: without a server it only warns
run.log({"train/loss": 0.31}, step=50)
run.close("FINISHED")
mlflow_run_id = sync(training, "ner")                         # register: everything is there, or RegistryError
"""

import json
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ner.errors import RegistryError
from ner.gate import summary
from tasks.io import read_json
from tasks.store import (
    client,
    dataset_inputs,
    experiment_id,
    log_params,
    patience,
    predictions_folder,
    registry_errors,
    source_tags,
    upload,
)

PAUSE_S = 60  # after a failure, so long no attempt is made: a server that hangs costs a training under a tenth
METRICS_A_CALL = 1000  # MLflow's own limit
MAX_TYPE_NAME = 150  # characters of an entity type in the name of a metric, of which MLflow takes 250
MAX_TABLE_ROWS = 5000  # of a table in MLflow, whose page loads it whole
LOGGED_TABLES = "mlflow.loggedArtifacts"  # the tag by which MLflow knows which artifacts are tables
FACTS = ("seconds", "steps", "windows", "subwords", "cpu_seconds", "peak_memory_mb", "energy_kwh")


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

    def log_files(self, paths: Sequence[Path]) -> None:
        """Copy files and folders into the run's artifact folder `reports`; without a server they are left to `sync`."""
        if self._deliver():
            self._attempt(lambda store: upload(store, self.run_id, paths))

    def close(self, status: str) -> None:
        """End the run as FINISHED, FAILED or KILLED, after one more attempt to send what waits."""
        self._resting_until = 0.0
        if self._deliver():
            self._attempt(lambda store: store.set_terminated(self.run_id, status))
        if self._metrics and not self._is_gone:
            _warn(f"{len(self._metrics)} points of the curves could not be sent; stage register sends them.")

    def _deliver(self) -> bool:
        """Send everything that waits, in order. False where the server cannot be had, or is not to be asked yet."""
        return not self._is_gone and self._attempt(self._send_waiting)

    def _reopen(self, store: Any) -> None:
        if _find_run(store, self.run_id):
            store.update_run(self.run_id, status="RUNNING")
            return
        _warn(f"MLflow has lost the run {self.run_id}; the training goes on, and stage register makes the run again.")
        self.run_id, self._is_gone = None, True

    def _send_waiting(self, store: Any) -> None:
        if self.run_id is None:
            experiment, name, params, tags = self._opening
            run = store.create_run(experiment_id(store, experiment), run_name=name, tags=tags)
            self.run_id = run.info.run_id
        if self._opening:
            log_params(store, self.run_id, self._opening[2])
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
                _warn(f"{str(error).rstrip('.')}. The training goes on; what could not be sent is sent later.")
            self._is_down = True
            return False
        self._is_down = False
        return True


def sync(training: Mapping[str, Any], experiment: str, manifest: Mapping[str, Any] | None = None) -> str:
    """Make sure that the run of `training` (reports/training.json) is in the store with all that was logged.

    A run that the store has not (never sent, or lost) is made again from the report, once, with the tag
    `ner.restored_from`. Only what is missing is written. Returns the run's id. Raises RegistryError.
    """
    with registry_errors():
        store = client()
        group = experiment_id(store, experiment)
        with patience():
            run = _find_run(store, training.get("mlflow_run_id")) or _find_restored(store, group, training)
            run = run or _restore(store, group, training)
            run_id = run.info.run_id
            log_params(store, run_id, {k: v for k, v in training["params"].items() if k not in run.data.params})
            _log_missing_points(store, run, training)
            if manifest and not (run.inputs and run.inputs.dataset_inputs):
                store.log_inputs(run_id, datasets=dataset_inputs(manifest))
            if run.info.status != "FINISHED":
                end = _started_ms(training) + int(training.get("seconds", 0) * 1000)
                store.set_terminated(run_id, "FINISHED", end_time=end)
            return run_id


def log_evaluation(run_id: str, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Log the scores of every split (`validation_f1`, `test_f1_PER`, `validation_sentence_f1`) and the files.

    Raises RegistryError.
    """
    from mlflow.entities import Metric

    with registry_errors():
        store = client()
        known = store.get_run(run_id).data.metrics
        now = int(time.time() * 1000)
        changed = {name: value for name, value in flat_metrics(metrics).items() if known.get(name) != value}
        if changed:
            store.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in changed.items()])
        upload(store, run_id, files)


def log_gate(run_id: str, gate: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Tag the run with the gate's verdict and its summary, and log the files. Raises RegistryError."""
    with registry_errors():
        store = client()
        store.set_tag(run_id, "gate", "passed" if gate["passed"] else "failed")
        store.set_tag(run_id, "gate_reasons", summary(gate))
        upload(store, run_id, files)


def try_log_evaluation(run_id: str | None, metrics: Mapping[str, Any], files: Sequence[Path]) -> bool:
    """`log_evaluation`, where the server can be had; otherwise a warning, and stage register makes up for it."""
    return _try(log_evaluation, run_id, metrics, files)


def try_log_gate(run_id: str | None, gate: Mapping[str, Any], files: Sequence[Path]) -> bool:
    """`log_gate`, where the server can be had; otherwise a warning."""
    return _try(log_gate, run_id, gate, files)


def log_analysis(run_id: str, reports: Path) -> None:
    """Log what stage `analyse` wrote: figures, the page, the mistakes as tables that MLflow shows, and the predictions.

    reports: the folder. The predictions lie where a later gate finds those of a champion. Doing it again replaces what
    is there. Raises RegistryError.
    """
    with registry_errors():
        store = client()
        store.get_run(run_id)  # fails within seconds; what follows may take its time
        with patience():
            store.log_artifacts(run_id, str(reports / "figures"), "figures")
            upload(store, run_id, [reports / "report.html"])
            fingerprint = read_json(reports / "metrics.json")["fingerprint"]
            store.log_artifacts(run_id, str(reports / "predictions"), predictions_folder(fingerprint))
            for path in sorted((reports / "mistakes").glob("*.parquet")):
                _log_table(store, run_id, path, f"mistakes/{path.stem}.json")


def try_log_analysis(run_id: str | None, reports: Path) -> bool:
    """`log_analysis`, where the server can be had; otherwise a warning."""
    return _try(log_analysis, run_id, reports)


def log_seed(training: Mapping[str, Any], experiment: str, scores: Mapping[str, Any]) -> str:
    """Log the scores of a training with another seed into its run, made or completed by `sync`, and tag it so.

    training: the training.json of that seed. Returns the run's id. Raises RegistryError.
    """
    run_id = sync(training, experiment)
    log_evaluation(run_id, scores, [])
    with registry_errors():
        client().set_tag(run_id, "ner.stage", "seed")
    return run_id


def try_log_seed(training: Mapping[str, Any], experiment: str, scores: Mapping[str, Any]) -> str | None:
    """`log_seed`, where the server can be had; otherwise a warning, and the id that the run had, if any."""
    try:
        return log_seed(training, experiment, scores)
    except (RegistryError, OSError) as error:
        _warn(f"{str(error).rstrip('.')}. The scores of this seed are in reports/seeds.json only.")
        return training.get("mlflow_run_id")


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """metrics.json as MLflow metrics: split, then measure, then entity type; ends of intervals as _low and _high."""
    flat = {name: value for name, value in metrics.items() if name == "temperature"}
    for split in ("validation", "test", "test_corrected"):
        scores = metrics.get(split) or {}
        flat |= {f"{split}_{name}": value for name, value in scores.items()}
        for name, (low, high) in scores.get("interval", {}).items():
            flat |= {f"{split}_{name}_low": low, f"{split}_{name}_high": high}
        for block in ("sentence", "document", "calibration", "mistakes"):
            flat |= {f"{split}_{block}_{name}": value for name, value in scores.get(block, {}).items()}
        per_type = scores.get("per_type", {})
        for row, shown in zip(per_type.values(), _metric_names(per_type), strict=True):
            flat |= {f"{split}_{name}_{shown}": value for name, value in row.items()}
    return {k: float(v) for k, v in flat.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _metric_names(types: Iterable[str]) -> list[str]:
    """What each entity type is called in the name of a metric: letters of any script, no two alike."""
    names: list[str] = []
    for entity_type in types:
        name = plain = re.sub(r"[^\w. -]", "_", entity_type)[:MAX_TYPE_NAME]
        number = 1
        while name in names:
            number += 1
            name = f"{plain}-{number}"
        names.append(name)
    return names


def _log_table(store: Any, run_id: str, parquet: Path, name: str) -> None:
    """Log a table as MlflowClient.log_table does, which would append it to the one of a run before."""
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / Path(name).name
        rows = pq.read_table(parquet).slice(0, MAX_TABLE_ROWS).to_pandas()
        rows.to_json(file, orient="split", index=False, date_format="iso")
        store.log_artifact(run_id, str(file), str(Path(name).parent))
    shown = json.loads(store.get_run(run_id).data.tags.get(LOGGED_TABLES, "[]"))
    if {"path": name, "type": "table"} not in shown:
        store.set_tag(run_id, LOGGED_TABLES, json.dumps([*shown, {"path": name, "type": "table"}]))


def _find_run(store: Any, run_id: str | None) -> Any:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        run = store.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    return run if run.info.lifecycle_stage == "active" else None


def _find_restored(store: Any, group: str, training: Mapping[str, Any]) -> Any:
    query = f"tags.`ner.restored_from` = '{_origin(training)}'"
    found = store.search_runs([group], query, max_results=1)
    return store.get_run(found[0].info.run_id) if found else None


def _restore(store: Any, group: str, training: Mapping[str, Any]) -> Any:
    name = f"{training.get('base', {}).get('name', 'model')} seed {training['params'].get('train.seed', '?')}"
    origin = source_tags(training.get("git_commit", "unknown"), training.get("git_dirty"), training.get("flow_run_id"))
    tags = {**origin, "ner.stage": "train", "ner.restored_from": _origin(training)}
    tags |= {"data_fingerprint": str(training.get("data", {}).get("fingerprint"))}
    tags |= {name: str(training[name]) for name in ("device", "precision") if name in training}
    run = store.create_run(group, start_time=_started_ms(training), run_name=name, tags=tags)
    return store.get_run(run.info.run_id)


def _origin(training: Mapping[str, Any]) -> str:
    """What a restored run was restored from: the id it had, or the training that never had one."""
    return training.get("mlflow_run_id") or f"reports/training.json of {training.get('started')}"


def _log_missing_points(store: Any, run: Any, training: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric

    run_id, start = run.info.run_id, _started_ms(training)
    last = max([entry["step"] for entry in training["log"]], default=0) or 1
    length_ms = training.get("seconds", 0) * 1000
    points = [
        Metric(name, float(value), int(start + length_ms * entry["step"] / last), entry["step"])
        for entry in training["log"]
        for name, value in entry.items()
        if name != "step"
    ]
    points += [Metric(f"train/{k}", float(training[k]), int(start + length_ms), last) for k in FACTS if k in training]
    names = {point.key for point in points}
    known = {
        (name, point.step)
        for name in names
        if name in run.data.metrics
        for point in store.get_metric_history(run_id, name)
    }
    missing = [point for point in points if (point.key, point.step) not in known]
    for first in range(0, len(missing), METRICS_A_CALL):
        store.log_batch(run_id, metrics=missing[first : first + METRICS_A_CALL])


def _started_ms(training: Mapping[str, Any]) -> int:
    started = training.get("started")
    return int(datetime.fromisoformat(started).timestamp() * 1000) if started else int(time.time() * 1000)


def _try(log: Any, run_id: str | None, *arguments: Any) -> bool:
    if run_id is None:
        return False
    try:
        log(run_id, *arguments)
    except (RegistryError, OSError) as error:
        _warn(f"{str(error).rstrip('.')}. Stage register logs it later.")
        return False
    return True


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr, flush=True)
