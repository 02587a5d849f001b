"""Two workers, each in a checkout of its own, with one PostgreSQL behind Prefect and one DVC remote on S3."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "tests" / "shared" / "toy"
ORDER = ["ingest", "base", "train", "evaluate"]  # what the remote shares; gate and register ask their own registry
JOURNAL = """
with open(__import__("os").environ["JOURNAL"], "a") as journal:
    journal.write(f"{stage} {Path.cwd().name}\\n")
"""


@pytest.fixture(scope="module")
def prefect_on_postgres(new_database, servers_module, tmp_path_factory):
    """The address of a Prefect server whose database is PostgreSQL."""
    home, port = tmp_path_factory.mktemp("prefect"), servers_module.free_port()
    environment = outside() | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": new_database().replace("postgresql:", "postgresql+asyncpg:"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    with (home / "log").open("w") as log:
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + PATIENCE_S
        while not answers(f"http://127.0.0.1:{port}/api/health"):
            assert server.poll() is None and time.monotonic() < until, (home / "log").read_text()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        servers_module.stop(server, signal.SIGTERM)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def outside() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "NER_TEAM_ENV": "", "PWD": ""}


@pytest.fixture
def origin(tmp_path):
    """The toy pipeline of the tests of the flow, whose stages note where they run, with its remote on S3."""
    folder = tmp_path / "origin"
    (folder / "local").mkdir(parents=True)
    (folder / "local" / "corpus.txt").write_text("Marta Okafor\n")
    (folder / ".gitignore").write_text("/corpus.txt\n/base.txt\n/model.txt\n/started\n/.ner/\n/checkpoints/\n")
    head, line, rest = (TOY / "toy.py").read_text().partition('if stage == "ingest":')
    (folder / "toy.py").write_text(head + JOURNAL.lstrip() + line + rest)
    for path in (TOY / "dvc.yaml", ROOT / "tests/data/params.yaml", ROOT / "prefect.toml"):
        shutil.copy(path, folder)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    dvc = [sys.executable, "-m", "dvc"]
    for command in (
        ["git", "init", "-q"],
        [*dvc, "init", "-q"],
        [*dvc, "remote", "add", "-q", "--default", "shared", f"s3://ner/dvc-{os.getpid()}"],
        ["git", "add", "-A"],
        [*git, "commit", "-qm", "toy"],
    ):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.mark.operations
def test_what_one_worker_has_computed_the_other_pulls(origin, s3, prefect_on_postgres, tmp_path):
    environment = outside() | {"JOURNAL": str(tmp_path / "journal"), "PREFECT_API_URL": prefect_on_postgres}
    runs, said = {}, {}
    for name in ("one", "other"):
        subprocess.run(["git", "clone", "-q", str(origin), str(tmp_path / name)], check=True)
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        command = [sys.executable, "-m", "ner", "train"]
        runs[name] = subprocess.Popen(command, cwd=tmp_path / name, env=environment, **streams)
        said[name] = runs[name].communicate(timeout=PATIENCE_S)[0]
    if kept := os.environ.get("NER_KEEP_LOGS"):
        for name, text in said.items():
            Path(kept, f"{name}.log").write_text(text, encoding="utf-8")
        shutil.copy(tmp_path / "journal", Path(kept, "journal"))
    assert [run.returncode for run in runs.values()] == [0, 0], said
    ran = Counter(line.split()[0] for line in (tmp_path / "journal").read_text().splitlines())
    assert ran == dict.fromkeys(ORDER, 1) | {"gate": 2, "register": 2}, said
    pulled = sum(text.count("The remote has its result.") for text in said.values())
    assert pulled == len(ORDER) and not re.search("warning: the remote", "".join(said.values())), said
    assert (tmp_path / "one" / "model.txt").read_bytes() == (tmp_path / "other" / "model.txt").read_bytes()
