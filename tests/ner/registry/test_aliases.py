"""Where aliases point, read from a real registry."""

import shutil

import pytest

from ner.registry.aliases import read_aliases
from ner.tracking.mlflow_store import client


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
    return store.create_model_version(model, source.as_uri(), run.info.run_id, tags=tags)


def test_an_alias_points_to_a_version_whose_files_may_be_gone(store, tmp_path):
    store.create_registered_model("ner")
    version = make_version(store, "ner", tmp_path)
    store.set_registered_model_alias("ner", "champion", "1")
    assert read_aliases("ner") == {"champion": ("1", True), "challenger": None}
    shutil.rmtree(tmp_path / f"ner-{version.run_id}")
    assert read_aliases("ner")["champion"] == ("1", False)


def test_without_a_store_no_version_has_an_alias_and_none_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert read_aliases("ner")["champion"] is None
    assert not (tmp_path / "mlflow/data/mlflow.db").exists()
