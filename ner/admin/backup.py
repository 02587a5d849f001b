"""Registry and flow history in one archive: both databases, every artifact, checksums; and back into empty stores.

Run     ner backup backups/monday.tar                 (while the servers run)
        ner restore backups/monday.tar [--force]      (with no server at work on these stores)
Reads   the checkout's own stores; those of team.env have tools of their own (docs/how-to/team.md)
Writes  a tar with manifest.json last, whole or not at all, readable by its owner only: what the databases hold of
        secrets (Prefect's blocks and their key) is in it. A restore checks all of it first, renames it into place,
        compares, and puts what lay there into .ner/before-restore.*
"""

import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, cast

import typer

from ner.common import sqlite as sqlite_file
from ner.common.files import replacing_file, sha256_file, write_json
from ner.common.lock import lock_checkout
from ner.common.sqlite import sqlite_path
from ner.common.stores import STATE, embedded, is_team
from ner.errors import NerError
from ner.tracking.artifact_paths import relocate
from ner.tracking.mlflow_store import follow_checkout, home

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE_FILES = (".db-wal", ".db-shm", ".db-journal")


def backup(root: Path, target: Path) -> dict[str, Any]:
    """Write and read back the archive; its manifest. Raises NerError, and then there is no archive."""
    if target.exists():
        raise NerError(f"{target} is there already: name another file, or remove it.")
    stores = embedded(root)
    with (
        replacing_file(target, mode=0o600) as temporary,
        tempfile.TemporaryDirectory(prefix="backup.", dir=target.parent) as name,
    ):
        folder, databases = Path(name), {}
        files: dict[str, Path] = {}  # by their name in the archive
        # The databases first: what they name was written before them, so that it is among the artifacts.
        for store, uri in stores.databases.items():
            copy = files[f"databases/{store}.db"] = folder / f"{store}.db"
            sqlite_file.snapshot(sqlite_path(uri), copy)
            databases[store] = {"kind": "sqlite", "rows": sqlite_file.counts(copy)}
        artifacts = root / "mlflow" / "data" / "artifacts"
        for path in sorted(artifacts.rglob("*")):
            if path.is_file() and path.parent.name != "__pycache__":
                files[f"artifacts/{path.relative_to(artifacts)}"] = path
        files |= beside(root / "mlflow" / "data", folder)
        manifest = {
            "format": FORMAT,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in ("mlflow", "prefect")},
            "artifacts": stores.artifacts,
            "databases": databases,
            "files": {name: {"size": path.stat().st_size, "sha256": sha256_file(path)} for name, path in files.items()},
        }
        write_json(folder / MANIFEST, manifest)
        with tarfile.open(temporary, "w") as archive:
            for member, path in {**files, MANIFEST: folder / MANIFEST}.items():
                archive.add(path, member, filter=private)
        return verify(temporary)


def require_own_stores() -> None:
    """Raise NerError where team.env or the environment names other stores than the checkout's own."""
    if is_team(os.environ):
        raise NerError(
            "the stores in use are the team's: back up PostgreSQL by pg_dump and the bucket by your store's own "
            "tools (docs/how-to/team.md)."
        )


def beside(data: Path, folder: Path) -> dict[str, Path]:
    """Return what else lies in mlflow/data by its name in the archive: users, keys, the marks of what is registered."""
    files = {}
    for path in sorted(data.iterdir()):
        if path.is_file() and not path.name.startswith(("mlflow.db", ".")) and not path.name.endswith(DATABASE_FILES):
            files[f"beside/{path.name}"] = path
            if path.suffix == ".db":
                files[f"beside/{path.name}"] = folder / path.name
                sqlite_file.snapshot(path, folder / path.name)
    return files


def private(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member without its owner, who alone may read it."""
    info.mode, info.uid, info.gid, info.uname, info.gname = 0o600, 0, 0, "", ""
    return info


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


def verify(path: Path) -> dict[str, Any]:
    """Read all of an archive and return its manifest. Raises NerError where a file is missing, added or altered."""
    digests: dict[str, str] = {}
    manifest: dict[str, Any] = {}
    with opened(path) as archive:
        for entry in archive:
            stream = archive.extractfile(entry) if entry.isfile() else None
            content = stream.read() if stream and entry.name == MANIFEST else b""
            digests[entry.name] = hashlib.file_digest(stream, "sha256").hexdigest() if stream else "no file"  # type: ignore[arg-type]
            if content:
                manifest = json.loads(content)
    if manifest.get("format") != FORMAT:
        raise NerError(f"{path} has no manifest of a known format: it is not a backup, or an incomplete one.")
    del digests[MANIFEST]
    wanted = {name: about["sha256"] for name, about in manifest["files"].items()}
    wrong = [name for name in digests.keys() | wanted.keys() if digests.get(name) != wanted.get(name)]
    wrong += [name for name in wanted if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts]
    if wrong:
        why = "missing, added, in another folder, or of another sha256"
        raise NerError(f"{path}: {min(wrong)!r} is not what was backed up ({why}): use another backup.")
    return manifest


def main(to: Annotated[Path | None, typer.Argument(help="A new file; default: backups/<time>.tar.")] = None) -> None:
    """Write a backup of the checkout's stores. Raises NerError."""
    require_own_stores()
    target = to or Path("backups") / f"{datetime.now():%Y-%m-%dT%H%M%S}.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    follow_checkout(home())
    manifest = backup(home(), target)
    print(f"{target}: {summary(manifest)}")


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


def restore_archive(
    archive: Annotated[Path, typer.Argument(help="The archive that `ner backup` has written.")],
    force: Annotated[bool, typer.Option("--force", help="Replace existing stores, which are moved aside.")] = False,
) -> None:
    """Restore and compare. Raises NerError for the archive, a checkout at work, full stores, differences."""
    require_own_stores()
    root = Path.cwd()
    with lock_checkout(root, "up", "restoring a backup"), lock_checkout(root, "run", "restoring a backup"):
        manifest = restore(root, archive, force, print)
    print(f"restored and compared: {summary(manifest)}")
