"""What is determined of a training lies apart from what is measured; both come back together where both are known."""

import json

import pytest

from ner.tracking.determined import training_record, write_training

DETERMINED = {"params": {"train.seed": 42}, "weights": "ab" * 32, "log": []}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(tmp_path / "checkout"))
    return tmp_path / "checkout"


def test_a_training_done_again_has_the_same_report_and_its_newest_measurements(home):
    key = write_training(home / "reports", DETERMINED, {"mlflow_run_id": "a1", "seconds": 9.5})
    before = (home / "reports/training.json").read_bytes()
    assert write_training(home / "reports", DETERMINED, {"mlflow_run_id": "b2", "seconds": 8.5}) == key
    assert (home / "reports/training.json").read_bytes() == before
    record = training_record(home / "reports/training.json")
    assert record == {**DETERMINED, "mlflow_run_id": "b2", "seconds": 8.5, "key": key}


def test_a_run_in_a_workspace_keeps_its_measurements_in_the_checkout(home):
    workspace = home / ".ner/workspaces/f1"
    key = write_training(workspace / "reports", DETERMINED, {"mlflow_run_id": "a1"})
    assert json.loads((home / f".ner/trainings/{key}.json").read_text()) == {"mlflow_run_id": "a1"}


def test_a_training_that_came_from_another_machine_has_what_is_determined(home, monkeypatch, tmp_path):
    write_training(home / "reports", DETERMINED, {"mlflow_run_id": "a1"})
    monkeypatch.setenv("NER_HOME", str(tmp_path / "another"))
    record = training_record(home / "reports/training.json")
    assert {name: record.get(name) for name in (*DETERMINED, "mlflow_run_id")} == {**DETERMINED, "mlflow_run_id": None}
