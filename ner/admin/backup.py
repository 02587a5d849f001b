"""Back up registry and flow history into one archive: both databases, every artifact, checksums; while the servers run.

Run     ner backup backups/monday.tar
Reads   the checkout's own stores; those of team.env have tools of their own (docs/how-to/team.md)
Writes  a tar with manifest.json last, whole or not at all, readable by its owner only: what the databases hold of
        secrets (Prefect's blocks and their key) is in it

An archive is not compressed: weights do not shrink.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, cast

import typer

from ner.common import sqlite as sqlite_file
from ner.common.files import replacing_file
from ner.common.sqlite_address import sqlite_path
from ner.common.stores import embedded, is_team
from ner.errors import NerError
from ner.tracking.artifact_paths import elsewhere
from ner.tracking.mlflow_store import follow_checkout, home

FORMAT = 1
MANIFEST = "manifest.json"
FOLDERS = ("artifacts", "beside", "databases")
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


def backup(root: Path, target: Path, log: Log) -> dict[str, Any]:
    """Write and read back the archive; its manifest. Raises NerError, and then there is no archive."""
    if target.exists():
        raise NerError(f"{target} is there already: name another file, or remove it.")
    stores = embedded(root)
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
            copy = Path(folder) / f"{name}.db"
            sqlite_file.snapshot(sqlite_path(uri), copy)
            manifest["databases"][name] = {"kind": "sqlite", "rows": sqlite_file.counts(copy)}
            add(archive, manifest, f"databases/{copy.name}", copy)
            if name == "mlflow":
                warn_of_others(copy, stores.artifacts, log)
        artifacts = root / "mlflow" / "data" / "artifacts"
        for path in sorted(
            path for path in artifacts.rglob("*") if path.is_file() and path.parent.name != "__pycache__"
        ):
            add(archive, manifest, f"artifacts/{path.relative_to(artifacts)}", path)
        add_beside(archive, manifest, root, Path(folder))
        text = json.dumps(manifest, indent=2).encode()
        archive.addfile(member(MANIFEST, len(text)), io.BytesIO(text))
    verify(target, read_manifest(target))
    return manifest


def require_own_stores() -> None:
    """Raise NerError where team.env or the environment names other stores than the checkout's own."""
    if is_team(os.environ):
        raise NerError(
            "the stores in use are the team's: back up PostgreSQL by pg_dump and the bucket by your store's own "
            "tools (docs/how-to/team.md)."
        )


def add(archive: tarfile.TarFile, manifest: dict[str, Any], name: str, path: Path) -> None:
    """Add one file, and its size and sha256 to the manifest."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        counting = Counting(stream, name, size)
        archive.addfile(member(name, size), counting)
    manifest["files"][name] = {"size": size, "sha256": counting.sha256}


def add_beside(archive: tarfile.TarFile, manifest: dict[str, Any], root: Path, folder: Path) -> None:
    """Add what else lies in mlflow/data, under beside/: users, keys, the marks of what is registered."""
    for path in sorted((root / "mlflow" / "data").iterdir()):
        if not path.is_file() or path.name.startswith(("mlflow.db", ".")):
            continue
        if path.suffix == ".db":
            sqlite_file.snapshot(path, folder / path.name)
            path = folder / path.name
        elif path.name.endswith(DATABASE_FILES):
            continue
        add(archive, manifest, f"beside/{path.name}", path)


def member(name: str, size: int) -> tarfile.TarInfo:
    """Return a plain file that only its owner may read."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(datetime.now(UTC).timestamp())
    return info


def warn_of_others(database: Path, artifacts: str, log: Log) -> None:
    """Say which runs keep their artifacts where no backup looks."""
    with sqlite_file.connection(database, read_only=True) as connected:
        for address in elsewhere(connected.execute, artifacts):
            log(f"warning: not in the backup, since it is not under {artifacts}: {address}")


def digest(stream: io.BufferedIOBase) -> str:
    """Return the hex sha256 of a stream."""
    return hashlib.file_digest(stream, "sha256").hexdigest()


def summary(manifest: dict[str, Any]) -> str:
    """Return what an archive holds, in one line."""
    rows = {name: about["rows"] for name, about in manifest["databases"].items()}
    sizes = [about["size"] for about in manifest["files"].values()]
    return (
        f"{rows['mlflow'].get('runs', 0)} runs, {rows['mlflow'].get('model_versions', 0)} versions, "
        f"{rows['mlflow'].get('registered_model_aliases', 0)} aliases, {rows['prefect'].get('flow_run', 0)} flow runs, "
        f"{sum(name.startswith('artifacts/') for name in manifest['files'])} artifacts; "
        f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB, each with its sha256"
    )


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Open the archive. Raises NerError for a file that is not an archive, or is incomplete."""
    try:
        with tarfile.open(path, "r:") as archive:
            yield archive
    except (FileNotFoundError, IsADirectoryError):
        raise NerError(f"{path} is not there: name an archive that `ner backup` has written.") from None
    except (tarfile.TarError, EOFError) as error:
        raise NerError(f"{path} is not a complete archive ({error}): use another backup.") from None


def read_manifest(path: Path) -> dict[str, Any]:
    """Return what `backup` wrote about its archive. Raises NerError."""
    with opened(path) as archive:
        try:
            stream = archive.extractfile(MANIFEST)
            manifest = json.loads(stream.read()) if stream else {}
        except (KeyError, ValueError):
            manifest = {}
    if manifest.get("format") != FORMAT:
        raise NerError(f"{path} has no manifest of a known format: it is not a backup, or an incomplete one.")
    return manifest


def verify(path: Path, manifest: dict[str, Any]) -> None:
    """Read all of it. Raises NerError where a file is missing, too many, altered, or its name leads elsewhere."""
    left = dict(manifest["files"])
    with opened(path) as archive:
        for entry in archive:
            if entry.name == MANIFEST:
                continue
            about = left.pop(entry.name, None)
            if about is None or not entry.isfile() or not is_plain(entry.name):
                raise NerError(f"{path}: {entry.name!r} is not in its manifest, or no plain file: use another backup.")
            if (
                entry.size != about["size"]
                or digest(cast(io.BufferedIOBase, archive.extractfile(entry))) != about["sha256"]
            ):
                raise NerError(f"{path}: {entry.name} is not what was backed up (another sha256): use another backup.")
    if left:
        raise NerError(f"{path} lacks {len(left)} files of its manifest, as {next(iter(left))}: use another backup.")


def is_plain(name: str) -> bool:
    """Return whether a member's name leads to a place below one of our folders."""
    parts = PurePosixPath(name).parts
    return len(parts) > 1 and parts[0] in FOLDERS and ".." not in parts and "\0" not in name


def main(to: Annotated[Path | None, typer.Argument(help="A new file; default: backups/<time>.tar.")] = None) -> None:
    """Write a backup of the checkout's stores. Raises NerError."""
    require_own_stores()
    target = to or Path("backups") / f"{datetime.now():%Y-%m-%dT%H%M%S}.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    follow_checkout(home())
    manifest = backup(home(), target, print)
    print(f"{target}: {summary(manifest)}")
