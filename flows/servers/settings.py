"""What `make up` runs on this machine: the Prefect and MLflow servers, a worker, the watch; on loopback by default."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ner.common.access import SECRETS, Access, mlflow_options, read_access
from ner.common.lock import STATE
from ner.common.loopback import HOSTS, check_port, reach_directly, read_port
from ner.common.stores import ARTIFACTS, MLFLOW_DATABASE, PREFECT_DATABASE, read_stores

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
    """Return NER_PREFECT_PORT and NER_MLFLOW_PORT, else 4200 and 5000. Raises ParamsError."""
    prefect, mlflow = read_port(environment, "NER_PREFECT_PORT", 4200), read_port(environment, "NER_MLFLOW_PORT", 5000)
    return Ports(prefect, mlflow, read_access(environment))


def check_free(ports: Ports) -> None:
    """Raise BusyError for a port that something listens on, with how to choose another."""
    check_port("the Prefect server", "NER_PREFECT_PORT", ports.prefect, ports.access.listen)
    check_port("the MLflow server", "NER_MLFLOW_PORT", ports.mlflow, ports.access.listen)


def commands(root: Path, ports: Ports) -> dict[str, str]:
    """Return a shell command for each process, by name; where the servers' databases are is in their environment."""
    mlflow = [
        *("-m", "mlflow", "server", "--host", ports.access.listen, "--port", str(ports.mlflow), "--workers", "1"),
        *("--uvicorn-opts", "--no-access-log"),  # the watch asks four times a minute
        "--no-serve-artifacts",  # clients write artifacts themselves, with and without the server
    ]
    lines = {
        "prefect": ["-m", "prefect", "server", "start", "--host", ports.access.listen, "--port", str(ports.prefect)],
        "mlflow": [*mlflow, *mlflow_options(ports.access)],
        "worker": ["-m", "flows.servers.worker"],
        "watch": ["-m", "flows.servers.promotion_watch"],
    }
    return {name: "exec " + shlex.join([sys.executable, *line]) for name, line in lines.items()}


def environment(root: Path, ports: Ports) -> dict[str, str]:
    """Return what the four processes see, the worker's flow runs included; secrets are given to each
    (ner/common/access.py)."""
    seen = {name: value for name, value in os.environ.items() if name not in SECRETS}
    reach_directly(seen, [*HOSTS, ports.access.reached])
    return {
        **seen,
        **QUIET,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PWD": str(root),  # prefect.yaml names it
        "PREFECT_HOME": str(root / STATE),
        "PREFECT_API_URL": ports.prefect_api,
        "MLFLOW_TRACKING_URI": ports.mlflow_url,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # ten processes and 1.5 GB with it, two and 0.4 GB without
    }


def store_environments(environment: Mapping[str, str], root: Path) -> dict[str, dict[str, str]]:
    """Return the variables that name each server its own store, embedded in the checkout or the team's."""
    stores = read_stores(environment, root)
    return {
        "prefect": {PREFECT_DATABASE: stores.prefect},
        "mlflow": {MLFLOW_DATABASE: stores.mlflow, ARTIFACTS: stores.artifacts},
    }
