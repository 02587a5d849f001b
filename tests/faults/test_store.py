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
    "from tasks.cli import run_stage; from tasks.store import client, registry_errors\n"
    "def main():\n with registry_errors(): client().create_run('1')\n"
    "run_stage('register', main)"
)  # as stage register begins


@pytest.fixture
def refused(clean_environment):
    """refused(address): the one sentence with which a stage that needs MLflow ends, and the seconds until then."""

    def ask(address: str) -> tuple[str, float]:
        environment = clean_environment | {"MLFLOW_TRACKING_URI": address, "PYTHONPATH": str(ROOT)}
        began = "import time; print(time.time(), flush=True)\n"  # the imports of Python are not the server's
        run = [sys.executable, "-c", "import mlflow\n" + began + WRITE]
        done = subprocess.run(run, env=environment, capture_output=True, text=True)
        seconds = time.time() - float(done.stdout.split()[0])
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        return done.stderr.strip().splitlines()[-1], round(seconds, 1)

    return ask


def test_a_server_that_never_answers_is_told_within_ten_seconds(refused, tell):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        sentence, seconds = refused(f"http://127.0.0.1:{deaf.getsockname()[1]}")
    assert "does not answer in time" in sentence
    tell(
        fault="MLflow's server hangs",
        made="something listens at MLFLOW_TRACKING_URI and never answers, then a run is created as stage register does",
        saw=sentence,
        first_message_s=seconds,
        outcome="refused with that sentence, status 1; the flow tries the stage again after limits.retry_after_s",
    )


def test_a_file_that_is_no_database_is_told_in_seconds(refused, tmp_path, tell):
    (tmp_path / "mlflow.db").write_text("not a database " * 1000)
    sentence, seconds = refused(f"sqlite:///{tmp_path}/mlflow.db")
    assert "file is not a database" in sentence and seconds < 60
    tell(
        fault="MLflow's database damaged",
        made="other bytes in mlflow.db, then a run is created as stage register does",
        saw=sentence,
        first_message_s=seconds,
        outcome="refused with that sentence, status 1; MLflow's own 10 attempts would be 100 s of silence",
    )


def test_a_database_that_is_read_only_is_told_in_a_sentence(refused, small_disk, tmp_path, clean_environment, tell):
    disk = small_disk(16, tmp_path / "store")
    environment = clean_environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{disk}/mlflow.db", "PYTHONPATH": str(ROOT)}
    make = "from tasks.store import client; client().create_experiment('ner')"
    subprocess.run([sys.executable, "-c", make], env=environment, check=True, capture_output=True)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    sentence, seconds = refused(f"sqlite:///{disk}/mlflow.db")
    assert "is read-only: make its file and its folder writable" in sentence
    tell(
        fault="MLflow's database read-only",
        made="the database on a disk that is mounted read-only, then a run is created as stage register does",
        saw=sentence,
        first_message_s=seconds,
        outcome="refused with that sentence, status 1; a training only warns and goes on",
    )
