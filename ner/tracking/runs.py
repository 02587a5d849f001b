"""Runs in MLflow: scores, verdicts and reports, and their repair from what a training has left.

mlflow_run_id = sync(training, "ner")                         # register: everything is there, or RegistryError
"""

import json
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from statistics import stdev
from typing import Any

from ner.card.facts import short_name
from ner.common.files import read_json
from ner.evaluation.gate import summary
from ner.tracking.live_run import best_effort, find_run
from ner.tracking.mlflow_store import (
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

METRICS_A_CALL = 1000  # MLflow's own limit
MAX_TYPE_NAME = 150  # characters of an entity type in the name of a metric, of which MLflow takes 250
MAX_TABLE_ROWS = 5000  # of a table in MLflow, whose page loads it whole
LOGGED_TABLES = "mlflow.loggedArtifacts"  # the tag by which MLflow knows which artifacts are tables
VERSION = "model_version"  # the tag by which a run names the version that its model is registered as
KEY = "ner.training"  # the tag by which the run of a training is looked up where nobody wrote down its id
FACTS = ("seconds", "steps", "windows", "subwords", "cpu_seconds", "peak_memory_mb")


def run_name(data: Mapping[str, Any], base: Mapping[str, Any], seed: Any) -> str:
    """Return the name of a training's run, as `conll2003 all-mpnet-base-v2 seed 42`."""
    names = (short_name(str(about.get(key) or "unknown")) for about, key in ((data, "source"), (base, "name")))
    return f"{' '.join(names)} seed {seed}"


def sync(training: Mapping[str, Any], experiment: str, manifest: Mapping[str, Any] | None = None) -> str:
    """Make sure that the run of `training` (as ner.tracking.determined reads it) is in the store with all that was
    logged.

    It is the run whose id this checkout has kept, else one with the training's key for a tag, made on another machine.
    A run that the store has not (never sent, or lost) is made again, once, with the tag `ner.restored_from`. Only what
    is missing is written. Returns the run's id. Raises RegistryError.
    """
    with registry_errors():
        store = client()
        group = experiment_id(store, experiment)
        with patience():
            run = find_run(store, training.get("mlflow_run_id")) or _find_by_key(store, group, training)
            run = run or _restore(store, group, training)
            run_id = run.info.run_id
            _tag_training(store, run, training.get("key"))
            log_params(store, run_id, {k: v for k, v in training["params"].items() if k not in run.data.params})
            _log_missing_points(store, run, training)
            if manifest and not (run.inputs and run.inputs.dataset_inputs):
                store.log_inputs(run_id, datasets=dataset_inputs(manifest))
            if run.info.status != "FINISHED":
                end = _started_ms(training) + int(training.get("seconds", 0) * 1000)
                store.set_terminated(run_id, "FINISHED", end_time=end)
            return run_id


def has_version(run: Any) -> bool:
    """Return whether the model of a run is registered; such a run is changed by no other run."""
    return VERSION in run.data.tags


@best_effort("Stage register writes it later.")
def try_tag_training(run_id: str, key: str) -> None:
    """Write a training's key on its run."""
    with registry_errors():
        client().set_tag(run_id, KEY, key)


def log_evaluation(run_id: str, metrics: Mapping[str, Any], gate: Mapping[str, Any] | None = None) -> None:
    """Log the scores of every split (`validation_f1`, `test_f1_PER`, `validation_sentence_f1`) and the gate's verdict.

    A run with a registered model stays as it is (`has_version`). Raises RegistryError.
    """
    from mlflow.entities import Metric

    with registry_errors():
        store = client()
        run = store.get_run(run_id)
        if has_version(run):
            return
        now = int(time.time() * 1000)
        new = [(k, v) for k, v in flat_metrics(metrics).items() if run.data.metrics.get(k) != v]
        if new:
            store.log_batch(run_id, metrics=[Metric(name, value, now, 0) for name, value in new])
        if gate:
            store.set_tag(run_id, "gate", "passed" if gate["passed"] else "failed")
            store.set_tag(run_id, "gate_reasons", summary(gate))


def log_analysis(run_id: str, reports: Path) -> None:
    """Log what stage `analyse` wrote: figures, the page, the mistakes as tables that MLflow shows, and the predictions.

    reports: the folder. The predictions lie where a later gate finds those of a champion. Doing it again replaces what
    is there, but in a run with a registered model. Raises RegistryError.
    """
    with registry_errors():
        store = client()
        if has_version(store.get_run(run_id)):  # fails within seconds; what follows may take its time
            return
        with patience():
            store.log_artifacts(run_id, str(reports / "figures"), "figures")
            upload(store, run_id, [reports / "report.html"])
            fingerprint = read_json(reports / "metrics.json")["fingerprint"]
            store.log_artifacts(run_id, str(reports / "predictions"), predictions_folder(fingerprint))
            for path in sorted((reports / "mistakes").glob("*.parquet")):
                _log_table(store, run_id, path, f"mistakes/{path.stem}.json")


def log_part(training: Mapping[str, Any], experiment: str, scores: Mapping[str, Any], what: str = "seed") -> str:
    """Log the scores of a training with another seed, or of a fold, into its run, made or completed by `sync`, and tag
    it so.
    """
    run_id = sync(training, experiment)
    log_evaluation(run_id, scores)
    with registry_errors():
        client().set_tag(run_id, "ner.stage", what)
    return run_id


try_log_part = best_effort("The scores of this training are in the report of its stage only.")(log_part)


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return metrics.json as MLflow metrics: split, measure, entity type; ends of intervals as _low and _high."""
    flat = {name: value for name, value in metrics.items() if name == "temperature"}
    for split in ("validation", "test", "test_corrected"):
        scores = metrics.get(split) or {}
        flat |= {f"{split}_{name}": value for name, value in scores.items()}
        for name, (low, high) in scores.get("interval", {}).items():
            flat |= {f"{split}_{name}_low": low, f"{split}_{name}_high": high}
        for block in ("sentence", "document", "calibration", "mistakes"):
            flat |= {f"{split}_{block}_{name}": value for name, value in scores.get(block, {}).items()}
        if folds := scores.get("folds"):
            flat |= {f"{split}_f1_fold_{number}": value for number, value in enumerate(folds, start=1)}
            flat[f"{split}_f1_folds_sd"] = stdev(folds)
        per_type = scores.get("per_type", {})
        for row, shown in zip(per_type.values(), _metric_names(per_type), strict=True):
            flat |= {f"{split}_{name}_{shown}": value for name, value in row.items()}
    return {k: float(v) for k, v in flat.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _metric_names(types: Iterable[str]) -> list[str]:
    """Return each entity type's name in metrics: letters of any script, no two alike."""
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


def _find_by_key(store: Any, group: str, training: Mapping[str, Any]) -> Any:
    """Return the oldest run of that training, which has its version if there is one."""
    query = f"tags.`{KEY}` = '{training['key']}'"
    runs = store.search_runs([group], query, max_results=1, order_by=["attributes.start_time ASC"])
    return store.get_run(runs[0].info.run_id) if runs else None


def _tag_training(store: Any, run: Any, key: str | None) -> None:
    if key and run.data.tags.get(KEY) != key:
        store.set_tag(run.info.run_id, KEY, key)


def _restore(store: Any, group: str, training: Mapping[str, Any]) -> Any:
    name = run_name(training.get("data", {}), training.get("base", {}), training["params"].get("train.seed"))
    origin = source_tags(training.get("git_commit", "unknown"), training.get("git_dirty"), training.get("flow_run_id"))
    tags = {**origin, "ner.stage": "train", "ner.restored_from": _origin(training)}
    tags |= {"data_fingerprint": str(training.get("data", {}).get("fingerprint"))}
    tags |= {name: str(training[name]) for name in ("device", "gpu", "precision") if name in training}
    run = store.create_run(group, start_time=_started_ms(training), run_name=name, tags=tags)
    return store.get_run(run.info.run_id)


def _origin(training: Mapping[str, Any]) -> str:
    """Return the origin of a restored run: its former id, or the report of a training whose id is unknown."""
    return training.get("mlflow_run_id") or "reports/training.json"


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
