"""Ports of this machine: read from a setting, free or in use."""

import socket
from collections.abc import Mapping

from ner.errors import BusyError, ParamsError

HOST = "127.0.0.1"


def read_port(environment: Mapping[str, str], variable: str, default: int) -> int:
    """Return the port that the variable names, else the default. Raises ParamsError."""
    text = environment.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ParamsError(f"{variable} is {text!r}, need a port number from 1 to 65535.")
    return int(text)


def check_port(name: str, variable: str, port: int, host: str = HOST) -> None:
    """Raise BusyError where something listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            raise BusyError(
                f"port {port} on {host}, for {name}, is in use: stop what listens there, or choose another, "
                f"as in {variable}={port + 1} make up."
            ) from None


def free_port() -> int:
    """Return a port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]
