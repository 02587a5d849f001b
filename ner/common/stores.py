"""The team profile: which databases, which artifact store. All of it is in the environment, or in team.env.

The variables have the names that Prefect, MLflow and the AWS libraries gave them, so that these read them by
themselves; docs/how-to/team.md explains them. Without them everything is embedded: SQLite and folders in the checkout.
"""

import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from dotenv import dotenv_values

from ner.common.sqlite import sqlite_uri
from ner.errors import ParamsError

ENV_FILE = "team.env"
MLFLOW_DATABASE, PREFECT_DATABASE = "MLFLOW_BACKEND_STORE_URI", "PREFECT_SERVER_DATABASE_CONNECTION_URL"
ARTIFACTS = "MLFLOW_DEFAULT_ARTIFACT_ROOT"
SERVERS_ONLY = (MLFLOW_DATABASE, PREFECT_DATABASE)  # a worker and a stage ask the servers, and need no database
ASYNC = "postgresql+asyncpg"  # what Prefect's server needs
STATE = ".ner"  # of Prefect, as prefect.toml says
DATABASE_WITHIN_S = 10
ACCOUNTS = "auth.db"  # in mlflow/data, of MLflow's basic auth (ner/common/access.py), wherever the runs are kept


@dataclass(frozen=True)
class Stores:
    """Where runs, versions and flow history are: two database addresses of SQLAlchemy, and a folder or s3://bucket."""

    mlflow: str
    prefect: str
    artifacts: str

    @property
    def databases(self) -> dict[str, str]:
        return {"mlflow": self.mlflow, "prefect": self.prefect}


def load_env_file(environment: MutableMapping[str, str], folder: Path) -> None:
    """Add what team.env says to the environment; what is set there already wins. NER_TEAM_ENV names another file."""
    named = environment.get("NER_TEAM_ENV")
    path = folder / ENV_FILE if named is None else Path(named)
    if named == "" or not path.is_file():
        return
    for name, value in dotenv_values(path, interpolate=False).items():
        environment.setdefault(name, value or "")


def embedded(root: Path) -> Stores:
    """Return the stores of a checkout without any setting."""
    data = root / "mlflow" / "data"
    return Stores(
        sqlite_uri(data / "mlflow.db"),
        sqlite_uri(root / STATE / "prefect.db", "aiosqlite"),
        (data / "artifacts").as_uri(),
    )


def is_team(environment: Mapping[str, str]) -> bool:
    """Return whether the environment names any store of the team profile."""
    return any(environment.get(name) for name in (*SERVERS_ONLY, ARTIFACTS))


def read_stores(environment: Mapping[str, str], root: Path) -> Stores:
    """Return the stores in use: the embedded ones, or all three of the environment. Raises ParamsError for some only.

    Raises ParamsError for a part of them.
    """
    if not is_team(environment):
        return embedded(root)
    missing = [name for name in (*SERVERS_ONLY, ARTIFACTS) if not environment.get(name)]
    if missing:
        raise ParamsError(
            f"the team profile lacks {' and '.join(missing)}: set all of {', '.join((*SERVERS_ONLY, ARTIFACTS))} in "
            f"{ENV_FILE} or in the environment, or none of them; team.env.example shows how."
        )
    stores = Stores(*(environment[name].rstrip("/") for name in (*SERVERS_ONLY, ARTIFACTS)))
    _check(stores)
    return stores


def check_prefect_database(uri: str) -> None:
    """Raise ParamsError for a database that Prefect's server cannot open: another driver, or nobody who answers."""
    if not uri.startswith((f"{ASYNC}://", "sqlite+aiosqlite://")):
        raise ParamsError(
            f"{PREFECT_DATABASE} is {shown(uri)}, need {ASYNC}://user:password@host:port/database, or none of it."
        )
    parts = urlsplit(uri)
    if parts.hostname:
        try:
            socket.create_connection((parts.hostname, parts.port or 5432), DATABASE_WITHIN_S).close()
        except OSError as error:
            raise ParamsError(
                f"{PREFECT_DATABASE}: nothing answers at {parts.hostname}:{parts.port or 5432} ({error}): start "
                "PostgreSQL there, or unset the variable."
            ) from None


def _check(stores: Stores) -> None:
    wanted = ((MLFLOW_DATABASE, stores.mlflow, "postgresql+psycopg2"), (PREFECT_DATABASE, stores.prefect, ASYNC))
    for name, uri, scheme in wanted:
        if not uri.startswith(f"{scheme}://"):
            raise ParamsError(f"{name} is {shown(uri)}, need {scheme}://user:password@host:port/database.")
    if not stores.artifacts.startswith("s3://"):
        raise ParamsError(f"{ARTIFACTS} is {stores.artifacts}, need s3://bucket/folder.")


def shown(uri: str) -> str:
    """Return the address without user and password."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
