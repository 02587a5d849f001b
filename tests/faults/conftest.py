"""Faults that are really made: processes watched with a clock, and two pipelines to disturb.

Without NER_FAULTS (make faults) the tests that take minutes are skipped.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from clean_environment import clean
from ner.common.loopback import free_port
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A command whose lines are kept with the second at which they came, counted from `since`."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.lines: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip()))

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def wait(self, within_s: float = PATIENCE_S) -> int:
        """The exit status; everything that it printed has been read."""
        try:
            status = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"it did not end within {within_s:.0f} s:\n{self.text}") from None
        self._reader.join(10)
        return status

    def until(self, is_so: Callable[[], Any], within_s: float = PATIENCE_S, every_s: float = 0.2) -> Any:
        """Wait until `is_so` returns something, while the command runs."""
        end = time.monotonic() + within_s
        while not (found := is_so()):
            assert self.process.poll() is None and time.monotonic() < end, self.text
            time.sleep(every_s)
        return found

    def first(self, pattern: str, since: float) -> tuple[float, str]:
        """Seconds from `since` to the first line after it that has the pattern, and the line."""
        for at, line in self.lines:
            if at >= since and re.search(pattern, line):
                return round(at - since, 1), line
        raise AssertionError(f"no line has {pattern!r}:\n{self.text}")

    def descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def stages(self) -> Iterator[tuple[str, psutil.Process]]:
        """Processes `python -m tasks.<name>`, and `python toy.py <name>` of the toy pipeline, each with its name."""
        for one in self.descendants():
            try:
                command = one.cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if command[1:2] == ["-m"] and command[2].startswith("tasks.") or command[1:2] == ["toy.py"]:
                yield command[2].removeprefix("tasks."), one

    def stage(self, name: str) -> psutil.Process | None:
        """The process of that stage, where it runs."""
        return next((one for found, one in self.stages() if found == name), None)

    def kill(self, number: int = signal.SIGKILL) -> float:
        """Send a signal to the command alone; returns when."""
        self.process.send_signal(number)
        return time.monotonic()

    def end(self) -> None:
        """Leave nothing of it behind."""
        for one in [*self.descendants(), self.process]:
            try:
                one.kill()
            except psutil.NoSuchProcess:
                pass
        self.process.wait(30)


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    """start(command, folder, environment) -> Running, ended with the test."""
    started: list[Running] = []

    def begin(command: list[str], folder: Path, environment: dict[str, str]) -> Running:
        started.append(Running(command, folder, environment))
        return started[-1]

    yield begin
    for one in started:
        one.end()


@pytest.fixture
def clean_environment() -> dict[str, str]:
    """What a stage sees that is started by hand: our code, this Python first, no server."""
    return clean()


SMALL = {
    "data": {"source": "local/mini"},
    "model": {"base": "local/tiny"},
    "encoding": {"max_length": 32},
    "train": {"epochs": 3, "precision": "fp32", "device": "cpu", "dropped_layers": 0, "batch_size": 64,
              "checkpoints": 12},
    "evaluation": {"resamples": 100},
    "validation": {"max_label_drift": 0.9},
    "gate": {"min_f1": 0.0, "min_f1_each_type": 0.0},
}  # fmt: skip


@pytest.fixture(scope="session")
def small_pristine(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path, mini_folder: Path) -> Path:
    """The whole pipeline of dvc.yaml as its own repository, with our small corpus and a tiny encoder, never run."""
    folder = tmp_path_factory.mktemp("small") / "checkout"
    folder.mkdir()
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    frozen = ("params.yaml", "catalog.yaml")
    left_out = ("tests/", "reports/", "bench/", "docs/", "profiles/", ".ci/", "dvc.lock", *frozen)
    for name in filter(None, listing.stdout.decode().split("\0")):
        if not name.startswith(left_out) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "profiles").mkdir()
    (folder / "profiles" / ".gitignore").touch()  # the folder is a dependency; git keeps no empty one
    for name in frozen:
        shutil.copy(ROOT / "tests" / "data" / name, folder)
    (folder / "profiles").mkdir(exist_ok=True)  # a dependency of `validate`; what lies in ours may be a user's
    shutil.copytree(mini_folder, folder / "local" / "mini")
    shutil.copytree(tiny_encoder, folder / "local" / "tiny")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for block, values in SMALL.items():
        params[block] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    if not (folder / ".dvc" / "tmp").exists():
        subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "-f"], cwd=folder, check=True)
    subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
    subprocess.run([*git, "commit", "-qm", "small"], cwd=folder, check=True)
    return folder


@contextmanager
def tmpfs(folder: Path, size_mb: float) -> Iterator[Path]:
    """A small disk mounted on `folder`; skips the test where mounting is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={int(size_mb * 1024)}k"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk() -> Iterator[Callable[[float, Path], Path]]:
    """small_disk(4, folder) mounts an empty disk of 4 MB on the folder, until the test ends."""
    with ExitStack() as stack:
        yield lambda size_mb, folder: stack.enter_context(tmpfs(folder, size_mb))


