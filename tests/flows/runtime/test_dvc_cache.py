"""A damaged file in DVC's cache never becomes a result again."""

import shutil
from pathlib import Path

import pytest

from flows.runtime.run_stage import CACHED, RAN, run_stage, stage_environment


@pytest.fixture
def cached(toy):
    """The toy pipeline with one stage done, and that stage's file in DVC's cache."""
    assert run("ingest")[0] == RAN
    (file,) = [path for path in Path(".dvc/cache/files/md5").glob("??/*") if path.read_text() == "conll2003"]
    return file


def run(name):
    lines = []
    outcome = run_stage(Path.cwd(), name, stage_environment("run", None), lines.append)
    return outcome.how, lines


def damage(file: Path) -> None:
    """Other bytes of the same number, read-only as DVC leaves its files, which it then takes for whole."""
    file.chmod(0o644)
    file.write_text("conll2OO3")
    file.chmod(0o444)


@pytest.mark.parametrize("lost", [("corpus.txt",), ("corpus.txt", "dvc.lock")])  # put back, or from the run cache
def test_a_damaged_file_in_the_cache_is_told_and_removed_and_the_stage_runs(cached, lost):
    for name in lost:
        Path(name).unlink()
    damage(cached)
    how, lines = run("ingest")
    assert how == RAN and Path("corpus.txt").read_text() == "conll2003"
    assert any(line.startswith("warning: ") and "of corpus.txt, was damaged and is removed" in line for line in lines)
    assert cached.read_text() == "conll2003"


def test_a_whole_file_is_put_back_without_running_the_stage(cached):
    Path("corpus.txt").unlink()
    shutil.move("toy.py", "gone.py")  # the stage could not run
    assert run("ingest")[0] == CACHED and Path("corpus.txt").read_text() == "conll2003"
