"""What a user's run or edit rewrites is opened by no test, here and in the Pythons that it starts."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OF_THE_USER = ["params.yaml", "catalog.yaml", "dvc.lock", "bench/dvc.lock", "reports/metrics.json",
               "reports/bench/x.md", "profiles/mine.json", "data/prepared/x.parquet", "local/mine/a.txt"]  # fmt: skip


@pytest.mark.parametrize("name", OF_THE_USER)
def test_a_file_that_a_run_or_an_edit_rewrites_cannot_be_opened(name, monkeypatch):
    monkeypatch.chdir(ROOT / "tests")
    for path in (ROOT / name, Path("..") / name, str(ROOT / name).encode()):
        with pytest.raises(BaseException, match="is a user's: a test takes"):
            open(path)


def test_nor_can_it_in_a_process_that_a_test_starts():
    done = subprocess.run([sys.executable, "-c", "open('params.yaml')"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "is a user's: a test takes" in done.stderr


def test_copies_frozen_ones_and_code_can(checkout):
    for path in (
        checkout / "params.yaml",
        ROOT / "tests/data/params.yaml",
        ROOT / "dvc.yaml",
        ROOT / "local/README.md",
    ):
        assert path.read_text(encoding="utf-8")
