"""From the embedded stores of a checkout to the team's: databases, artifacts, and the addresses between them.

Run     python -m flows.move           (make move-to-team; team.env says where to)
Reads   mlflow/data/mlflow.db, mlflow/data/artifacts, .ner/prefect.db
Writes  the two PostgreSQL databases, which must be empty, and the artifact store; nothing in the checkout
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ner.errors import NerError
from tasks import migrate, postgres, sqlite_file
from tasks.artifact_store import ArtifactStore
from tasks.locations import elsewhere, relocate
from tasks.team import STATE, Stores, embedded

Log = Callable[[str], None]


def move(root: Path, to: Stores, log: Log) -> dict[str, dict[str, int]]:
    """Copy all and compare it; rows by database and table. Raises NerError; then the databases are empty again."""
    old = embedded(root)
    for name, uri in to.databases.items():
        postgres.require_empty(uri, name)
    (root / STATE).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="move.", dir=root / STATE) as folder:
        copies = {name: Path(folder) / f"{name}.db" for name in old.databases}
        for name, copy in copies.items():
            source = sqlite_file.path_of(old.databases[name])
            if name == "prefect" and not source.exists():
                log(f"prefect: no flow was ever run here ({source} is not there), so its history begins empty")
            else:
                sqlite_file.snapshot(source, copy)
            migrate.upgrade(name, f"sqlite:///{copy}")
        with sqlite_file.connection(copies["mlflow"]) as connected:
            relocate(connected.execute, old.artifacts, to.artifacts)
            for address in elsewhere(connected.execute, to.artifacts):
                log(f"warning: stays where it is, since it is not under {old.artifacts}: {address}")
        copy_artifacts(ArtifactStore(old.artifacts), ArtifactStore(to.artifacts), log)
        return {name: _copy_database(name, copies[name], uri, log) for name, uri in to.databases.items()}


def copy_artifacts(old: ArtifactStore, new: ArtifactStore, log: Log) -> None:
    """Copy what is missing there and compare all by sha256. Raises NerError for a file there that is not ours."""
    here, there = old.files(), new.files()
    if foreign := sorted(there.keys() - here.keys()):
        raise NerError(
            f"{new.address} is not empty ({len(foreign)} files of others, as {foreign[0]}): nothing was changed. "
            "Name another folder of the bucket in MLFLOW_DEFAULT_ARTIFACT_ROOT."
        )
    for path, size in here.items():
        ours = old.sha256(path)
        if there.get(path) != size or new.sha256(path) != ours:
            with old.open(path) as stream:
                new.write(path, stream)
            if new.sha256(path) != ours:
                raise NerError(f"{new.address}/{path} differs from what was written there: run the same command again.")
    log(f"artifacts: {len(here)} files, {sum(here.values()) / 1e6:.1f} MB, each with the same sha256 in {new.address}")


def _copy_database(name: str, copy: Path, uri: str, log: Log) -> dict[str, int]:
    try:
        migrate.upgrade(name, uri)
        rows = migrate.copy_tables(copy, uri)
    except BaseException:
        with suppress(NerError):
            postgres.empty(uri)  # it was empty before
        raise
    log(f"{name}: {sum(rows.values())} rows in {sum(map(bool, rows.values()))} tables, each compared")
    return rows
