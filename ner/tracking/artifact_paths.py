"""Where MLflow's database says that artifacts are: absolute addresses, rewritten when the artifacts move."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from sqlite3 import Error, OperationalError
from typing import Any
from urllib.parse import unquote

from ner.common.sqlite import connection
from ner.errors import RegistryError

OURS = "/mlflow/data/artifacts"  # of a checkout, where nobody names another place
Execute = Callable[[str, Sequence[Any]], Any]  # a cursor's `execute` with ? for each value; gives something to iterate

# Columns of MLflow's tables that hold the address of artifacts, or something below it.
LOCATIONS = {
    "experiments": ("artifact_location",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
    "runs": ("artifact_uri",),
    "trace_tags": ("value",),  # mlflow.artifactLocation; no other tag begins with the address of our artifacts
}


def relocate(execute: Execute, old: str, new: str) -> None:
    """Let every address under `old` begin with `new` instead. Both without a slash at the end."""
    if old == new:
        return
    for table, columns in LOCATIONS.items():
        for column in columns:
            execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
    # An experiment that MLflow made by itself, and that nobody used, points into a folder of the old machine.
    execute(
        "UPDATE experiments SET artifact_location = ? || experiment_id WHERE artifact_location NOT LIKE ? "
        "AND (artifact_location LIKE 'file:%' OR artifact_location LIKE '/%') "
        "AND experiment_id NOT IN (SELECT experiment_id FROM runs)",
        (f"{new}/", f"{new}%"),
    )


def follow(database: Path, artifacts: Path) -> None:
    """Let addresses name `artifacts` where the checkout was renamed, moved or copied since they were written.

    artifacts: the folder mlflow/data/artifacts beside the database; where it is not there, nothing is known of it. Only
    addresses of such a folder of this machine's change, and only where it is no longer there or another one.
    Raises RegistryError where the database cannot be read or written.
    """
    new = artifacts.as_uri()
    if not (database.exists() and artifacts.is_dir()):
        return
    moved = sorted(old for old in _addresses(database) if old != new and _is_of_a_checkout(old, artifacts))
    for old in moved:
        before, now = (unquote(uri.removeprefix("file://").removesuffix(OURS)) for uri in (old, new))
        try:
            with connection(database) as connected:
                relocate(connected.execute, old, new)
        except OperationalError as error:
            raise RegistryError(
                f"this checkout was at {before} when MLflow's store was written, and its addresses cannot be changed "
                f"to {now} ({error}): make {database} and its folder writable, then run the same command again."
            ) from None
        print(f"note: this checkout was at {before}: MLflow's addresses name {now} now.", file=sys.stderr, flush=True)


def _addresses(database: Path) -> set[str]:
    """Return where the experiments keep their artifacts; none where MLflow has not made its tables yet."""
    try:
        with connection(database, read_only=True) as connected:
            return {old for (old,) in connected.execute("SELECT artifact_location FROM experiments") if old}
    except Error as error:
        if isinstance(error, OperationalError) and "no such table" in str(error):
            return set()
        raise RegistryError(
            f"MLflow at {database} cannot be read ({error}): wait where another program holds it, else put a backup "
            "back (ner restore)."
        ) from None


def _is_of_a_checkout(address: str, artifacts: Path) -> bool:
    """Return whether an address names mlflow/data/artifacts of a checkout, other than `artifacts` itself."""
    if not (address.startswith("file:///") and address.endswith(OURS)):
        return False
    folder = Path(unquote(address.removeprefix("file://")))
    return not (folder.exists() and folder.samefile(artifacts))
