"""The first opening of a checkout's MLflow store: by several commands at once, and by one that is killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ner.errors import RegistryError
from ner.tracking.mlflow_store import client, registry_errors
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
OPEN = "from ner.tracking.mlflow_store import client, experiment_id; print(experiment_id(client(), 'ner'))"


def begin(home: Path) -> subprocess.Popen[str]:
    seen = {**os.environ, "NER_HOME": str(home), "MLFLOW_TRACKING_URI": ""}
    return subprocess.Popen(
        [sys.executable, "-c", OPEN], cwd=ROOT, env=seen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ends(command: subprocess.Popen[str]) -> str:
    output, errors = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0, errors
    return output


@pytest.mark.slow
def test_commands_that_open_it_for_the_first_time_together_share_one_store(tmp_path):
    assert len({ends(command) for command in [begin(tmp_path) for _ in range(3)]}) == 1


@pytest.mark.slow
def test_a_command_that_is_killed_while_it_makes_the_store_leaves_none(tmp_path):
    command, data = begin(tmp_path), tmp_path / "mlflow" / "data"
    until = time.monotonic() + PATIENCE_S
    while not any(path.stat().st_size for path in data.glob(".mlflow.db.*.tmp")):
        assert command.poll() is None and time.monotonic() < until, command.communicate()
        time.sleep(0.02)
    command.kill()
    command.communicate()
    assert not (data / "mlflow.db").exists()
    assert ends(begin(tmp_path)) == "1\n"


def test_a_store_that_an_earlier_version_left_half_made_is_named_with_what_to_do():
    with pytest.raises(RegistryError, match="was left half made by a command that was stopped: .*remove the file"):
        with registry_errors():
            from sqlalchemy.exc import OperationalError

            raise OperationalError("", {}, Exception("table _alembic_tmp_latest_metrics already exists"))


def test_a_database_in_memory_is_left_to_mlflow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///:memory:")
    client()
    assert list(tmp_path.iterdir()) == []
