"""A backup is restored: versions, aliases, artifacts, flow runs are there, and the champion answers."""

import io
import json
import sqlite3
import stat
import tarfile

import pytest

from ner.admin.backup import backup, require_own_stores, restore
from ner.common.stores import embedded
from ner.errors import NerError

LOAD = """
import mlflow, sys
mlflow.set_tracking_uri(sys.argv[1])
print(mlflow.MlflowClient().get_model_version_by_alias("ner", "challenger").tags["gate"])
print(mlflow.pyfunc.load_model("models:/ner@champion").predict({"text": ["Marta"]})[0]["text"])
"""


def answers(run, root, uri, more=None):
    return run(root, "-c", LOAD, uri, more=more).splitlines()[-2:]


def test_an_archive_that_was_altered_or_cut_or_leads_elsewhere_is_refused(tmp_path):
    root = little(tmp_path / "feature%2Flogin #1")
    whole = tmp_path / "whole.tar"
    backup(root, whole)
    assert stat.S_IMODE(whole.stat().st_mode) == 0o600
    content = whole.read_bytes()
    (tmp_path / "altered.tar").write_bytes(content.replace(b"an artifact", b"no artifact"))
    (tmp_path / "cut.tar").write_bytes(content[: len(content) // 2])
    (tmp_path / "climbs.tar").write_bytes(content)
    with tarfile.open(tmp_path / "climbs.tar", "a") as archive:
        archive.addfile(tarfile.TarInfo("artifacts/../../x"), io.BytesIO())
    there = tmp_path / "there"
    there.mkdir()
    reasons = {"altered": "'artifacts/f' is not", "cut": "no manifest|not a complete", "climbs": "x' is not"}
    for name, reason in reasons.items():
        with pytest.raises(NerError, match=reason):
            restore(there, tmp_path / f"{name}.tar", False, print)
    assert list(there.iterdir()) == []
    with pytest.raises(NerError, match="is there already"):
        backup(root, whole)


def test_restoring_over_something_is_refused_unless_forced_and_then_it_is_put_aside(tmp_path):
    root = little(tmp_path / "feature%2Flogin #1")
    backup(root, tmp_path / "a.tar")
    (root / "mlflow" / "data" / "artifacts" / "f").write_text("later")
    with pytest.raises(NerError, match="mlflow.db and .*prefect.db and .*artifacts are there already: nothing was"):
        restore(root, tmp_path / "a.tar", False, print)
    restore(root, tmp_path / "a.tar", True, print)
    assert (root / "mlflow" / "data" / "artifacts" / "f").read_text() == "an artifact"
    (aside,) = (root / ".ner").glob("before-restore.*")
    assert (aside / "data" / "artifacts" / "f").read_text() == "later"
    assert json.loads((root / "mlflow" / "data" / "registered.json").read_text()) == {"version": 1}


def test_the_stores_of_a_team_have_tools_of_their_own(monkeypatch):
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql+psycopg2://h/m")
    with pytest.raises(NerError, match="back up PostgreSQL by pg_dump"):
        require_own_stores()


def little(root):
    """Databases with the tables that matter here, one row each, and an artifact."""
    (root / "mlflow" / "data" / "artifacts").mkdir(parents=True)
    (root / ".ner").mkdir()
    (root / "mlflow" / "data" / "artifacts" / "f").write_text("an artifact")
    (root / "mlflow" / "data" / "registered.json").write_text('{"version": 1}')
    tables = {
        "experiments": "experiment_id, artifact_location",
        "runs": "experiment_id, artifact_uri",
        "logged_models": "artifact_location",
        "model_versions": "source, storage_location",
        "trace_tags": "value",
    }
    with sqlite3.connect(root / "mlflow" / "data" / "mlflow.db") as mlflow:
        for table, columns in tables.items():
            mlflow.execute(f"CREATE TABLE {table} ({columns})")
        mlflow.execute("INSERT INTO runs VALUES (1, 's3://other/run/artifacts')")
    with sqlite3.connect(root / ".ner" / "prefect.db") as prefect:
        prefect.execute("CREATE TABLE flow_run (id)")
    return root


@pytest.mark.operations
def test_a_backup_of_the_embedded_stores_in_another_checkout_has_everything(worked, tmp_path, run):
    manifest = backup(worked, tmp_path / "a.tar", print)
    there = tmp_path / "another place, a?b"  # MLflow loads no model below a %20
    there.mkdir()
    restore(there, tmp_path / "a.tar", False, print)
    assert manifest["databases"]["prefect"]["rows"]["flow_run"] == 2
    worked.rename(worked.with_name("gone"))  # nothing may lead back there
    try:
        assert answers(run, there, embedded(there).mlflow) == ["passed, challenger", "Marta"]
    finally:
        worked.with_name("gone").rename(worked)


@pytest.mark.operations
def test_the_champion_in_the_teams_stores_answers(work_in, team, tmp_path, run):
    worked = work_in(tmp_path / "worked", team)
    assert answers(run, worked, team["MLFLOW_BACKEND_STORE_URI"], team) == ["passed, challenger", "Marta"]
