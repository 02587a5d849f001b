"""Registry and flow history in one archive: both databases, every artifact, checksums; while the servers run.

Run     python -m tasks.backup --to backups/monday.tar     (make backup TO=…)
Reads   the stores in use: the checkout's own, or those of team.env
Writes  a tar with manifest.json last, whole or not at all, readable by its owner only: what the databases hold of
        secrets (Prefect's blocks and their key, MLflow's webhooks) is in it

An archive is not compressed: weights do not shrink.
"""

import argparse
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from ner.errors import NerError
from tasks import postgres, sqlite_file
from tasks.artifact_store import ArtifactStore
from tasks.backup_archive import MANIFEST, read_manifest, verify
from tasks.cli import run_stage
from tasks.io import replacing_file
from tasks.locations import elsewhere
from tasks.store import home
from tasks.team import ACCOUNTS, Stores, read_stores

FORMAT = 1
DATABASE_FILES = (".db", ".db-wal", ".db-shm", ".db-journal")
Log = Callable[[str], None]


class Counting:
    """A stream whose bytes are counted and hashed as they are read; what is missing at its end is an error."""

    def __init__(self, stream: BinaryIO, name: str, size: int) -> None:
        self._stream, self._name, self._left, self._digest = stream, name, size, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(self._left if size < 0 else min(size, self._left))
        if not piece and self._left:
            raise NerError(f"{self._name} became shorter while it was read: run the same command again.")
        self._left -= len(piece)
        self._digest.update(piece)
        return piece

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def backup(root: Path, stores: Stores, target: Path, log: Log) -> dict[str, Any]:
    """Write and read back the archive; its manifest. Raises NerError, and then there is no archive."""
    if target.exists():
        raise NerError(f"{target} is there already: name another file, or remove it.")
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("mlflow", "prefect")},
        "artifacts": stores.artifacts,
        "databases": {},
        "files": {},
    }
    with (
        replacing_file(target, mode=0o600) as temporary,
        tarfile.open(temporary, "w") as archive,
        tempfile.TemporaryDirectory(prefix="backup.", dir=target.parent) as folder,
    ):
        # The databases first: what they name was written before them, so that it is among the artifacts.
        for name, uri in stores.databases.items():
            dump, manifest["databases"][name] = take(name, uri, Path(folder))
            with dump.open("rb") as stream:
                add(archive, manifest, f"databases/{dump.name}", stream, dump.stat().st_size)
            if name == "mlflow":
                warn_of_others(dump, uri, stores, log)
        add_artifacts(archive, manifest, ArtifactStore(stores.artifacts))
        add_beside(archive, manifest, root, Path(folder), "*" if stores.mlflow.startswith("sqlite") else ACCOUNTS)
        text = json.dumps(manifest, indent=2).encode()
        archive.addfile(member(MANIFEST, len(text)), io.BytesIO(text))
    verify(target, read_manifest(target))
    return manifest


def take(name: str, uri: str, folder: Path) -> tuple[Path, dict[str, Any]]:
    """One consistent moment of a database as a file, and what is in it: kind and rows by table."""
    if uri.startswith("sqlite"):
        path = folder / f"{name}.db"
        sqlite_file.snapshot(sqlite_file.path_of(uri), path)
        return path, {"kind": "sqlite", "rows": sqlite_file.counts(path)}
    path = folder / f"{name}.dump"
    with postgres.moment(uri) as (snapshot, rows):
        postgres.dump(uri, path, snapshot)
    return path, {"kind": "postgresql", "rows": rows}


def add(archive: tarfile.TarFile, manifest: dict[str, Any], name: str, stream: BinaryIO, size: int) -> None:
    """Add one file, and its size and sha256 to the manifest."""
    counting = Counting(stream, name, size)
    archive.addfile(member(name, size), counting)  # type: ignore[arg-type]
    manifest["files"][name] = {"size": size, "sha256": counting.sha256}


def add_artifacts(archive: tarfile.TarFile, manifest: dict[str, Any], store: ArtifactStore) -> None:
    """Add every artifact, under artifacts/."""
    for path, size in store.files().items():
        with store.open(path) as stream:
            add(archive, manifest, f"artifacts/{path}", stream, size)


def add_beside(archive: tarfile.TarFile, manifest: dict[str, Any], root: Path, folder: Path, which: str) -> None:
    """Add what else lies in mlflow/data, under beside/: users, keys, the marks of what is registered."""
    for path in sorted((root / "mlflow" / "data").glob(which)):
        if not path.is_file() or path.name.startswith(("mlflow.db", ".")):
            continue
        if path.suffix == ".db":
            sqlite_file.snapshot(path, folder / path.name)
            path = folder / path.name
        elif path.name.endswith(DATABASE_FILES):
            continue
        with path.open("rb") as stream:
            add(archive, manifest, f"beside/{path.name}", stream, path.stat().st_size)


def member(name: str, size: int) -> tarfile.TarInfo:
    """A plain file that only its owner may read."""
    found = tarfile.TarInfo(name)
    found.size, found.mode, found.mtime = size, 0o600, int(datetime.now(UTC).timestamp())
    return found


def warn_of_others(dump: Path, uri: str, stores: Stores, log: Log) -> None:
    """Say which runs keep their artifacts where no backup looks."""
    if uri.startswith("sqlite"):
        with sqlite_file.connection(dump, read_only=True) as connected:
            found = elsewhere(connected.execute, stores.artifacts)
    else:
        with postgres.connection(uri) as connected:
            found = elsewhere(postgres.execute_on(connected), stores.artifacts)
    for address in found:
        log(f"warning: not in the backup, since it is not under {stores.artifacts}: {address}")


def summary(manifest: dict[str, Any]) -> str:
    """What an archive holds, in one line."""
    rows = {name: about["rows"] for name, about in manifest["databases"].items()}
    sizes = [about["size"] for about in manifest["files"].values()]
    return (
        f"{rows['mlflow'].get('runs', 0)} runs, {rows['mlflow'].get('model_versions', 0)} versions, "
        f"{rows['mlflow'].get('registered_model_aliases', 0)} aliases, {rows['prefect'].get('flow_run', 0)} flow runs, "
        f"{sum(name.startswith('artifacts/') for name in manifest['files'])} artifacts; "
        f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB, each with its sha256"
    )


def main() -> None:
    """Back up the stores in use."""
    parser = argparse.ArgumentParser(description="Registry and flow history into one archive.")
    default = Path("backups") / f"{datetime.now():%Y-%m-%dT%H%M%S}.tar"
    parser.add_argument("--to", type=Path, default=default, help="file; default: backups/<time>.tar")
    target = parser.parse_args().to
    target.parent.mkdir(parents=True, exist_ok=True)
    manifest = backup(home(), read_stores(os.environ, home()), target, print)
    print(f"{target}: {summary(manifest)}")


if __name__ == "__main__":
    run_stage("backup", main)
