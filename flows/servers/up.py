"""The Prefect server, the MLflow server, a worker and the watch of promotions here, under one log, until Ctrl-C.

Run     ner up         (make up; other ports: NER_PREFECT_PORT=4201 NER_MLFLOW_PORT=5001 make up;
                                    NER_WATCH_EVERY_S=5: how often the watch looks for a moved alias, else every 15 s)
Writes  .ner/up.log, and while it runs .ner/profiles.toml, by which `prefect` and `ner doctor` find the servers
"""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import psutil
from honcho.manager import Manager
from honcho.printer import Printer

from flows.servers.mlflow_rest import SERVERS
from flows.servers.promotion_watch import read_interval
from flows.servers.settings import Ports, check_free, commands, environment, read_ports, store_environments
from ner.common import access
from ner.common.files import write_text
from ner.common.lock import STATE, lock_checkout
from ner.common.loopback import socks_refusal
from ner.common.stores import SERVERS_ONLY, read_stores
from ner.errors import NerError
from ner.tracking.mlflow_store import follow_checkout, make_store

FLOW_RUNS_STOP_WITHIN_S, WORKER_STOPS_WITHIN_S, SERVERS_STOP_WITHIN_S = 15, 10, 10
BY_SIGNAL = (130, 143)  # Ctrl-C and SIGTERM: how it is meant to end


class Supervisor(Manager):
    """honcho's manager, except that it stops the worker first: a flow run tells the server how it ends."""

    def __init__(self, printer: Printer) -> None:
        super().__init__(printer)
        self.first_to_stop: str | None = None
        self._kill_at = float("inf")

    def terminate(self) -> None:
        if self._terminating:
            return
        self._terminating = True
        self.first_to_stop = next((name for name, p in self._processes.items() if "returncode" in p), None)
        threading.Thread(target=self._stop_in_order, daemon=True).start()

    def kill(self) -> None:
        """Kill the servers once their time is up; honcho calls this all the time after a process has stopped."""
        if time.monotonic() > self._kill_at:
            self._kill_at = time.monotonic() + 1
            super().kill()

    def _stop_in_order(self) -> None:
        worker = self._processes["worker"]
        stop_flow_runs(worker.get("pid"))
        until = time.monotonic() + WORKER_STOPS_WITHIN_S
        self._signal(worker, self._procmgr.terminate)
        while worker.get("pid") is not None and "returncode" not in worker and time.monotonic() < until:
            time.sleep(0.1)
        self._signal(worker, self._procmgr.kill)
        self._kill_at = time.monotonic() + SERVERS_STOP_WITHIN_S
        for name, process in self._processes.items():
            if name != "worker":
                self._signal(process, self._procmgr.terminate)

    def _signal(self, process: dict[str, Any], send: Any) -> None:
        if process.get("pid") is not None and "returncode" not in process:
            send(process["pid"])


def stop_flow_runs(worker_pid: int | None) -> None:
    """Ask the worker's flow runs to end, and wait: a stopping worker would kill them before they stop their stages."""
    try:
        children = psutil.Process(worker_pid).children() if worker_pid else []
    except psutil.NoSuchProcess:
        return
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    psutil.wait_procs(children, timeout=FLOW_RUNS_STOP_WITHIN_S)


class Tee:
    """One text stream that writes to two."""

    def __init__(self, terminal: TextIO, file: TextIO) -> None:
        self._terminal, self._file = terminal, file
        self.isatty = terminal.isatty

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._terminal.write(text)

    def flush(self) -> None:
        self._file.flush()
        self._terminal.flush()


def supervise(root: Path, ports: Ports) -> None:
    """Run the processes until a signal. Raises NerError where one of them ends by itself; the others then stop too."""
    processes = commands(root, ports)
    seen = environments(root, ports, processes)
    with (root / STATE / "up.log").open("w", encoding="utf-8") as log:
        manager = Supervisor(Printer(Tee(sys.stdout, log)))
        for name, command in processes.items():
            manager.add_process(name, command, env=seen[name], cwd=str(root))
        manager.loop()
    if manager.returncode not in BY_SIGNAL:
        name = manager.first_to_stop or "a process"
        raise NerError(f"{name} stopped unexpectedly, so everything was stopped: see .ner/up.log.")


def environments(root: Path, ports: Ports, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return what each process sees: of the databases' and other secrets only what it needs."""
    shared = environment(root, ports)
    more = store_environments(shared, root)
    shown = access.server_environment(root, ports.access, ports.prefect, ports.mlflow)
    for name in SERVERS_ONLY:
        shared.pop(name, None)
    shared["NER_TEAM_ENV"] = ""  # or each of them would read team.env again, with all that is in it
    return {name: {**shared, **more.get(name, {}), **shown.get(name, {})} for name in names}


@contextmanager
def profile(root: Path, ports: Ports) -> Iterator[None]:
    """Let `prefect` in the checkout use our server while this context is open: prefect.toml names this profile.

    Prefect reads no other table of the file: where MLflow answers stands there for us.
    """
    path = root / SERVERS
    text = 'active = "up"\n\n[profiles.up]\nPREFECT_API_URL = "{}"\n\n[servers]\nMLFLOW_TRACKING_URI = "{}"\n'
    write_text(path, text.format(ports.prefect_api, ports.mlflow_url))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def main() -> None:
    """Check, start, wait. Raises BusyError for a port, or where `make up` already runs here."""
    root = Path.cwd()
    ports = read_ports(os.environ)
    if refusal := socks_refusal(os.environ):
        raise NerError(refusal)
    read_interval(os.environ)  # a wrong one is named here, before anything starts
    with lock_checkout(root, "up", "make up"):
        check_free(ports)
        (root / "mlflow" / "data" / "artifacts").mkdir(parents=True, exist_ok=True)
        follow_checkout(root)
        stores = read_stores(os.environ, root)
        make_store(stores.mlflow, stores.artifacts)
        with profile(root, ports):
            supervise(root, ports)
