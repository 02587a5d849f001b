"""An SQLite database as one consistent file, taken while others write to it; and what is in it."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from ner.errors import NerError

BUSY_S = 30.0
REVISION = "alembic_version"  # the table in which both programs keep the revision of their schema


@contextmanager
def connection(path: Path, read_only: bool = False) -> Iterator[sqlite3.Connection]:
    """Open a transaction: committed at a clean end, rolled back otherwise."""
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
    """Raise NerError where SQLite finds the file broken."""
    try:
        with connection(path, read_only=True) as connected:
            verdict = connected.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        raise NerError(f"{path} is broken: SQLite says {verdict!r}. Use another copy of it.")


def counts(path: Path) -> dict[str, int]:
    """Return the rows of every table by its name, without the table of the revision."""
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name != ?"
    with connection(path, read_only=True) as connected:
        tables = [name for (name,) in connected.execute(names, (REVISION,))]
        return {name: connected.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}


# SQLAlchemy decodes %, and ends the path at ?; Optuna formats the address, so that braces would be its own.
_SPECIAL = re.compile(r"[%?{}]")


def sqlite_uri(path: Path, driver: str = "") -> str:
    """Return the address of the file; driver: of SQLAlchemy, as "aiosqlite".

    Where quoting is needed, slashes are quoted too: MLflow makes the folder that it reads in the address as it stands,
    which then names none.
    """
    text = str(path.resolve())
    scheme = f"sqlite+{driver}" if driver else "sqlite"
    return f"{scheme}:///{quote(text, safe='') if _SPECIAL.search(text) else text}"


def sqlite_path(uri: str) -> Path:
    """Return the file that SQLAlchemy opens for an address of SQLite."""
    return Path(unquote(uri.partition(":///")[2].partition("?")[0]))
