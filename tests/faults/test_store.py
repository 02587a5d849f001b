"""MLflow's store that cannot be used: read-only, no database at all, a server that listens and never answers."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.operations

ROOT = Path(__file__).resolve().parents[2]
WRITE = (
    "from ner.common.cli import run_stage; from ner.tracking.mlflow_store import client, registry_errors\n"
    "def main():\n with registry_errors(): client().create_run('1')\n"
    "run_stage('register', main)"
)  # as stage register begins


@pytest.fixture
def refused(clean_environment):
    """refused(address): the one sentence with which a stage that needs MLflow ends; it comes in seconds."""

    def ask(address: str) -> str:
        environment = clean_environment | {"MLFLOW_TRACKING_URI": address, "PYTHONPATH": str(ROOT)}
        began = "import time; print(time.time(), flush=True)\n"  # the imports of Python are not the server's
        run = [sys.executable, "-c", "import mlflow\n" + began + WRITE]
        done = subprocess.run(run, env=environment, capture_output=True, text=True)
        seconds = time.time() - float(done.stdout.split()[0])
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        assert seconds < 60
        return done.stderr.strip().splitlines()[-1]

    return ask


def test_a_server_that_never_answers_is_told_within_ten_seconds(refused):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        sentence = refused(f"http://127.0.0.1:{deaf.getsockname()[1]}")
    assert "does not answer in time" in sentence


def test_a_file_that_is_no_database_is_told_in_seconds(refused, tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database " * 1000)
    sentence = refused(f"sqlite:///{tmp_path}/mlflow.db")
    assert "file is not a database" in sentence


def test_a_database_that_is_read_only_is_told_in_a_sentence(refused, small_disk, tmp_path, clean_environment):
    disk = small_disk(16, tmp_path / "store")
    environment = clean_environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{disk}/mlflow.db", "PYTHONPATH": str(ROOT)}
    make = "from ner.tracking.mlflow_store import client; client().create_experiment('ner')"
    subprocess.run([sys.executable, "-c", make], env=environment, check=True, capture_output=True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    sentence = refused(f"sqlite:///{disk}/mlflow.db")
    assert "is read-only: make its file and its folder writable" in sentence
