"""Restore a backup into empty stores, then compare: rows of every table, the sha256 of every artifact.

Run     ner restore backups/monday.tar [--force]      (with no server at work on these stores)
Reads   the archive: all of it is checked first
Writes  the checkout's own stores, renamed into place; what lay there goes to .ner/before-restore.*
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Annotated, Any, cast

import typer

from ner.admin.backup import opened, require_own_stores, summary, verify
from ner.common import sqlite as sqlite_file
from ner.common.files import sha256_file
from ner.common.lock import lock_checkout
from ner.common.sqlite_address import sqlite_path
from ner.common.stores import STATE, embedded
from ner.errors import NerError
from ner.tracking.artifact_paths import relocate

Log = Callable[[str], None]


def restore(root: Path, path: Path, force: bool, log: Log) -> dict[str, Any]:
    """Put back what the archive holds; its manifest. Raises NerError: before anything is written, where it can."""
    manifest = verify(path)
    log(f"{path}: all {len(manifest['files'])} files are what was backed up on {manifest['made']}")
    put_back(root, path, manifest, force, log)
    compare(root, manifest)
    return manifest


def compare(root: Path, manifest: Mapping[str, Any]) -> None:
    """Raise NerError where a table has another number of rows than then, or an artifact other bytes."""
    for name, uri in embedded(root).databases.items():
        if sqlite_file.counts(sqlite_path(uri)) != manifest["databases"][name]["rows"]:
            raise NerError(f"{name}: the restored database has other numbers of rows than the backup says.")
    for name, about in manifest["files"].items():
        if name.startswith("artifacts/"):
            path = root / "mlflow" / "data" / name
            if sha256_file(path) != about["sha256"]:
                raise NerError(f"{path} is not what was backed up: restore again.")


def put_back(root: Path, path: Path, manifest: dict[str, Any], force: bool, log: Log) -> None:
    """Write the stores beside their places, then rename them into place."""
    stores = embedded(root)
    data, prefect = root / "mlflow" / "data", sqlite_path(stores.prefect)
    if not force:
        _require_nothing(data, prefect)
    state = root / STATE
    state.mkdir(exist_ok=True)
    data.parent.mkdir(exist_ok=True)
    with opened(path) as archive, tempfile.TemporaryDirectory(prefix=".data.", dir=data.parent) as name:
        unpacked = Path(name)
        for member in manifest["files"]:
            target = unpacked / member
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as sink:
                shutil.copyfileobj(cast(IO[bytes], archive.extractfile(member)), sink)
            target.chmod(0o644 if member.startswith("artifacts/") else 0o600)
        for database in stores.databases:
            sqlite_file.check(unpacked / "databases" / f"{database}.db")
        with sqlite_file.connection(unpacked / "databases" / "mlflow.db") as connected:
            relocate(connected.execute, manifest["artifacts"], stores.artifacts)
        fresh = unpacked / "data"
        fresh.mkdir()
        for part in (*unpacked.glob("beside/*"), *unpacked.glob("artifacts"), unpacked / "databases" / "mlflow.db"):
            part.rename(fresh / part.name)
        _put_aside([data, *prefect.parent.glob(f"{prefect.name}*")], state, log)
        shutil.move(unpacked / "databases" / "prefect.db", prefect)
        fresh.rename(data)


def _require_nothing(data: Path, prefect: Path) -> None:
    artifacts = data / "artifacts"
    there = [path for path in (data / "mlflow.db", prefect) if path.exists()]
    if artifacts.is_dir() and any(path.is_file() for path in artifacts.rglob("*")):
        there.append(artifacts)
    if there:
        raise NerError(
            f"{' and '.join(map(str, there))} {'are' if len(there) > 1 else 'is'} there already: nothing was changed. "
            "--force puts the backup in their place, and them aside."
        )


def _put_aside(paths: list[Path], state: Path, log: Log) -> None:
    there = [path for path in paths if path.exists()]
    if not there:
        return
    aside = state / f"before-restore.{datetime.now():%Y-%m-%dT%H%M%S.%f}"
    aside.mkdir()
    for path in there:
        path.rename(aside / path.name)
    log(f"what lay there is in {aside}")


def main(
    archive: Annotated[Path, typer.Argument(help="The archive that `ner backup` has written.")],
    force: Annotated[bool, typer.Option("--force", help="Replace existing stores, which are moved aside.")] = False,
) -> None:
    """Restore and compare. Raises NerError for the archive, a checkout at work, full stores, differences."""
    require_own_stores()
    root = Path.cwd()
    with lock_checkout(root, "up", "restoring a backup"), lock_checkout(root, "run", "restoring a backup"):
        manifest = restore(root, archive, force, print)
    print(f"restored and compared: {summary(manifest)}")
