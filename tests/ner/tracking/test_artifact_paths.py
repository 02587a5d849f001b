"""A checkout that was moved or copied: MLflow's addresses are absolute, and follow it."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from ner.errors import RegistryError
from ner.tracking.mlflow_store import client, experiment_id, follow_checkout

TEXT = "what the run has written"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A checkout's store with a run, its artifact and a registered version."""
    root = tmp_path_factory.mktemp("made") / "a checkout"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("NER_HOME", str(root))
        store = client()
        run = store.create_run(experiment_id(store, "ner"))
        store.log_text(run.info.run_id, TEXT, "reports/card.md")
        store.create_registered_model("ner")
        store.create_model_version("ner", f"{run.info.artifact_uri}/model", run.info.run_id)
    return root


@pytest.fixture
def root(made, tmp_path, monkeypatch) -> Path:
    """A copy of it, in a folder that this test may move."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Path(shutil.copytree(made, tmp_path / "here"))


def read_text(root: Path, monkeypatch, tmp_path: Path) -> str:
    """The artifact of the version's run, as anybody who asks the store of `root` gets it."""
    monkeypatch.setenv("NER_HOME", str(root))
    store = client()
    (version,) = store.search_model_versions("name='ner'")
    assert version.source.startswith((root / "mlflow/data/artifacts").as_uri())
    path = store.download_artifacts(version.run_id, "reports/card.md", str(tmp_path))
    return Path(path).read_text()


def test_a_renamed_checkout_keeps_its_runs_and_versions_and_says_so_once(root, tmp_path, monkeypatch, capsys):
    read_text(root, monkeypatch, tmp_path)
    capsys.readouterr()
    renamed = root.rename(tmp_path / "elsewhere 100 %")
    assert read_text(renamed, monkeypatch, tmp_path) == TEXT
    said = capsys.readouterr().err
    assert said == f"note: this checkout was at {root}: MLflow's addresses name {renamed} now.\n"
    assert read_text(renamed, monkeypatch, tmp_path) == TEXT and capsys.readouterr().err == ""


def test_a_copy_reads_and_writes_its_own_artifacts_and_leaves_those_of_the_first_one(root, made, tmp_path, monkeypatch):

    assert read_text(root, monkeypatch, tmp_path) == TEXT
    store = client()
    run = store.create_run(experiment_id(store, "ner"))
    assert run.info.artifact_uri.startswith(root.as_uri())
    assert read_text(made, monkeypatch, tmp_path) == TEXT


def test_a_database_without_its_artifacts_and_one_that_is_new_stay_as_they_are(root, tmp_path):
    before = (root / "mlflow/data/mlflow.db").read_bytes()
    shutil.rmtree(root / "mlflow/data/artifacts")
    follow_checkout(root)
    assert (root / "mlflow/data/mlflow.db").read_bytes() == before
    (tmp_path / "new/mlflow/data/artifacts").mkdir(parents=True)
    (tmp_path / "new/mlflow/data/mlflow.db").touch()
    follow_checkout(tmp_path / "new")


def test_a_store_that_cannot_be_written_is_one_sentence_with_both_places(root, made, monkeypatch):
    """As root may write everything, it is held by another process here."""
    monkeypatch.setattr("ner.common.sqlite.BUSY_S", 0.1)
    with sqlite3.connect(root / "mlflow/data/mlflow.db", isolation_level="IMMEDIATE") as holder:
        holder.execute("UPDATE experiments SET name = name")
        with pytest.raises(RegistryError, match=f"was at {made} when .* changed to {root} .*same command"):
            follow_checkout(root)
        holder.rollback()


def addresses(root: Path) -> set[str]:
    with sqlite3.connect(root / "mlflow/data/mlflow.db") as connected:
        return {address for (address,) in connected.execute("SELECT artifact_location FROM experiments")}


@pytest.mark.parametrize("address", ["s3://team/mlflow/data/artifacts", "dbfs:/x/mlflow/data/artifacts"])
def test_an_address_that_is_no_folder_of_a_checkout_stays(root, address, monkeypatch):
    with sqlite3.connect(root / "mlflow/data/mlflow.db") as connected:
        connected.execute("UPDATE experiments SET artifact_location = ?", (address,))
    follow_checkout(root)
    assert addresses(root) == {address}


def test_the_same_folder_by_another_path_and_a_place_that_somebody_names_stay(root, tmp_path, monkeypatch):
    follow_checkout(root)
    before = addresses(root)
    (tmp_path / "link").symlink_to(root, target_is_directory=True)
    follow_checkout(tmp_path / "link")
    assert addresses(root) == before
    copy = Path(shutil.copytree(root, tmp_path / "copy"))
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://team/artifacts")
    follow_checkout(copy)
    assert addresses(copy) == before


def test_a_database_that_cannot_be_read_is_one_sentence(root, monkeypatch):
    (root / "mlflow/data/mlflow.db").write_text("not a database, but long enough to be looked at\n" * 50)
    with pytest.raises(RegistryError, match="cannot be read") as caught:
        follow_checkout(root)
    assert "\n" not in str(caught.value)
