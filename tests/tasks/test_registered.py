"""What registered versions need, read from a real registry."""

import shutil

import pytest

from tasks.registered import read_aliases, read_needs
from tasks.store import client


@pytest.fixture
def store(database, tmp_path, monkeypatch):
    shutil.copytree(database, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return client()


def make_version(store, model, files, **tags):
    """A version whose run exists, with or without weights in its artifact folder."""
    run = store.create_run("0")
    source = files / f"{model}-{run.info.run_id}"
    (source / "artifacts" / "release").mkdir(parents=True)
    (source / "artifacts" / "release" / "model.safetensors").write_bytes(b"weights")
    return store.create_model_version(model, source.as_uri(), run.info.run_id, tags={"flow_run_id": "f-1", **tags})


def test_needs_of_all_versions_of_all_models_and_where_aliases_point(store, tmp_path):
    store.create_registered_model("ner")
    store.create_registered_model("ner-de")
    one = make_version(store, "ner", tmp_path, **{"dvc_lock.models/ner": "aa.dir", "mlflow_run_id": "r-0"})
    two = make_version(store, "ner-de", tmp_path, **{"dvc_lock.models/ner": "bb.dir", "dvc_lock.x": "aa.dir"})
    needs = read_needs()
    assert needs.outputs == {"aa.dir": "ner/1", "bb.dir": "ner-de/1"} or needs.outputs["bb.dir"] == "ner-de/1"
    assert set(needs.mlflow_runs) == {"r-0", one.run_id, two.run_id} and set(needs.flow_runs) == {"f-1"}

    store.set_registered_model_alias("ner", "champion", "1")
    assert read_aliases("ner") == {"champion": ("1", True), "challenger": None}
    shutil.rmtree(tmp_path / f"ner-{one.run_id}")
    assert read_aliases("ner")["champion"] == ("1", False)


def test_without_a_store_nothing_is_needed_and_none_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert read_needs().outputs == {} and read_aliases("ner")["champion"] is None
    assert not (tmp_path / "mlflow/data/mlflow.db").exists()
