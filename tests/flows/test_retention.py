"""What `make collect` removes from a real DVC cache, and what it never does."""

import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from dvc.repo import Repo

from flows import cache_objects, old_flow_runs, retention
from flows.lock import hold
from ner.retention import judge
from tasks.io import read_params
from tasks.registered import Needs

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
DAYS = read_params(Path(__file__).resolve().parents[2] / "params.yaml").retention


@pytest.fixture
def history(toy):
    """history(seed): a cache with many states of a folder, some on a branch or with a tag, some of a version.

    Gives the md5 of each state that is needed, of the others, and what versions need.
    """

    def make(seed):
        chance, needed, others, versions = random.Random(seed), set(), set(), {}
        (toy / "given/data").mkdir(parents=True)
        with Repo(str(toy)) as repo:
            for step in range(8):
                for name in "abcd":
                    (toy / "given/data" / name).write_text(str(chance.randrange(6)))
                repo.add(str(toy / "given/data"))
                md5 = _md5(toy)
                what = chance.choice(["branch", "tag", "version", "nothing", "nothing"])
                if what == "version":
                    versions[md5] = f"ner/{step}"
                if what in ("branch", "tag"):
                    git(toy, "add", "-f", "given/data.dvc")
                    git(toy, "commit", "-qm", f"state {step}")
                    git(toy, what, f"{what}-{step}")
                (needed if what != "nothing" else others).add(md5)
        needed.add(_md5(toy))  # the working tree has the last one
        grow_old(toy)
        return needed, others - needed, versions

    return make


def _md5(toy):
    (line,) = [one for one in (toy / "given/data.dvc").read_text().splitlines() if "md5:" in one]
    return line.split()[-1]


def git(toy, *arguments):
    subprocess.run([*GIT, *arguments], cwd=toy, check=True, capture_output=True)


def grow_old(toy, days=400):
    then = time.time() - days * 86400
    for path in (toy / ".dvc/cache").rglob("*"):
        if path.is_file():
            os.utime(path, (then, then))


def cached(toy):
    return {path.parent.name + path.name for path in (toy / ".dvc/cache/files").rglob("*") if path.is_file()}


def contents(toy, states):
    """The names of the files of those states, and of their lists."""
    with Repo(str(toy)) as repo:
        return {name for state in states for name in cache_objects._files(repo, state, "")} | states


@pytest.mark.parametrize("seed", range(3))
def test_no_file_goes_that_a_branch_a_tag_the_tree_or_a_version_needs(toy, history, seed):
    needed, others, versions = history(seed)
    must_stay, may_go = contents(toy, needed), contents(toy, others)
    with ExitStack() as stack:
        part = retention.cache(toy, DAYS, Needs(outputs=versions), "", stack)
        assert retention.remove([part]) == []
    assert cached(toy) == must_stay
    assert {thing.name for thing in part.going} == may_go - must_stay


def test_young_files_stay_and_so_does_everything_where_a_lookup_fails(toy, history):
    needed, others, versions = history(4)
    before = cached(toy)

    def going(needs, unknown=""):
        with ExitStack() as stack:
            return retention.cache(toy, DAYS, needs, unknown, stack).going

    assert going(Needs(outputs=versions))
    assert going(None, "the registry is down") == []
    assert going(Needs(outputs={**versions, "0" * 32 + ".dir": "ner/9"})) == []  # its list of files is nowhere
    git(toy, "checkout", "-q", "-b", "broken")
    (toy / "given/data.dvc").write_text("outs: [")
    git(toy, "add", "-f", "given/data.dvc")
    git(toy, "commit", "-qm", "broken")
    git(toy, "checkout", "-q", "-")
    assert going(Needs(outputs=versions)) == []
    git(toy, "branch", "-D", "broken")
    grow_old(toy, days=1)
    assert going(Needs(outputs=versions)) == []
    assert cached(toy) == before and others


def test_without_a_registry_only_what_killed_runs_left_goes(toy, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    left = toy / "checkpoints/0c3f/checkpoint-8/state"
    left.parent.mkdir(parents=True)
    left.write_text("x")
    (toy / ".dvc/cache/files/md5/ab").mkdir(parents=True)
    (toy / ".dvc/cache/files/md5/ab/cdef").write_text("x")
    then = time.time() - 400 * 86400
    for path in [*(toy / "checkpoints").rglob("*"), toy / ".dvc/cache/files/md5/ab/cdef"]:
        os.utime(path, (then, then))
    with ExitStack() as stack:
        parts = list(retention.examine(toy, DAYS, stack))
        lines = list(retention.told(parts, apply=False))
        assert retention.remove(parts) == []
    assert not (toy / "checkpoints/0c3f").exists() and (toy / ".dvc/cache/files/md5/ab/cdef").exists()
    assert lines[0].startswith("goes ") and "checkpoints/0c3f" in lines[0]
    assert any("could not be found out" in line for line in lines)
    assert "MLflow's runs stay" in capsys.readouterr().out


@pytest.mark.operations
def test_flow_runs_that_ended_go_but_for_those_that_a_version_names(server):
    from prefect import flow

    @flow(name="retention-toy")
    def finished():
        pass

    ids = [str(finished(return_state=True).state_details.flow_run_id) for _ in range(2)]
    things = [thing for thing in old_flow_runs.flow_runs() if thing.name in ids]
    assert len(things) == 2 and all(thing.age_s < 600 for thing in things)
    verdicts = judge(things, {ids[0]: "ner/3 needs it"}, days=0)
    old_flow_runs.remove(verdict.thing.name for verdict in verdicts if verdict.goes)
    assert [thing.name for thing in old_flow_runs.flow_runs() if thing.name in ids] == [ids[0]]
    old_flow_runs.remove([ids[1]])


@pytest.mark.operations
def test_the_command_shows_first_removes_when_told_and_waits_for_nobody(toy, outside):
    left = toy / ".ner/workspaces/killed/params.yaml"
    left.parent.mkdir(parents=True)
    left.write_text("x")
    then = time.time() - 400 * 86400
    for path in (left, left.parent):
        os.utime(path, (then, then))

    def run(*arguments):
        command = [sys.executable, "-m", "flows.retention", *arguments]
        return subprocess.run(command, cwd=toy, env=outside, capture_output=True, text=True)

    shown = run()
    assert shown.returncode == 0 and "1 would go" in shown.stdout and left.exists()
    (verdict,) = json.loads(run("--json").stdout)
    assert verdict["goes"] and verdict["name"] == ".ner/workspaces/killed"
    with hold(toy, "run", "a test"):
        busy = run("--apply")
        assert busy.returncode == 1 and "a test" in busy.stderr and left.exists()
    done = run("--apply")
    assert done.returncode == 0 and "1 are gone" in done.stdout and not left.parent.exists()
