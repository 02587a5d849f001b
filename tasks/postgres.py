"""PostgreSQL, as far as moving and restoring need it: tables, rows, empty or not, dumps. Needs psycopg2."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ner.errors import NerError
from tasks.team import shown

VARIABLES = {
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "host": "PGHOST",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}
REVISION = "alembic_version"  # the table in which both programs keep the revision of their schema


@contextmanager
def connection(uri: str) -> Iterator[Any]:
    """A transaction in UTC: committed at a clean end, rolled back otherwise. Raises NerError where nobody answers."""
    import psycopg2

    try:
        found = psycopg2.connect(uri, connect_timeout=8, options="-c timezone=UTC")
    except psycopg2.OperationalError as error:
        raise NerError(
            f"PostgreSQL at {shown(uri)} cannot be used ({' '.join(str(error).split())[:200]}): start it, "
            "make the database, or mend its address in team.env."
        ) from error
    try:
        with found:
            yield found
    finally:
        found.close()


def columns(connected: Any) -> dict[str, dict[str, str]]:
    """The type of every column that can be written, by table and name; without the table of the revision."""
    with connected.cursor() as cursor:
        cursor.execute(
            "SELECT c.table_name, c.column_name, c.udt_name FROM information_schema.columns c "
            "JOIN information_schema.tables t USING (table_schema, table_name) WHERE c.table_schema = current_schema() "
            "AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER' ORDER BY 1, c.ordinal_position"
        )
        found: dict[str, dict[str, str]] = {}
        for table, column, kind in cursor:
            if table != REVISION:
                found.setdefault(table, {})[column] = kind
        return found


def counts(uri: str) -> dict[str, int]:
    """Rows of every table, by name."""
    with connection(uri) as connected:
        return _counts(connected)


def _counts(connected: Any) -> dict[str, int]:
    found = {}
    with connected.cursor() as cursor:
        for table in columns(connected):
            cursor.execute(f'SELECT count(*) FROM "{table}"')
            found[table] = cursor.fetchone()[0]
    return found


def require_empty(uri: str, what: str) -> None:
    """Raises NerError where the database has any table."""
    with connection(uri) as connected:
        tables = columns(connected)
    if tables:
        raise NerError(
            f"{shown(uri)}, for {what}, is not empty ({len(tables)} tables): nothing was changed. Name a new database, "
            f"or drop this one and make it again (dropdb, createdb), with no server started on it in between."
        )


def require_alone(uri: str, what: str) -> None:
    """Raises NerError where somebody else is connected to the database."""
    with connection(uri) as connected:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        others = execute_on(connected)(asked)[0][0]
    if others:
        raise NerError(f"{shown(uri)} is in use (connections: {others}): stop the {what} servers that use it first.")


def empty(uri: str) -> None:
    """Drop everything in the database's schema: only for one that `require_empty` has found empty before."""
    with connection(uri) as connected, connected.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE")
        cursor.execute("CREATE SCHEMA public")


def execute_on(connected: Any) -> Any:
    """A function that takes SQL with ? for each value, as sqlite3 does, and gives the rows if there are any."""

    def execute(sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with connected.cursor() as cursor:
            cursor.execute(sql.replace("%", "%%").replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []

    return execute


@contextmanager
def moment(uri: str) -> Iterator[tuple[str, dict[str, int]]]:
    """One moment of the database, held while it is dumped: the name by which pg_dump takes part, and rows by table."""
    with connection(uri) as connected:
        with connected.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            cursor.execute("SELECT pg_export_snapshot()")
            name = cursor.fetchone()[0]
        yield name, _counts(connected)


def dump(uri: str, path: Path, snapshot: str) -> None:
    """pg_dump in its own format of a `moment`, while servers run."""
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
    _run(["pg_dump", *options, "--file", str(path)], uri)


def load(uri: str, path: Path, replace: bool) -> None:
    """Load a dump in one transaction; with `replace` what is in the database goes in that same transaction."""
    script = path.with_suffix(".sql")
    _run(["pg_restore", "--no-owner", "--no-privileges", "--no-comments", "--file", str(script), str(path)], None)
    commands = ["-c", "DROP SCHEMA public CASCADE", "-c", "CREATE SCHEMA public"] if replace else []
    options = ["--no-psqlrc", "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1", "--output=/dev/null"]
    _run(["psql", *options, *commands, "--file", str(script)], uri)
    script.unlink()


def _run(command: list[str], uri: str | None) -> None:
    """Run a program of PostgreSQL; the password goes by its environment, which `ps` does not show."""
    environment = {"PATH": _path(), "LC_ALL": "C"}
    if uri:
        from psycopg2.extensions import parse_dsn

        environment |= {VARIABLES[key]: value for key, value in parse_dsn(uri).items() if key in VARIABLES}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    except FileNotFoundError:
        raise NerError(f"{command[0]} is not on PATH: install PostgreSQL's client (postgresql-client).") from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())[:400]
        raise NerError(f"{command[0]} on {shown(uri or '')} failed: {said or 'it said nothing'}.")


def _path() -> str:
    """PATH, and where Debian keeps the programs of each version of PostgreSQL."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, versions)])
