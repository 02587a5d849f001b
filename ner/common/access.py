"""Who may reach the servers of this checkout: this machine alone, unless NER_HOST and credentials say otherwise.

    access = read_access(os.environ)               # Prefect and MLflow, for `make up`
    access.listen, access.reached, access.names    # 0.0.0.0, 127.0.0.1, ("ner.example.org",)

Reads NER_HOST, NER_ALLOWED_HOSTS, PREFECT_SERVER_API_AUTH_STRING, MLFLOW_AUTH_ADMIN_USERNAME and _PASSWORD,
MLFLOW_TRACKING_USERNAME and _PASSWORD, NER_SERVE_TOKEN (docs/how-to/security.md). Secrets go from variable to variable,
never into a command line, a file of the checkout or a log.
"""

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ner.common.files import write_text
from ner.common.lock import STATE
from ner.common.sqlite import sqlite_uri
from ner.common.stores import ACCOUNTS
from ner.errors import ParamsError

LOOPBACK = "127.0.0.1"
HERE = (LOOPBACK, "localhost")
HOST, NAMES, TOKEN = "NER_HOST", "NER_ALLOWED_HOSTS", "NER_SERVE_TOKEN"
PREFECT, PREFECT_CLIENT = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"
ADMIN, ADMIN_PASSWORD = "MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
FLASK_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"
SECRETS = (PREFECT, PREFECT_CLIENT, ADMIN_PASSWORD, PASSWORD, FLASK_KEY, TOKEN)
SHORTEST = 12  # characters of a password: MLflow's own limit
KNOWN = {"password1234", "adminadminadmin", "changemechangeme"}  # stood in documentation of MLflow or of others
PAGE = "docs/how-to/security.md"
SERVER = Path(__file__).resolve().parents[2] / "mlflow"  # has promoters.py


@dataclass(frozen=True)
class Access:
    """listen: the address of the sockets; reached: by which this machine reaches them; names: of the Host header."""

    listen: str = LOOPBACK
    reached: str = LOOPBACK
    names: tuple[str, ...] = HERE
    prefect: str = field(default="", repr=False)  # name:password, or nothing
    admin: str = "admin"
    admin_password: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    @property
    def is_open(self) -> bool:
        """Return whether other machines reach it."""
        return not ipaddress.ip_address(self.listen).is_loopback

    def origins(self, port: int) -> list[str]:
        """Return the origins of pages from which a browser may ask the server at that port."""
        return [
            f"{scheme}://{name}{end}" for name in self.names for scheme, end in (("http", f":{port}"), ("https", ""))
        ]


def read_access(environment: Mapping[str, str]) -> Access:
    """Return who may reach Prefect and MLflow of `make up`. Raises ParamsError where that would be anybody."""
    access = _read(environment)
    wanted = ((PREFECT, access.prefect), (ADMIN_PASSWORD, access.admin_password), (PASSWORD, access.password))
    if access.is_open:
        _need(access, [name for name, value in wanted if not value])
    if access.prefect:
        name, mark, password = access.prefect.partition(":")
        if not (name and mark):
            raise ParamsError(f"{PREFECT} is not of the form name:password.")
        _check(PREFECT, password)
    if access.admin_password:
        _check(ADMIN_PASSWORD, access.admin_password)
        if not (access.user and access.password):
            raise ParamsError(
                f"{ADMIN_PASSWORD} is set, so MLflow asks everybody who they are: set {USER} and {PASSWORD} too, the "
                f"account of the pipeline itself ({PAGE})."
            )
        _check(PASSWORD, access.password)
    return access


def read_serve_access(environment: Mapping[str, str]) -> Access:
    """Return who may reach `make serve`. Raises ParamsError."""
    access = _read(environment)
    if access.is_open and not access.token:
        _need(access, [TOKEN])
    if access.token:
        _check(TOKEN, access.token)
    return access


