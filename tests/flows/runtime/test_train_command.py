import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.runtime.train_command import reachable_server
from ner.errors import NerError
from waiting import PATIENCE_S

COMMAND = [sys.executable, "-m", "ner", "train"]


def test_a_wrong_parameter_ends_at_once_with_one_sentence(toy: Path, outside: dict[str, str]):
    done = subprocess.run([*COMMAND, "--set", "train.epoch=1"], cwd=toy, env=outside, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == "train: the run's parameters: unknown key 'train.epoch' (did you mean 'epochs'?)."


SETTINGS = [
    ("PREFECT_API_URL", "http://[::1", "train: PREFECT_API_URL is 'http://[::1', which is no address"),
    ("PREFECT_API_URL", "localhost:4200/api", "train: PREFECT_API_URL is 'localhost:4200/api', which is no address"),
    ("PREFECT_API_URL", "http://h:port/api", "train: PREFECT_API_URL is 'http://h:port/api', which is no address"),
    ("PREFECT_LOGGING_LEVEL", "loud", "train: Prefect's settings cannot be read ("),
    (
        "PREFECT_SERVER_DATABASE_CONNECTION_URL",
        "postgresql://u:secret@h/p",
        "_URL is postgresql://h/p, need ",
    ),
    (
        "PREFECT_SERVER_DATABASE_CONNECTION_URL",
        "postgresql+asyncpg://u:secret@127.0.0.1:9/p",
        "_URL: nothing answers at 127.0.0.1:9 (",
    ),
    ("ALL_PROXY", "socks5://127.0.0.1:9", "train: ALL_PROXY names a SOCKS proxy, for which this environment lacks"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), SETTINGS)
def test_a_setting_that_cannot_work_is_one_sentence(toy: Path, outside: dict[str, str], name, value, sentence):
    done = subprocess.run(COMMAND, cwd=toy, env=outside | {name: value}, capture_output=True, text=True)
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 1 and sentence in line and "secret" not in line
    assert "Traceback" not in done.stderr


def test_prefect_commands_without_a_server_end_at_once_and_no_run_waits_for_ever(toy: Path, outside: dict[str, str]):
    command = [sys.executable, "-m", "prefect", "deployment", "run", "ner/train", "--watch"]
    done = subprocess.run(command, cwd=toy, env=outside, capture_output=True, text=True, timeout=300)
    assert done.returncode and "Please set PREFECT_API_URL to the address of a running Prefect server" in done.stderr


def test_a_temporary_server_that_is_slow_is_told_as_that(toy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flows.runtime.train_command.STARTUP_TIMEOUT_S", 0)
    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})  # another test of this process may have one that runs
    with temporary_settings(updates={PREFECT_API_URL: None}), pytest.raises(NerError, match="temporary server did not"):
        with reachable_server():
            pytest.fail("there is no server")


@pytest.mark.operations
@pytest.mark.slow
def test_the_command_ends_with_the_table_and_the_status_of_the_gate(toy: Path, outside: dict[str, str]):
    """Also where http goes to a proxy that does not answer: the temporary server is on this machine."""
    outside |= dict.fromkeys(("http_proxy", "HTTPS_PROXY", "all_proxy"), "http://127.0.0.1:9")
    passed = subprocess.run(COMMAND, cwd=toy, env=outside, capture_output=True, text=True)
    assert passed.returncode == 0, passed.stderr
    for line in ("validation       0.9300     0.9500     0.9400     0.9900", "Gate        passed", "alias challenger"):
        assert line in passed.stdout
    failed = subprocess.run(
        [*COMMAND, "--set", "gate.min_f1=0.97"], cwd=toy, env=outside, capture_output=True, text=True
    )
    assert failed.returncode == 4
    assert "Gate        FAILED" in failed.stdout and "Traceback" not in failed.stdout + failed.stderr
    assert "Model       not registered, because the gate failed" in failed.stdout
    refused = "gate: the gate failed, so nothing is registered: validation F1 is 0.94, the threshold 0.97."
    assert refused in failed.stderr.splitlines()


@pytest.mark.operations
@pytest.mark.slow
def test_a_stopped_command_leaves_no_process(toy: Path, outside: dict[str, str]):
    command = subprocess.Popen([*COMMAND, "--set", "train.epochs=400"], cwd=toy, env=outside, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_S
    while not list(toy.glob(".ner/workspaces/*/started")):
        assert command.poll() is None and time.monotonic() < until
        time.sleep(0.5)
    family = psutil.Process(command.pid).children(recursive=True)
    assert len(family) >= 3
    os.kill(command.pid, signal.SIGTERM)
    assert command.wait(PATIENCE_S) == 143
    gone, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert alive == []
