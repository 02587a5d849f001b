"""Where MLflow's database says that artifacts are: absolute addresses, rewritten when the artifacts move."""

from collections.abc import Callable, Sequence
from typing import Any

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


def elsewhere(execute: Execute, root: str) -> list[str]:
    """Addresses of runs and versions that are not under `root`: their artifacts are neither moved nor backed up."""
    found: set[str] = set()
    for table, columns in LOCATIONS.items():
        if table in ("experiments", "trace_tags"):
            continue
        for column in columns:
            rows = execute(
                f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL AND substr({column}, 1, ?) <> ? "
                f"AND {column} NOT LIKE 'models:/%'",
                (len(root) + 1, f"{root}/"),
            )
            found |= {row[0] for row in rows}
    return sorted(found)
