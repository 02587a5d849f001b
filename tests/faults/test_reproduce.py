"""What `--reproduce` prints, run in a clone: it ends in a version of the same content."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from clean_environment import clean

CHANGES = {
    "train": {"seed": 7, "learning_rate": 2e-4},
    "gate": {"min_f1_per_type": {"PER": 0.0}},
    "sweep": {"trials": 3},
}


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    return done.stdout


def content(folder: Path) -> str:
    code = "from ner.registry.versions import resolve; print(resolve('ner@challenger').tags['content'])"
    return run(folder, sys.executable, "-c", code).split()[-1]


@pytest.mark.slow
@pytest.mark.operations
def test_the_printed_lines_make_the_same_content_in_a_clone(small_pristine, tmp_path):
    first = shutil.copytree(small_pristine, tmp_path / "first", symlinks=True)
    params = yaml.safe_load((first / "params.yaml").read_text())
    (first / "params.yaml").write_text(yaml.safe_dump({k: v | CHANGES.get(k, {}) for k, v in params.items()}))
    run(first, sys.executable, "-m", "dvc", "repro")
    printed = run(first, sys.executable, "-m", "ner", "reproduce", "ner/1")
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(first), str(clone))
    shutil.copytree(first / "local", clone / "local", dirs_exist_ok=True)  # your own data is not in git
    run(clone, "bash", "-ec", printed)
    assert "ner train --set=" in printed and "sweep" not in printed
    assert content(clone) == content(first) and content(first) in printed
