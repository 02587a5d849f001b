"""What MLflow did not hear is told later: a model that failed its gate, a run with other parameters, once each."""

import json
import shutil
from pathlib import Path

import pytest

from ner.errors import RegistryError
from ner.registry.resync import is_in_step, resync
from ner.tracking.mlflow_store import client

SCORES = {"f1": 0.5, "precision": 0.5, "recall": 0.5, "support": 7}
TRAINING = {
    "mlflow_run_id": None,
    "git_commit": "c" * 40,
    "started": "2026-01-02T03:04:05+00:00",
    "seconds": 100.0,
    "params": {"train.epochs": 2, "train.seed": 7, "registry.experiment": "ner"},
    "base": {"name": "tiny"},
    "data": {"source": "mini", "fingerprint": "ab" * 32},
    "log": [{"step": 5, "epoch": 1.0, "train/loss": 1.5}, {"step": 10, "epoch": 2.0, "train/loss": 1.25}],
}
GATE = {
    "passed": False,
    "split": "validation",
    "mode": "default",
    "rules": [{"rule": "min_f1", "threshold": 0.93, "value": 0.5, "passed": False, "reason": "F1 0.5 is too low"}],
}
LOCK = """stages:
  train: {outs: [{path: models/ner, md5: a1}]}
  predict: {deps: [{path: models/ner, md5: a1}], outs: [{path: reports/predictions, md5: b1}]}
  evaluate: {deps: [{path: reports/predictions, md5: b1}], outs: [{path: reports/metrics.json, md5: c1}]}
  gate: {deps: [{path: reports/metrics.json, md5: c1}], outs: [{path: reports/gate.json, md5: d1}]}
"""


@pytest.fixture
def root(database, tmp_path, monkeypatch) -> Path:
    """A checkout whose model failed its gate while no MLflow was there, and a run with another seed beside it."""
    folder = shutil.copytree(database, tmp_path / "checkout")
    write(folder / "reports", TRAINING)
    (folder / "dvc.lock").write_text(LOCK)
    other = TRAINING | {"started": "2026-02-02T03:04:05+00:00", "params": {**TRAINING["params"], "train.seed": 8}}
    write(folder / ".ner" / "runs" / "f1" / "reports", other)
    how = {"how": "ran", "sentence": "It ran.", "exit_status": 0}
    outcomes = dict.fromkeys(("train", "predict", "evaluate", "gate"), how)
    (folder / ".ner" / "runs" / "f1" / "run.json").write_text(json.dumps({"outcomes": outcomes}))
    shutil.copy(Path(__file__).resolve().parents[3] / "tests/data/params.yaml", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return folder


def write(reports: Path, training: dict) -> None:
    reports.mkdir(parents=True)
    metrics = {"mode": "default", "validation": SCORES, "test": SCORES, "fingerprint": "ab" * 32}
    for name, content in {"training": training, "metrics": metrics, "gate": GATE}.items():
        (reports / f"{name}.json").write_text(json.dumps(content))


def told() -> dict[str, tuple[float, str, int]]:
    """Of each run: its validation F1, the gate's verdict, how many points its loss has; by seed."""
    store = client()
    runs = store.search_runs([store.get_experiment_by_name("ner").experiment_id])
    return {
        run.data.params["train.seed"]: (
            run.data.metrics.get("validation_f1"),
            run.data.tags.get("gate"),
            len(store.get_metric_history(run.info.run_id, "train/loss")),
        )
        for run in runs
    }


def test_every_training_is_told_once_with_curves_scores_and_verdict(root):
    assert len(resync(Path())) == 2
    assert told() == {"7": (0.5, "failed", 2), "8": (0.5, "failed", 2)}
    resync(Path())
    assert told() == {"7": (0.5, "failed", 2), "8": (0.5, "failed", 2)}


def test_scores_of_another_model_are_not_told(root):
    (root / "dvc.lock").write_text(
        LOCK.replace("outs: [{path: models/ner, md5: a1}]", "outs: [{path: models/ner, md5: a2}]")
    )
    shutil.rmtree(root / ".ner")
    (line,) = resync(Path())
    assert "parameters, curves are in MLflow" in line
    assert told() == {"7": (None, None, 2)}


def test_a_stage_that_is_missing_is_not_in_step():
    assert not is_in_step({"train": {"outs": []}}, ("train", "predict"))


def test_no_server_is_one_sentence(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(RegistryError, match="cannot be reached"):
        resync(Path())
