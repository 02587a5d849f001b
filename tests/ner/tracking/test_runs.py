"""Runs in a real MLflow: SQLite in tmp_path, a server that is not there, one that hangs, one that comes up later."""

import copy
import shutil
import socket
import time
from pathlib import Path

import pytest

from ner.errors import RegistryError
from ner.tracking.live_run import LiveRun, watch_system
from ner.tracking.mlflow_store import client, is_local, shown_uri, tracking_uri
from ner.tracking.runs import flat_metrics, log_evaluation, sync, try_tag_training

MANIFEST = {
    "source": "mini",
    "fingerprint": "ab" * 32,
    "splits": {
        "train": {"file": "train.txt", "parquet": "train.parquet", "tokens": 30, "entities": {"PER": 2}},
        "validation": {"file": "valid.txt", "parquet": "validation.parquet", "tokens": 10, "entities": {"PER": 1}},
    },
}
TRAINING = {
    "key": "0123456789abcdef",
    "mlflow_run_id": None,
    "git_commit": "c" * 40,
    "git_dirty": False,
    "flow_run_id": "flow-1",
    "started": "2026-01-02T03:04:05+00:00",
    "seconds": 100.0,
    "params": {"train.epochs": 2, "train.seed": 42},
    "base": {"name": "tiny"},
    "data": {"fingerprint": "ab" * 32},
    "log": [
        {"step": 5, "epoch": 0.5, "train/loss": 1.5},
        {"step": 10, "epoch": 1.0, "train/loss": 1.0},
        {"step": 10, "epoch": 1.0, "validation/loss": 0.9, "validation/f1": 0.5},
    ],
}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    """A new MLflow database: making its tables takes seconds, a copy of it none."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        client().search_experiments()
    return folder / "mlflow" / "data" / "mlflow.db"


@pytest.fixture
def home(tmp_path, monkeypatch, empty_store) -> Path:
    """A checkout whose store is SQLite, and empty."""
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    (tmp_path / "mlflow" / "data").mkdir(parents=True)
    shutil.copy(empty_store, tmp_path / "mlflow" / "data" / "mlflow.db")
    return tmp_path


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def points(run_id: str, name: str) -> list[tuple[int, float]]:
    return sorted((point.step, point.value) for point in client().get_metric_history(run_id, name))


def test_a_run_has_its_parameters_curves_dataset_and_end(home):
    run = LiveRun.open("ner", "tiny seed 42", {"train.epochs": 2}, {"precision": "fp32"})
    run.log({"train/loss": 1.5, "epoch": 0.5}, step=5)
    run.log({"train/loss": 1.0}, step=10)
    run.log_dataset(MANIFEST)
    run.close("FINISHED")

    found = client().get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"train.epochs": "2"}
    assert found.data.tags["precision"] == "fp32" and found.data.tags["git_commit"]
    assert points(run.run_id, "train/loss") == [(5, 1.5), (10, 1.0)]
    inputs = {i.dataset.name: (i.dataset.digest, i.tags[0].value) for i in found.inputs.dataset_inputs}
    assert inputs == {"mini/train": (("ab" * 32)[:36], "training"), "mini/validation": (("ab" * 32)[:36], "validation")}


@pytest.mark.parametrize("wanted", ["true", "false"])
def test_system_metrics_are_curves_of_the_run_where_mlflows_variable_asks_for_them(home, monkeypatch, wanted):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", wanted)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    run = LiveRun.open("ner", "tiny", {}, {})
    watch_system(run.run_id)
    end = time.monotonic() + (20 if wanted == "true" else 0.5)
    while not (metrics := client().get_run(run.run_id).data.metrics) and time.monotonic() < end:
        time.sleep(0.1)
    run.close("FINISHED")
    assert ("system/cpu_utilization_percentage" in metrics) is (wanted == "true")


def test_a_killed_training_goes_on_in_its_run(home):
    first = LiveRun.open("ner", "tiny", {}, {})
    first.log({"train/loss": 1.5}, step=5)
    again = LiveRun.resume(first.run_id)
    again.log({"train/loss": 1.0}, step=10)
    again.close("FINISHED")
    assert again.run_id == first.run_id
    assert points(first.run_id, "train/loss") == [(5, 1.5), (10, 1.0)]


def test_resuming_a_run_that_is_gone_neither_raises_nor_keeps_its_id(home, capsys):
    run = LiveRun.resume("0" * 32)
    run.log({"train/loss": 1.0}, step=1)
    run.close("FINISHED")
    assert run.run_id is None
    assert capsys.readouterr().err.count("warning") == 1


@pytest.mark.parametrize("behaviour", ["closed", "hangs"])
def test_without_a_server_a_training_goes_on_after_seconds_and_one_warning(
    home, monkeypatch, free_port, capsys, behaviour
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port}")
    with socket.socket() as listener:
        if behaviour == "hangs":
            listener.bind(("127.0.0.1", free_port))
            listener.listen()
        start = time.monotonic()
        run = LiveRun.open("ner", "tiny", {"train.epochs": 2}, {})
        for step in range(50):
            run.log({"train/loss": 1.0}, step)
        run.log_dataset(MANIFEST)
        assert time.monotonic() - start < 60  # MLflow alone tries for minutes, at every one of them
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert run.run_id is None
    assert len(warnings) == 1 and f"http://127.0.0.1:{free_port}" in warnings[0]


def test_a_training_that_never_reached_a_server_is_logged_from_its_report_once(home):
    run_id = sync(TRAINING, "ner", MANIFEST)
    assert sync(TRAINING, "ner", MANIFEST) == run_id
    run = client().get_run(run_id)
    assert points(run_id, "train/loss") == [(5, 1.5), (10, 1.0)]
    assert points(run_id, "validation/f1") == [(10, 0.5)]
    assert run.data.params == {"train.epochs": "2", "train.seed": "42"}
    assert run.data.tags["ner.restored_from"] and run.data.tags["flow_run_id"] == "flow-1"
    assert (run.info.end_time - run.info.start_time, run.info.status) == (100_000, "FINISHED")
    assert len(run.inputs.dataset_inputs) == 2
    assert len(client().search_runs([run.info.experiment_id])) == 1


def test_a_run_that_the_store_has_lost_is_made_again_with_the_same_metrics(home):
    lost = {**TRAINING, "mlflow_run_id": "0" * 32}
    run_id = sync(lost, "ner")
    assert sync(lost, "ner") == run_id != lost["mlflow_run_id"]
    assert client().get_run(run_id).data.tags["ner.restored_from"] == "0" * 32
    assert points(run_id, "validation/loss") == [(10, 0.9)]


def test_a_training_whose_id_another_machine_has_is_found_by_its_key(home):
    live = LiveRun.open("ner", "tiny", TRAINING["params"], {})
    live.close("FINISHED")
    try_tag_training(live.run_id, TRAINING["key"])
    determined = {name: TRAINING[name] for name in ("key", "params", "base", "data", "log")}
    assert sync(determined, "ner") == live.run_id
    other = {**determined, "key": "f" * 16}
    assert sync(other, "ner") == sync(other, "ner") != live.run_id  # never sent: made once, from the report alone


def test_a_run_that_was_sent_in_part_gets_only_the_missing_points(home):
    live = LiveRun.open("ner", "tiny", TRAINING["params"], {})
    live.log({"train/loss": 1.5, "epoch": 0.5}, step=5)
    training = {**TRAINING, "mlflow_run_id": live.run_id}
    assert [sync(training, "ner"), sync(training, "ner")] == [live.run_id] * 2
    assert points(live.run_id, "train/loss") == [(5, 1.5), (10, 1.0)]
    assert client().get_run(live.run_id).info.status == "FINISHED"


def test_a_server_that_is_down_is_one_sentence_with_its_address(home, monkeypatch, free_port):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{free_port}")
    with pytest.raises(RegistryError, match=rf"127\.0\.0\.1:{free_port} cannot be reached.*make up") as caught:
        sync(TRAINING, "ner")
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)


def test_a_database_that_is_none_is_one_sentence(home):
    (home / "mlflow" / "data" / "mlflow.db").write_text("not a database, but long enough to be looked at\n" * 50)
    with pytest.raises(RegistryError, match="MLflow at sqlite:///mlflow/data/mlflow.db") as caught:
        sync(TRAINING, "ner")
    assert "\n" not in str(caught.value)


def test_a_deleted_experiment_is_told_and_does_not_stop_a_training(home, capsys):
    group = client().create_experiment("ner")
    client().delete_experiment(group)
    assert LiveRun.open("ner", "tiny", {}, {}).run_id is None
    assert "experiments restore" in capsys.readouterr().err
    with pytest.raises(RegistryError, match="is deleted"):
        sync(TRAINING, "ner")


def test_scores_are_logged_once_by_split_measure_and_type(home):
    run_id = sync(TRAINING, "ner")
    scores = {"f1": 0.9, "support": 3, "per_type": {"PER": {"f1": 0.8}}, "sentence": {"f1": 0.7}}
    metrics = {"mode": "default", "validation": scores, "test": {**scores, "f1": 0.6}}
    log_evaluation(run_id, metrics)
    log_evaluation(run_id, metrics)
    found = client().get_run(run_id).data.metrics
    assert {k: found[k] for k in ("validation_f1", "test_f1", "validation_f1_PER", "validation_sentence_f1")} == {
        "validation_f1": 0.9,
        "test_f1": 0.6,
        "validation_f1_PER": 0.8,
        "validation_sentence_f1": 0.7,
    }
    assert points(run_id, "test_f1") == [(0, 0.6)]


def test_the_verdict_of_the_gate_is_on_the_run(home):
    run_id = sync(TRAINING, "ner")
    log_evaluation(run_id, {}, {"passed": False, "rules": [{"passed": False, "reason": "F1 is under 0.93"}]})
    tags = client().get_run(run_id).data.tags
    assert (tags["gate"], tags["gate_reasons"]) == ("failed", "failed, 1 of 1 rules: F1 is under 0.93")


def test_names_that_mlflow_refuses_are_made_acceptable():
    assert flat_metrics({"test": {"per_type": {"Ä|B": {"f1": 1}}}}) == {"test_f1_Ä_B": 1.0}


def test_types_that_mlflow_would_call_alike_keep_a_metric_each():
    per_type = {name: {"f1": value} for value, name in enumerate(["人物", "地点", "a/b", "a|b", "x" * 900, "x" * 901])}
    flat = flat_metrics({"test": {"per_type": per_type}})
    assert list(flat.values()) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert {"test_f1_人物", "test_f1_地点", "test_f1_a_b", "test_f1_a_b-2"} < set(flat)
    assert max(map(len, flat)) <= 250  # MLflow's limit


def test_addresses_show_neither_secrets_nor_this_machine(home):
    assert shown_uri("http://me:secret@example.org:5000/x") == "http://example.org:5000/x"
    assert shown_uri(tracking_uri()) == "sqlite:///mlflow/data/mlflow.db"
    assert shown_uri("sqlite:////somewhere/else/my.db") == "sqlite:///my.db"
    assert [is_local(uri) for uri in (tracking_uri(), "http://localhost:1", "https://example.org")] == [
        True,
        True,
        False,
    ]


def test_the_report_is_not_changed_by_logging_it(home):
    before = copy.deepcopy(TRAINING)
    sync(TRAINING, "ner", MANIFEST)
    assert before == TRAINING
