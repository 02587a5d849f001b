"""A database of MLflow or Prefect from SQLite into an empty PostgreSQL: every row, in one transaction, compared after.

    upgrade("mlflow", copy)                # both sides at the revision of the installed program
    upgrade("mlflow", "postgresql://…")
    copy_tables(path, "postgresql://…")

Neither program moves rows from one kind of database to another by itself. Schemas are made by the programs; this copies
what is in the tables, values converted by the type of the target's column.
"""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from ner.errors import NerError
from tasks import postgres, sqlite_file
from tasks.team import MLFLOW_DATABASE, PREFECT_DATABASE, shown

ROOT = Path(__file__).resolve().parent.parent  # where `tasks` is found
DRIVERS = {
    ("mlflow", "sqlite"): "sqlite",
    ("mlflow", "postgresql"): "postgresql+psycopg2",  # plain postgresql means psycopg 3 to SQLAlchemy 2.1
    ("prefect", "sqlite"): "sqlite+aiosqlite",
    ("prefect", "postgresql"): "postgresql+asyncpg",
}
EPOCH = datetime(1970, 1, 1)
ROWS_A_CALL = 1000

Convert = Callable[[Any], Any]
# How SQLite's text and numbers become what PostgreSQL's type holds; other types are taken as they are.
CONVERT: dict[str, Convert] = {
    "bool": bool,
    "bytea": bytes,
    "float8": float,
    "interval": lambda text: _moment(text) - EPOCH,  # Prefect keeps a duration as a date after 1970 in SQLite
    "timestamp": lambda text: _moment(text),
    "timestamptz": lambda text: _moment(text).replace(tzinfo=UTC),
    "uuid": lambda text: str(UUID(text)),
}


def upgrade(program: str, uri: str) -> None:
    """Make the tables of `program` ("mlflow", "prefect") or bring them to the installed revision, by its own means."""
    scheme, _, rest = uri.partition(":")
    uri = f"{DRIVERS[program, scheme]}:{rest}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, MLFLOW_DATABASE: uri, "NER_TEAM_ENV": ""}
    command = ["-c", "from tasks.store import client; client().search_experiments()"]  # also makes what is not there
    if program == "prefect":
        environment[PREFECT_DATABASE] = uri
        command = ["-m", "prefect", "server", "database", "upgrade", "--yes"]
    if program == "mlflow" and uri.startswith("sqlite"):
        command = ["-m", "mlflow", "db", "upgrade", uri]
    done = subprocess.run([sys.executable, *command], env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-1:]
        raise NerError(f"{program} could not make its tables in {shown(uri)}: {' '.join(last)[:300]}")


def copy_tables(source: Path, uri: str) -> dict[str, int]:
    """Copy all rows and compare them; rows copied, by table. Raises NerError, and then PostgreSQL is as it was."""
    with sqlite_file.connection(source, read_only=True) as old, postgres.connection(uri) as new:
        kinds = postgres.columns(new)
        _compare_columns(sqlite_file.columns(old), kinds, old)
        with new.cursor() as cursor:
            again = _drop_foreign_keys(cursor)
            cursor.execute("TRUNCATE " + ", ".join(f'"{table}"' for table in kinds))  # what the schema came with
            for table, types in kinds.items():
                _copy(old, cursor, table, types)
            for statement in again:
                _constrain(cursor, statement)
            _set_sequences(cursor, kinds)
            return {table: _compare_rows(old, cursor, table, types) for table, types in kinds.items()}


def rows_of(old: sqlite3.Connection, table: str, types: dict[str, str]) -> Iterator[tuple[Any, ...]]:
    """The rows of SQLite with the values that PostgreSQL is given."""
    names = ", ".join(f'"{name}"' for name in types)
    converts = [CONVERT.get(kind, _as_it_is) for kind in types.values()]
    for row in old.execute(f'SELECT {names} FROM "{table}"'):
        try:
            yield tuple(None if value is None else to(value) for value, to in zip(row, converts, strict=True))
        except (ValueError, TypeError, AttributeError) as error:
            raise NerError(f"table {table}: a row cannot be converted for PostgreSQL ({error}): {row!r:.300}") from None


