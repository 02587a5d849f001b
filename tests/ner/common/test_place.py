"""What cannot work where a checkout stands is refused at once; a git that refuses is told, not passed over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.runtime.workspace import tracked_files
from ner.admin.health import check_git, check_place
from ner.common.place import git_refusal, home, loading_refusal, require_place, require_writable
from ner.common.provenance import git_state
from ner.errors import NerError

ROOT = Path(__file__).resolve().parents[3]
WHO = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit."""
    for name in ("NER_GIT_COMMIT", "NER_GIT_DIRTY"):
        monkeypatch.setenv(name, "")
    folder = tmp_path / "main"
    folder.mkdir()
    (folder / "params.yaml").write_text("train: {}\n")
    for command in (["init", "-q"], ["add", "."], [*WHO, "commit", "-qm", "first"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("command", [["-m", "ner", "train"], ["-m", "tasks.ingest"]])
def test_braces_which_dvc_cannot_take_are_refused_before_anything_is_begun(command, tmp_path):
    folder = tmp_path / "{cookie}"
    folder.mkdir()
    seen = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=seen, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and "has braces in its path" in line and "rename that folder" in line
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["data", "models"])
def test_a_link_in_the_place_of_an_output_folder_is_refused_before_a_stage_runs(name, repository, tmp_path):
    (tmp_path / "large").mkdir()
    (repository / name).symlink_to(tmp_path / "large", target_is_directory=True)
    with pytest.raises(NerError, match=f"{name} is a link to .*/large, and DVC keeps .*move the folder.*cache.type"):
        require_place(repository)


def test_a_path_that_is_not_in_utf_8_is_refused(tmp_path):
    with pytest.raises(NerError, match="is not in UTF-8, and DVC fails there"):
        require_place(tmp_path / os.fsdecode(b"a\xff"))


@pytest.mark.parametrize("name", ["feature%2Flogin", "a?b", "a#b", "Länge mit Blank", "it's [1]"])
def test_other_names_are_no_reason_to_refuse(name, tmp_path):
    require_place(tmp_path / name)


def test_where_mlflow_loads_no_model_serving_is_refused_and_doctor_tells(tmp_path):
    told = loading_refusal(tmp_path / "feature%2Flogin")
    assert told and "loads no model from a path with %2F in it" in told
    assert check_place(tmp_path / "feature%2Flogin").verdict == "warning"
    for name in ("100%", "a?b", "a#b", "Länge mit Blank"):
        assert loading_refusal(tmp_path / name) is None and check_place(tmp_path / name).verdict == "ok"


def test_a_folder_in_which_nothing_can_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # to root everything is open
    with pytest.raises(NerError, match="nothing can be written in .*: give yourself access"):
        require_writable(tmp_path)


def test_a_checkout_of_another_owner_is_told_with_the_command_that_makes_git_speak(repository, monkeypatch):
    assert git_refusal(repository) is None and check_git(repository).sentence.startswith("commit ")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own, for its tests
    monkeypatch.setenv("LANGUAGE", "de")
    told = git_refusal(repository)
    assert told and "belongs to another user" in told
    assert f"git config --global --add safe.directory '{repository}'" in told
    assert check_git(repository).verdict == "warning" and git_state(repository) == ("unknown", None)


def test_a_worktree_knows_its_commit_and_one_whose_repository_is_gone_says_so(repository, tmp_path):
    worktree = tmp_path / "feature%2Flogin"
    subprocess.run(["git", "worktree", "add", "-q", str(worktree), "-b", "x"], cwd=repository, check=True)
    assert git_refusal(worktree) is None and git_state(worktree) == git_state(repository)
    repository.rename(tmp_path / "moved")  # as where only the worktree is mounted into a container
    told = git_refusal(worktree)
    assert told and told.startswith("git tells no commit") and "not a git repository" in told


def test_without_a_repository_there_is_nothing_to_tell(tmp_path, monkeypatch):
    monkeypatch.setenv("NER_GIT_COMMIT", "")
    assert git_refusal(tmp_path) is None and check_git(tmp_path).verdict == "ok"


@pytest.mark.parametrize("copy", [".dvc/tmp/exps/standalone/tmpx", ".dvc/tmp/exps/tmpy"])
def test_a_copy_that_dvc_makes_for_an_experiment_has_its_checkout_for_a_home(copy, tmp_path, monkeypatch):
    monkeypatch.delenv("NER_HOME", raising=False)
    (tmp_path / copy).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / copy)
    assert home() == tmp_path
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path
    monkeypatch.setenv("NER_HOME", "elsewhere")
    assert home() == tmp_path / "elsewhere"


def test_another_repository_that_the_environment_names_is_not_asked(repository, tmp_path, monkeypatch):
    other = tmp_path / "other"
    for command in (["init", "-q", str(other)], ["-C", str(other), *WHO, "commit", "-qm", "other", "--allow-empty"]):
        subprocess.run(["git", *command], check=True)
    here = git_state(repository)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert git_state(repository) == here and len(here[0]) == 40
    assert tracked_files(repository) == [Path("params.yaml")]
