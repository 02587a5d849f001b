"""A toy pipeline in a git repository with real DVC, and a real Prefect server on a database of its own."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from flows.servers.worker import wait_until_healthy
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TOY = Path(__file__).with_name("toy")
IGNORED = ("/corpus.txt", "/base.txt", "/model.txt", "/started", "/local/*", "/.ner/", "/checkpoints/", "__pycache__/")


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy pipeline, committed, never run."""
    folder = tmp_path_factory.mktemp("pristine") / "toy"
    (folder / "local").mkdir(parents=True)
    (folder / "local" / "corpus.txt").write_text("Marta Okafor\n")
    for name in ("toy.py", "dvc.yaml"):
        shutil.copy(TOY / name, folder)
    for name in ("tests/data/params.yaml", "prefect.toml", "prefect.yaml"):
        shutil.copy(ROOT / name, folder)
    (folder / ".gitignore").write_text("\n".join(IGNORED) + "\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    subprocess.run([*git, "commit", "-qm", "toy"], cwd=folder, check=True)
    return folder


@pytest.fixture
def toy(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the toy pipeline, in which the test works."""
    folder = tmp_path / "toy"
    shutil.copytree(pristine, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    """Prefect's test harness: a server on a temporary database, for all tests that run the flow."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=PATIENCE_S):
        yield


@pytest.fixture
def set_params(toy: Path) -> Callable[..., None]:
    """set_params(train={"epochs": 60}) changes params.yaml of the toy pipeline."""

    def change(**blocks: dict) -> None:
        tree = yaml.safe_load((toy / "params.yaml").read_text())
        for block, values in blocks.items():
            tree[block] |= values
        (toy / "params.yaml").write_text(yaml.safe_dump(tree))

    return change


@pytest.fixture
def outside() -> dict[str, str]:
    """The environment of a command that a person runs in the toy pipeline: our code importable, no test server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PWD": ""}


@pytest.fixture
def whole_server(tmp_path: Path, outside: dict[str, str]) -> Iterator[str]:
    """`prefect server start` with all its services, which the test harness leaves out; gives its API's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    seen = {**outside, "PREFECT_HOME": str(tmp_path / "server"), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, env=seen, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_healthy("the Prefect server", f"http://127.0.0.1:{port}/api/health")
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
