import subprocess
from datetime import datetime

import pytest

from ner.common.provenance import git_state, lock_hashes, package_versions, provenance

LOCK = """schema: '2.0'
stages:
  ingest:
    cmd: python -m tasks.ingest
    deps:
    - {path: catalog.yaml, hash: md5, md5: aaa, size: 1}
    outs:
    - {path: data/prepared, hash: md5, md5: bbb.dir, size: 2, nfiles: 4}
  train:
    cmd: python -m tasks.train
    deps:
    - {path: data/prepared, hash: md5, md5: bbb.dir, size: 2, nfiles: 4}
    outs:
    - {path: models/ner, hash: md5, md5: ccc.dir, size: 3, nfiles: 4}
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("NER_GIT_COMMIT", "NER_GIT_DIRTY", "NER_FLOW_RUN_ID"):
        monkeypatch.setenv(name, "")
    (tmp_path / "params.yaml").write_text("train: {epochs: 2}\n")
    (tmp_path / "dvc.lock").write_text(LOCK)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "metrics.json").write_text("{}")
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_committed_tree_is_clean(repository):
    commit, dirty = git_state(repository)
    assert (len(commit), dirty) == (40, False)


@pytest.mark.parametrize("name", ["params.yaml", "new.py"])
def test_a_changed_or_a_new_file_makes_the_tree_dirty(repository, name):
    (repository / name).write_text("train: {epochs: 3}\n")
    assert git_state(repository)[1] is True


def test_what_a_run_itself_writes_does_not_make_it_dirty(repository):
    (repository / "dvc.lock").write_text("schema: '2.0'\n")
    (repository / "reports" / "metrics.json").write_text('{"f1": 1}')
    assert git_state(repository)[1] is False


def test_outside_of_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("NER_GIT_COMMIT", "")
    monkeypatch.setenv("NER_GIT_DIRTY", "")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == ("unknown", None)


@pytest.mark.parametrize(("told", "dirty"), [("1", True), ("0", False), ("true", True), ("", False)])
def test_the_environment_wins_over_git(repository, monkeypatch, told, dirty):
    monkeypatch.setenv("NER_GIT_COMMIT", "f" * 40)
    monkeypatch.setenv("NER_GIT_DIRTY", told)
    assert git_state(repository) == ("f" * 40, dirty)


def test_the_lock_file_gives_the_md5_of_every_output(repository):
    assert lock_hashes(repository) == {"data/prepared": "bbb.dir", "models/ner": "ccc.dir"}


def test_without_a_lock_file_there_are_no_hashes(tmp_path):
    assert lock_hashes(tmp_path) == {}


def test_versions_have_no_local_suffix_and_missing_packages_are_left_out():
    versions = package_versions(("torch", "no-such-package"))
    assert set(versions) == {"torch"}
    assert "+" not in versions["torch"]


def test_everything_together(repository, monkeypatch):
    monkeypatch.setenv("NER_FLOW_RUN_ID", "flow-1")
    facts = provenance(repository)
    assert (facts["git_dirty"], facts["flow_run_id"]) == (False, "flow-1")
    assert datetime.fromisoformat(facts["started"]).tzinfo is not None
    assert facts["packages"]["mlflow"] and facts["cpu"] and facts["cores"]
