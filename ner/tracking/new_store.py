"""MLflow's SQLite database is made whole or not at all, however many commands open a fresh checkout's at once.

MLflow itself makes the tables in place, in some fifty steps: two that do so together, or one that is killed there,
leave a database that no later command can open.
"""

from ner.common.files import replacing_file
from ner.common.lock import acquire
from ner.common.sqlite_address import sqlite_path, sqlite_uri

MADE_WITHIN_S = 300  # by another process, on a busy machine


def make_store(uri: str, artifact_root: str | None) -> None:
    """Make the database that an address of SQLite names, where there is none; other addresses are left alone.

    artifact_root: of MLflow's own experiment `Default`. Raises BusyError where another process takes too long with it.
    """
    path = sqlite_path(uri)
    if not uri.startswith("sqlite:///") or path.name in ("", ":memory:") or path.exists():
        return
    busy = f"another process makes {path} for over {MADE_WITHIN_S} s: stop it, then run the same command again."
    lock = acquire(path.with_name(f".{path.name}.lock"), busy, MADE_WITHIN_S)
    try:
        if not path.exists():
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            with replacing_file(path) as temporary:
                SqlAlchemyStore(sqlite_uri(temporary), artifact_root or path.parent.as_uri()).engine.dispose()
    finally:
        lock.release()
