"""Several checkouts with one DVC remote: one takes what another has computed; a remote that is gone stops nobody."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from flows.runtime.run_stage import run_stage, stage_environment
from flows.runtime.workspace import _configure_dvc

ROOT = Path(__file__).resolve().parents[3]
ORDER = ["ingest", "base", "train", "evaluate", "gate", "register"]
JOURNAL = """
with open(__import__("os").environ["JOURNAL"], "a") as journal:
    journal.write(f"{stage} {Path.cwd().name}\\n")
"""


@pytest.fixture
def origin(pristine, tmp_path):
    """The toy pipeline, whose stages note that they run, with a remote that its clones share."""
    folder = tmp_path / "origin"
    shutil.copytree(pristine, folder, symlinks=True)
    head, line, rest = (folder / "toy.py").read_text().partition('if stage == "ingest":')
    (folder / "toy.py").write_text(head + JOURNAL.lstrip() + line + rest)
    text = (folder / "dvc.yaml").read_text()  # an output with cache: false, whose stage DVC does not keep by itself
    (folder / "dvc.yaml").write_text(text.replace("metrics: [reports/metrics.json", "outs: [reports/metrics.json"))
    dvc(folder, "remote", "add", "--default", "shared", str(tmp_path / "remote"))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "commit", "-qam", "remote"], cwd=folder, check=True)
    return folder


@pytest.fixture
def journal(tmp_path, monkeypatch):
    path = tmp_path / "journal"
    path.touch()
    monkeypatch.setenv("JOURNAL", str(path))
    return lambda: Counter(line.split()[0] for line in path.read_text().splitlines())


def dvc(folder, *arguments):
    subprocess.run([sys.executable, "-m", "dvc", "-q", *arguments], cwd=folder, check=True)


def clone(origin, name):
    folder = origin.parent / name
    subprocess.run(["git", "clone", "-q", str(origin), str(folder)], check=True)
    shutil.copytree(origin / "local", folder / "local", dirs_exist_ok=True)
    return folder


def run_some(folder, names):
    """What became of each stage, and the lines of the log."""
    lines = []
    outcomes = {name: run_stage(folder, name, stage_environment("run", None), lines.append).how for name in names}
    return outcomes, lines


def test_what_one_checkout_has_computed_another_takes_from_the_remote(origin, journal):
    one, other = clone(origin, "one"), clone(origin, "other")
    names = ORDER[:4]  # the last of them has an output that DVC does not cache
    assert run_some(one, names)[0] == dict.fromkeys(names, "ran")
    outcomes, lines = run_some(other, names)
    assert outcomes == dict.fromkeys(names, "cached") and lines.count("The remote has its result.") == len(names)
    assert journal() == dict.fromkeys(names, 1)
    for path in ("model.txt", "reports/metrics.json", "dvc.lock"):
        assert (other / path).read_text() == (one / path).read_text()


def test_a_remote_that_is_gone_is_a_warning_and_what_it_missed_is_sent_later(origin, journal, tmp_path):
    one, names = clone(origin, "one"), ["ingest"]
    (tmp_path / "remote").write_text("no folder")
    outcomes, lines = run_some(one, names)
    assert outcomes == {"ingest": "ran"}
    assert [line for line in lines if line.startswith("warning: the remote does not take the result")]
    (tmp_path / "remote").unlink()
    (one / "corpus.txt").write_text("changed by hand")  # or DVC would have nothing to do
    run_some(one, names)
    assert run_some(clone(origin, "other"), names)[0] == {"ingest": "cached"}
    assert journal() == {"ingest": 1}


def test_without_a_remote_nothing_is_asked_and_nothing_is_sent(pristine, tmp_path):
    folder = shutil.copytree(pristine, tmp_path / "toy", symlinks=True)
    lines = []
    assert run_stage(folder, "ingest", stage_environment("run", None), lines.append).how == "ran"
    assert not [line for line in lines if "remote" in line]


def test_a_relative_remote_means_the_same_in_the_copy_of_a_run_with_other_parameters(origin, tmp_path):
    dvc(origin, "remote", "modify", "shared", "url", "../elsewhere")
    stored = (origin / ".dvc" / "config").read_text()
    assert "url = ../../elsewhere" in stored or "url = ../elsewhere" in stored
    copy = tmp_path / "deep" / "er" / "copy"
    copy.mkdir(parents=True)
    _configure_dvc(origin, copy)
    assert str(tmp_path / "elsewhere") in (copy / ".dvc" / "config.local").read_text()