def _copy(old: sqlite3.Connection, cursor: Any, table: str, types: dict[str, str]) -> None:
    from psycopg2 import DataError
    from psycopg2.extras import execute_values

    names = ", ".join(f'"{name}"' for name in types)
    try:
        rows = rows_of(old, table, types)
        execute_values(cursor, f'INSERT INTO "{table}" ({names}) VALUES %s', rows, page_size=ROWS_A_CALL)
    except (ValueError, DataError) as error:  # its text has no NUL
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise NerError(f"table {table} holds what PostgreSQL cannot: {said}. Mend it in the old store first.") from None


def _compare_columns(old: dict[str, list[str]], new: dict[str, dict[str, str]], source: sqlite3.Connection) -> None:
    missing = [t for t in old if t not in new and source.execute(f'SELECT 1 FROM "{t}" LIMIT 1').fetchone()]
    differing = [t for t in new if set(old.get(t, ())) != set(new[t])]
    if missing or differing:
        raise NerError(
            f"the two databases have different tables ({', '.join([*missing, *differing])[:300]}): they were made by "
            "different releases; use the versions of requirements.lock on both sides."
        )


def _drop_foreign_keys(cursor: Any) -> list[str]:
    """Drop them for this transaction, since tables refer to each other in circles; the statements that make them."""
    cursor.execute(
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
    )
    found = cursor.fetchall()
    for table, name, _ in found:
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    return [f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}" for table, name, definition in found]


def _constrain(cursor: Any, statement: str) -> None:
    from psycopg2 import IntegrityError

    try:
        cursor.execute(statement)
    except IntegrityError as error:
        said = " ".join(str(error).split())[:300]
        raise NerError(f"a row refers to one that is not there ({said}). Mend it in the old store first.") from None


def _set_sequences(cursor: Any, kinds: dict[str, dict[str, str]]) -> None:
    """Let numbers that PostgreSQL gives go on after those that were copied."""
    for table, types in kinds.items():
        for column in types:
            cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", (f'"{table}"', column))
            if sequence := cursor.fetchone()[0]:
                cursor.execute(
                    f'SELECT setval(%s, greatest((SELECT max("{column}") FROM "{table}"), 0) + 1, false)', (sequence,)
                )


def _compare_rows(old: sqlite3.Connection, cursor: Any, table: str, types: dict[str, str]) -> int:
    """How many rows both have. Raises NerError where one of them differs."""
    names = ", ".join(f'"{name}"::text' if kind.startswith("json") else f'"{name}"' for name, kind in types.items())
    cursor.execute(f'SELECT {names} FROM "{table}"')
    there = [_row_digest(row, types) for row in cursor]
    here = [_row_digest(row, types) for row in rows_of(old, table, types)]
    if sorted(here) != sorted(there):
        raise NerError(
            f"table {table} differs after the copy ({len(here)} rows against {len(there)}): nothing was kept."
        )
    return len(there)


def _row_digest(row: tuple[Any, ...], types: dict[str, str]) -> bytes:
    values = [_plain(value, kind) for value, kind in zip(row, types.values(), strict=True)]
    return hashlib.sha256(repr(values).encode()).digest()


def _plain(value: Any, kind: str) -> Any:
    """One form for a value of either side."""
    if value is None:
        return None
    if kind.startswith("json"):
        tree = json.loads(value, parse_int=Decimal, parse_float=Decimal)
        return json.dumps(tree, sort_keys=True, default=lambda number: str((number + 0).normalize()))
    if kind == "timestamptz":
        return value.astimezone(UTC).isoformat()
    if kind == "bytea":
        return bytes(value)
    return value if kind in ("timestamp", "interval", "float8", "bool") or kind.startswith("int") else str(value)


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _as_it_is(value: Any) -> Any:
    return value
