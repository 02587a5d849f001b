import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

COMMAND = [sys.executable, "-m", "flows.train"]


def test_a_wrong_parameter_ends_at_once_with_one_sentence(toy: Path, outside: dict[str, str]):
    done = subprocess.run([*COMMAND, "--set", "train.epoch=1"], cwd=toy, env=outside, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == "train: the run's parameters: unknown key 'train.epoch' (did you mean 'epochs'?)."


@pytest.mark.operations
@pytest.mark.slow
def test_the_command_ends_with_the_table_and_the_status_of_the_gate(toy: Path, outside: dict[str, str]):
    passed = subprocess.run(COMMAND, cwd=toy, env=outside, capture_output=True, text=True)
    assert passed.returncode == 0, passed.stderr
    for line in ("validation       0.9300     0.9500     0.9400     0.9900", "Gate        passed", "alias challenger"):
        assert line in passed.stdout
    failed = subprocess.run(
        [*COMMAND, "--set", "gate.min_f1=0.97"], cwd=toy, env=outside, capture_output=True, text=True
    )
    assert failed.returncode == 4
    assert "Gate        FAILED" in failed.stdout and "Traceback" not in failed.stdout + failed.stderr
    assert "gate: validation F1 is 0.94, the threshold 0.97." in failed.stderr.splitlines()


@pytest.mark.operations
@pytest.mark.slow
def test_a_stopped_command_leaves_no_process(toy: Path, outside: dict[str, str]):
    command = subprocess.Popen([*COMMAND, "--set", "train.epochs=400"], cwd=toy, env=outside, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 200
    while not list(toy.glob(".ner/workspaces/*/started")):
        assert command.poll() is None and time.monotonic() < until
        time.sleep(0.5)
    family = psutil.Process(command.pid).children(recursive=True)
    assert len(family) >= 3
    os.kill(command.pid, signal.SIGTERM)
    assert command.wait(60) == 143
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