@pytest.fixture(scope="session")
def small_done(small_pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """The small pipeline after an undisturbed `dvc repro`, and the processor seconds of each stage."""
    folder = shutil.copytree(small_pristine, tmp_path_factory.mktemp("done") / "checkout", symlinks=True)
    run = Running([sys.executable, "-m", "dvc", "repro"], folder, clean())
    took: dict[str, float] = {}
    while run.process.poll() is None:
        for name, stage in run.stages():
            took[name] = max(took.get(name, 0.0), processor_seconds(stage))
        time.sleep(0.2)
    assert run.wait() == 0, run.text
    return folder, took


def processor_seconds(stage: psutil.Process) -> float:
    """User and system time so far; 0 for a process that has ended."""
    try:
        times = stage.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


@pytest.fixture(name="processor_seconds")
def _processor_seconds() -> Callable[[psutil.Process], float]:
    return processor_seconds


HOLD = """
import os
from ner.common.loopback import free_port
while os.environ.get("HOLD") == stage and not Path(os.environ["GO"]).exists():
    time.sleep(0.1)
"""


@pytest.fixture
def held(toy, outside, tmp_path, shared_server):
    """The toy pipeline, an environment in which its stage `train` waits until a file is there, and that file."""
    head, line, rest = (toy / "toy.py").read_text().partition('if stage == "ingest":')
    (toy / "toy.py").write_text(head + HOLD + line + rest)
    environment = {**outside, "HOLD": "train", "GO": str(tmp_path / "go"), "PREFECT_API_URL": shared_server}
    return toy, environment, tmp_path / "go"


@pytest.fixture(scope="session")
def expected(pristine, tmp_path_factory):
    """model.txt and reports/metrics.json of a run that nothing disturbed."""
    folder = shutil.copytree(pristine, tmp_path_factory.mktemp("calm") / "toy", symlinks=True)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=folder, check=True)
    return _results(folder)


def _results(folder: Path) -> dict[str, bytes]:
    return {path: (folder / path).read_bytes() for path in ("model.txt", "reports/metrics.json", "reports/gate.json")}


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory) -> Iterator[str]:
    """The address of a Prefect server for all tests here that do not take it away."""
    server, address = serve(tmp_path_factory.mktemp("prefect"))
    yield address
    server.end()


@pytest.fixture
def prefect_server(tmp_path) -> Iterator[tuple[Running, str]]:
    """A Prefect server of this test alone, and its address."""
    server, address = serve(tmp_path)
    yield server, address
    server.end()


def serve(folder: Path) -> tuple[Running, str]:
    """Start a Prefect server with its database in the folder; returns when it answers."""
    from flows.runtime.prefect_api import answers

    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    kept |= {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    server = Running(command, folder, kept)
    server.until(lambda: answers(f"http://127.0.0.1:{port}/api"))
    return server, f"http://127.0.0.1:{port}/api"


@pytest.fixture
def results() -> Callable[[Path], dict[str, bytes]]:
    """results(folder): what the toy pipeline's stages that compute have written."""
    return _results
