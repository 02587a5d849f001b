"""What `make up` runs on this machine: the Prefect and MLflow servers, a worker, the watch; on loopback by default."""

import os
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flows import json_log
from flows.access import SECRETS, Access, mlflow_options, read_access
from flows.lock import STATE
from ner.errors import BusyError, ParamsError
from tasks.team import ARTIFACTS, MLFLOW_DATABASE, PREFECT_DATABASE, is_team, read_stores

HOST = "127.0.0.1"
WORK_POOL = "ner"
QUIET = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Ports:
    """Where the two servers listen, and who may ask them."""

    prefect: int
    mlflow: int
    access: Access = field(default_factory=Access)

    @property
    def prefect_api(self) -> str:
        return f"http://{self.access.reached}:{self.prefect}/api"

    @property
    def mlflow_url(self) -> str:
        return f"http://{self.access.reached}:{self.mlflow}"


def read_ports(environment: Mapping[str, str]) -> Ports:
    """NER_PREFECT_PORT and NER_MLFLOW_PORT, else 4200 and 5000; who may ask: flows/access.py. Raises ParamsError."""
    prefect, mlflow = read_port(environment, "NER_PREFECT_PORT", 4200), read_port(environment, "NER_MLFLOW_PORT", 5000)
    return Ports(prefect, mlflow, read_access(environment))


def check_free(ports: Ports) -> None:
    """Raises BusyError for a port that something listens on, with how to choose another."""
    check_port("the Prefect server", "NER_PREFECT_PORT", ports.prefect, ports.access.listen)
    check_port("the MLflow server", "NER_MLFLOW_PORT", ports.mlflow, ports.access.listen)


def check_port(name: str, variable: str, port: int, host: str = HOST) -> None:
    """Raises BusyError where something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise BusyError(
                f"port {port} on {host}, for {name}, is in use: stop what listens there, or choose another, "
                f"as in {variable}={port + 1} make up."
            ) from None


def commands(root: Path, ports: Ports) -> dict[str, str]:
    """A shell command for each process, by name; where the servers' databases are is in their environment."""
    mlflow = [
        *("-m", "mlflow", "server", "--host", ports.access.listen, "--port", str(ports.mlflow), "--workers", "1"),
        *("--uvicorn-opts", "--no-access-log"),  # the watch asks four times a minute
        "--no-serve-artifacts",  # clients write artifacts themselves, with and without the server
    ]
    lines = {
        "prefect": ["-m", "prefect", "server", "start", "--host", ports.access.listen, "--port", str(ports.prefect)],
        "mlflow": [*mlflow, *mlflow_options(ports.access)],
        "worker": ["-m", "flows.worker"],
        "watch": ["-m", "flows.watch"],
    }
    return {name: "exec " + shlex.join([sys.executable, *line]) for name, line in lines.items()}


def environment(root: Path, ports: Ports) -> dict[str, str]:
    """What the four processes see, the worker's flow runs included; secrets are given to each (flows/access.py)."""
    return {
        **{name: value for name, value in os.environ.items() if name not in SECRETS},
        **QUIET,
        **json_log.environment(os.environ),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PWD": str(root),  # prefect.yaml names it
        "PREFECT_HOME": str(root / STATE),
        "PREFECT_API_URL": ports.prefect_api,
        "MLFLOW_TRACKING_URI": ports.mlflow_url,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes and 1.5 GB with it, two and 0.4 GB without
    }


def store_environments(environment: Mapping[str, str], root: Path) -> dict[str, dict[str, str]]:
    """What each server is told of its store, embedded in the checkout or the team's, and no other process.

    Raises ParamsError.
    """
    stores = read_stores(environment, root)
    prefect = {PREFECT_DATABASE: stores.prefect} if is_team(environment) else {}
    return {"prefect": prefect, "mlflow": {MLFLOW_DATABASE: stores.mlflow, ARTIFACTS: stores.artifacts}}


def read_port(environment: Mapping[str, str], variable: str, default: int) -> int:
    """The port that the variable names, else the default. Raises ParamsError."""
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ParamsError(f"{variable} is {text!r}, need a port number from 1 to 65535.")
    return int(text)
