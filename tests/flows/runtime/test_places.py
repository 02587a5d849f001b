"""A run in a checkout wherever it stands, in its own tree and in the copy for other parameters: never elsewhere."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from flows.runtime.dvc_graph import read_graph
from flows.runtime.run_stage import CACHED, RAN, run_stage, stage_environment
from flows.runtime.workspace import workspace, workspace_environment
from ner.common.place import git_refusal, require_place
from ner.common.provenance import git_state

NAMES = ["feature%2Flogin", "100% a?b#c", "Länge mit Blank, 日本's [1]"]


@pytest.fixture(params=[*NAMES, "a link", "a git worktree"])
def checkout(request, pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy pipeline in a folder of that name, or reached in that way; beside it the folder of the unescaped name."""
    for name in ("NER_GIT_COMMIT", "NER_GIT_DIRTY"):
        monkeypatch.delenv(name, raising=False)
    place = tmp_path / request.param
    real = tmp_path / "real"
    shutil.copytree(pristine, real if request.param in ("a link", "a git worktree") else place, symlinks=True)
    if request.param == "a link":
        place.symlink_to(real)
    if request.param == "a git worktree":
        subprocess.run(["git", "worktree", "add", "-q", str(place), "-b", "other"], cwd=real, check=True)
        shutil.copytree(real / "local", place / "local")
    (tmp_path / "feature").mkdir()
    (tmp_path / "feature" / "login").mkdir()
    monkeypatch.chdir(place)
    return place


def run_two(folder: Path, environment: dict[str, str]) -> list[str]:
    """How `ingest` and `base` end."""
    return [run_stage(folder, name, environment, lambda line: None).how for name in ("ingest", "base")]


def test_a_run_works_here_and_nowhere_else(checkout):
    environment = stage_environment("run", None)
    beside = {path for path in checkout.parent.iterdir()}
    require_place(checkout)
    assert git_refusal(checkout) is None and git_state(checkout)[0] != "unknown"
    assert run_two(checkout, environment) == [RAN, RAN] and run_two(checkout, environment) == [CACHED, CACHED]

    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["data"]["source"] = "other"
    with workspace(checkout, "run", params, read_graph(checkout)) as folder:
        assert run_two(folder, environment | workspace_environment(checkout)) == [RAN, CACHED]
        assert (folder / "corpus.txt").read_text() == "other"
        (folder / "base.txt").unlink()
        assert run_two(folder, environment) == [CACHED, CACHED]  # put back from the cache that both share
    assert (checkout / "corpus.txt").read_text() != "other"
    assert {path for path in checkout.parent.iterdir()} == beside
    assert list((checkout.parent / "feature" / "login").iterdir()) == []
