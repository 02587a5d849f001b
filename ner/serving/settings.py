"""What `make serve` takes from the environment, the socket that it listens on, and what its children see."""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ner.common.access import PASSWORD as MLFLOW_PASSWORD
from ner.common.access import SECRETS, Access, read_serve_access
from ner.common.cli import QUIET
from ner.common.loopback import HOST, read_port
from ner.errors import BusyError, ParamsError

JUDGED = "as judged"  # in what the predictions were made that the version's gate judged


@dataclass(frozen=True)
class Beside:
    """A second version beside the one that answers. shadow, canary: shares of the requests, 0 to 1."""

    reference: str
    shadow: float
    canary: float

    def __str__(self) -> str:
        parts = [f"reads {self.shadow:.0%} of the requests in the shadow"] * bool(self.shadow)
        return " and ".join([*parts, *[f"answers {self.canary:.0%} as canary"] * bool(self.canary)])


@dataclass(frozen=True)
class Settings:
    """What the environment says. timeout_s: how long a request may take, its wait included."""

    port: int
    max_mb: float
    timeout_s: int
    access: Access = field(default_factory=Access)
    precision: str = JUDGED
    log: str = "text"

    @property
    def max_bytes(self) -> int:
        return int(self.max_mb * (1 << 20))

    @property
    def url(self) -> str:
        return f"http://{self.access.reached}:{self.port}"


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return NER_SERVE_PORT (5001), NER_SERVE_MAX_MB (16), NER_SERVE_TIMEOUT_S (600). Raises ParamsError, BusyError."""
    port = int(_number(environment, "NER_SERVE_PORT", 5001, 1, 65535))
    max_mb = _number(environment, "NER_SERVE_MAX_MB", 16, 0.001, 1024)
    timeout_s = int(_number(environment, "NER_SERVE_TIMEOUT_S", 600, 1, 86400))
    servers = ("Prefect", "NER_PREFECT_PORT", 4200), ("MLflow", "NER_MLFLOW_PORT", 5000)
    for name, variable, default in servers:
        what = f"the {name} server"
        if port == read_port(environment, variable, default):
            raise BusyError(
                f"port {port} is where `make up` has {what}: choose another, "
                f"as in NER_SERVE_PORT={port + 2} make serve."
            )
    precision = _choice(environment, "NER_SERVE_PRECISION", (JUDGED, "auto", "fp32", "bf16"))
    log = _choice(environment, "NER_SERVE_LOG", ("text", "json"))
    return Settings(port, max_mb, timeout_s, read_serve_access(environment), precision, log)


def listen(port: int, host: str = HOST) -> socket.socket:
    """Return a socket that listens, on loopback unless told otherwise. Raises BusyError.

    Its connections send at once: asyncio leaves Nagle's algorithm on where the protocol is not named, and then a kept
    connection waits 40 ms for each answer, until the caller's delayed acknowledgement.
    """
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(2048)
    except OSError:
        server.close()
        raise BusyError(
            f"port {port} on {host} is in use: stop what listens there, or choose another, "
            f"as in NER_SERVE_PORT={port + 1} make serve."
        ) from None
    return server


def child_environment(uri: str) -> dict[str, str]:
    """Return the children's environment: our store, our Python first, no chatter."""
    inherited = {name: value for name, value in os.environ.items() if name not in SECRETS or name == MLFLOW_PASSWORD}
    return {
        **inherited,
        **QUIET,
        "PYTHONUNBUFFERED": "1",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "TQDM_DISABLE": "1",
        "MALLOC_ARENA_MAX": "2",  # or each thread keeps what it had
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "256",  # code for shapes of batches, of which there are many
        "TOKENIZERS_PARALLELISM": "false",  # batches are read side by side instead
    }


def _choice(environment: Mapping[str, str], name: str, known: Sequence[str]) -> str:
    value = environment.get(name) or known[0]
    if value not in known:
        raise ParamsError(f"{name} is {value!r}, need one of {', '.join(known)}.")
    return value


def _number(environment: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = environment.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not low <= number <= high or (low == int(low) and number != int(number)):
        raise ParamsError(f"{name} is {text!r}, need a number from {low:g} to {high:g}.")
    return number