def server_environment(root: Path, access: Access, prefect: int, mlflow: int) -> dict[str, dict[str, str]]:
    """Return variables of the processes of `make up`, by process: each has the secrets that it needs, and no other."""
    clients = {PREFECT_CLIENT: access.prefect, USER: access.user, PASSWORD: access.password}
    watch = {name: value for name, value in clients.items() if value}
    ui = {"PREFECT_SERVER_UI_API_URL": f"http://{access.names[0]}:{prefect}/api"} if access.is_open else {}
    return {
        "prefect": {
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": ",".join(access.origins(prefect)),
            **{name: value for name, value in ui.items() if not os.environ.get(name)},
            **({PREFECT: access.prefect, PREFECT_CLIENT: access.prefect} if access.prefect else {}),
        },
        "mlflow": {
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(_host_headers(access, mlflow)),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(access.origins(mlflow)),
            **(mlflow_environment(root, access) if access.admin_password else {}),
        },
        "watch": watch,
        "worker": watch
        | ({ADMIN: access.admin, ADMIN_PASSWORD: access.admin_password} if access.admin_password else {}),
    }


def mlflow_options(access: Access) -> list[str]:
    """Return the last options of the MLflow server's command."""
    return ["--app-name", "basic-auth"] if access.admin_password else []


def mlflow_environment(root: Path, access: Access) -> dict[str, str]:
    """Return the variables of MLflow's basic auth; writes its file, which holds no secret."""
    store, config = root / "mlflow" / "data", root / STATE / "mlflow_auth.ini"
    write_text(config, AUTH.format(database=sqlite_uri(store / ACCOUNTS), admin=access.admin).replace("%", "%%"))
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str(config),
        ADMIN: access.admin,
        ADMIN_PASSWORD: access.admin_password,
        FLASK_KEY: os.environ.get(FLASK_KEY) or secrets.token_urlsafe(32),  # of forms in the UI; one worker, one key
        "PYTHONPATH": os.pathsep.join(filter(None, [str(SERVER), os.environ.get("PYTHONPATH")])),
    }


AUTH = """\
# Made by `make up`. Passwords are not here: MLFLOW_AUTH_ADMIN_PASSWORD.
[mlflow]
default_permission = READ
database_uri = {database}
admin_username = {admin}
authorization_function = promoters:authorize
auth_cache_ttl_seconds = 60
"""


def _read(environment: Mapping[str, str]) -> Access:
    listen = environment.get(HOST, "").strip() or LOOPBACK
    listen = LOOPBACK if listen == "localhost" else listen
    try:
        address = ipaddress.IPv4Address(listen)
    except ValueError:
        raise ParamsError(f"{HOST} is {listen!r}, need an IPv4 address of this machine, or 0.0.0.0 for all.") from None
    hosts = [name.strip().lower() for name in environment.get(NAMES, "").split(",") if name.strip()]
    wrong = [name for name in hosts if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name)]
    if wrong:
        raise ParamsError(f"{NAMES}: {wrong[0]!r} is no name of a host: write names or addresses, with commas between.")
    if address.is_unspecified and not hosts:
        raise ParamsError(f"{HOST} is {listen}: name in {NAMES} how others reach this machine, as in ner.example.org.")
    own = [] if address.is_unspecified or address.is_loopback else [listen]
    return Access(
        listen=listen,
        reached=LOOPBACK if address.is_unspecified else listen,
        names=tuple(dict.fromkeys([*hosts, *own, *HERE])),
        prefect=environment.get(PREFECT) or environment.get(PREFECT_CLIENT, ""),
        admin=environment.get(ADMIN) or "admin",
        admin_password=environment.get(ADMIN_PASSWORD, ""),
        user=environment.get(USER, ""),
        password=environment.get(PASSWORD, ""),
        token=environment.get(TOKEN, ""),
    )


def _need(access: Access, missing: Sequence[str]) -> None:
    if missing:
        raise ParamsError(
            f"{HOST} is {access.listen}, which other machines reach, so nothing was started: set "
            f"{' and '.join(missing)} ({PAGE}), or unset {HOST}."
        )


def _check(name: str, secret: str) -> None:
    if len(secret) < SHORTEST or secret in KNOWN:
        why = "a password that is known to everybody" if secret in KNOWN else f"shorter than {SHORTEST} characters"
        raise ParamsError(
            f"{name} is {why}: choose another, as by `python -c 'import secrets; print(secrets.token_urlsafe())'`."
        )


def _host_headers(access: Access, port: int) -> list[str]:
    return [header for name in dict.fromkeys([*access.names, access.reached]) for header in (name, f"{name}:{port}")]
