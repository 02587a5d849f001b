"""Servers on this machine: asked without a proxy, whatever http_proxy says for the rest of the world; their ports.

Every process of ours sets it at its start (ner/common/cli.py), and what it starts inherits it. requests, httpx, urllib,
aiohttp, boto3, gRPC and curl read these variables.
"""

import socket
from collections.abc import Iterable, Mapping, MutableMapping
from importlib.util import find_spec

from ner.errors import BusyError, ParamsError

HOSTS = ("localhost", "127.0.0.1", "::1")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def reach_directly(environment: MutableMapping[str, str], hosts: Iterable[str] = HOSTS) -> None:
    """Add `hosts` to no_proxy and NO_PROXY, where any proxy is set; what the user has there stays."""
    if proxy(environment):
        environment["no_proxy"] = environment["NO_PROXY"] = no_proxy(environment, hosts)


def proxy(environment: Mapping[str, str]) -> str | None:
    """Return the variable that names a proxy; None where there is none."""
    names = (spelt for name in _PROXIES for spelt in (name, name.upper()))
    return next((name for name in names if environment.get(name)), None)


def no_proxy(environment: Mapping[str, str], hosts: Iterable[str] = HOSTS) -> str:
    """Return what no_proxy is to be: the user's own entries of both spellings, then `hosts`."""
    own = ",".join(environment.get(name, "") for name in ("no_proxy", "NO_PROXY"))
    entries = [entry.strip() for entry in own.split(",") if entry.strip()]
    return "*" if "*" in entries else ",".join(dict.fromkeys([*entries, *hosts]))


def socks_refusal(environment: Mapping[str, str]) -> str | None:
    """Return why a SOCKS proxy cannot be used, with what to do; None where none is set, or its packages are there."""
    name = next((n for each in _PROXIES for n in (each, each.upper()) if "socks" in environment.get(n, "")), None)
    if name is None or (find_spec("socksio") and find_spec("socks")):
        return None
    return (
        f"{name} names a SOCKS proxy, for which this environment lacks two packages: unset it, or "
        "`pip install socksio pysocks`, then run the same command again."
    )


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
