"""An SQLite database as one consistent file, taken while others write to it; and what is in it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ner.errors import NerError
from tasks.postgres import REVISION

BUSY_S = 30.0


def path_of(uri: str) -> Path:
    """The file of sqlite:///path."""
    return Path(uri.removeprefix("sqlite:///"))


@contextmanager
def connection(path: Path, read_only: bool = False) -> Iterator[sqlite3.Connection]:
    """A transaction: committed at a clean end, rolled back otherwise."""
    uri = f"{path.resolve().as_uri()}{'?mode=ro' if read_only else ''}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as connected, connected:
        yield connected


def snapshot(source: Path, target: Path) -> None:
    """Copy by SQLite's online backup: one moment of the database, whatever servers do. Raises NerError."""
    if not source.exists():
        raise NerError(f"{source} is not there: nothing has been run on this checkout, or it is another's.")
    with connection(source, read_only=True) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
        new.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    check(target)


def check(path: Path) -> None:
    """Raises NerError where SQLite finds the file broken."""
    try:
        with connection(path, read_only=True) as connected:
            said = connected.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        raise NerError(f"{path} is broken: SQLite says {said!r}. Use another copy of it.")


def columns(connected: sqlite3.Connection) -> dict[str, list[str]]:
    """Names of the columns of every table, without the table of the revision."""
    tables = connected.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {
        name: [row[1] for row in connected.execute(f'PRAGMA table_info("{name}")')]
        for (name,) in tables.fetchall()
        if name != REVISION
    }


def counts(path: Path) -> dict[str, int]:
    """Rows of every table, by name."""
    with connection(path, read_only=True) as connected:
        return {
            table: connected.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in columns(connected)
        }
