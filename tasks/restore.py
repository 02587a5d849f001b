"""A backup back into stores that are empty, then compared: rows of every table, the sha256 of every artifact.

Run     python -m flows.restore backups/monday.tar      (make restore FROM=…, with no server at work on these stores)
Reads   the archive: all of it is checked first
Writes  the stores in use. The checkout's own are renamed into place; what lay there goes to .ner/before-restore.*
        PostgreSQL loads each database in one transaction
"""

import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ner.errors import NerError
from tasks import postgres, sqlite_file
from tasks.artifact_store import ArtifactStore
from tasks.backup_archive import opened, read_manifest, verify
from tasks.locations import relocate
from tasks.team import ACCOUNTS, STATE, Stores, synchronous

Log = Callable[[str], None]


def restore(root: Path, stores: Stores, path: Path, force: bool, log: Log) -> dict[str, Any]:
    """Put back what the archive holds; its manifest. Raises NerError: before anything is written, where it can."""
    manifest = read_manifest(path)
    verify(path, manifest)
    log(f"{path}: all {len(manifest['files'])} files are what was backed up on {manifest['made']}")
    kind = "sqlite" if stores.mlflow.startswith("sqlite") else "postgresql"
    if (was := manifest["databases"]["mlflow"]["kind"]) != kind:
        raise NerError(
            f"{path} is of {was} databases, and the stores in use are {kind}: restore it with"
            f"{'out' if was == 'sqlite' else ''} team.env; `make move-to-team` goes from SQLite to PostgreSQL."
        )
    put = _restore_embedded if kind == "sqlite" else _restore_team
    put(root, stores, path, manifest, force, log)
    compare(stores, manifest)
    return manifest


def compare(stores: Stores, manifest: Mapping[str, Any]) -> None:
    """Raises NerError where a table has another number of rows than then, or an artifact other bytes."""
    for name, uri in stores.databases.items():
        sqlite = uri.startswith("sqlite")
        rows = sqlite_file.counts(sqlite_file.path_of(uri)) if sqlite else postgres.counts(uri)
        if rows != manifest["databases"][name]["rows"]:
            raise NerError(f"{name}: the restored database has other numbers of rows than the backup says.")
    store = ArtifactStore(stores.artifacts)
    for name, about in manifest["files"].items():
        folder, _, relative = name.partition("/")
        if folder == "artifacts" and store.sha256(relative) != about["sha256"]:
            raise NerError(f"{stores.artifacts}/{relative} is not what was backed up: restore again.")


def _restore_embedded(root: Path, stores: Stores, path: Path, manifest: dict, force: bool, log: Log) -> None:
    data, prefect = root / "mlflow" / "data", sqlite_file.path_of(synchronous(stores.prefect))
    if not force:
        _require_nothing(data, prefect)
    state = root / STATE
    state.mkdir(exist_ok=True)
    data.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".data.", dir=data.parent) as fresh,
        tempfile.TemporaryDirectory(prefix="restore.", dir=state) as scratch,
    ):
        _unpack(path, {"artifacts": Path(fresh) / "artifacts", "beside": Path(fresh), "databases": Path(scratch)})
        for name in stores.databases:
            sqlite_file.check(Path(scratch) / f"{name}.db")
        with sqlite_file.connection(Path(scratch) / "mlflow.db") as connected:
            relocate(connected.execute, manifest["artifacts"], stores.artifacts)
        shutil.move(Path(scratch) / "mlflow.db", Path(fresh) / "mlflow.db")
        _put_aside([data, *prefect.parent.glob(f"{prefect.name}*")], state, log)
        Path(scratch, "prefect.db").replace(prefect)
        Path(fresh).chmod(0o755)
        Path(fresh).rename(data)
        Path(fresh).mkdir()  # for the temporary folder's own end


def _restore_team(root: Path, stores: Stores, path: Path, manifest: dict, force: bool, log: Log) -> None:
    store, accounts = ArtifactStore(stores.artifacts), root / "mlflow" / "data" / ACCOUNTS
    has_accounts = f"beside/{ACCOUNTS}" in manifest["files"]
    if has_accounts and accounts.exists() and not force:
        raise NerError(f"{accounts} is there already: nothing was changed. {_FORCE}")
    for name, uri in stores.databases.items():
        postgres.require_alone(uri, name)
        if not force:
            postgres.require_empty(uri, name)
    if not force and (there := store.files()):
        raise NerError(f"{store.address} is not empty ({len(there)} files): nothing was changed. {_FORCE}")
    with tempfile.TemporaryDirectory(prefix="restore.") as scratch:
        _unpack(path, {"databases": Path(scratch), "beside": Path(scratch)})
        _upload(path, store)  # before the databases, which then name nothing that is not there
        for name, uri in stores.databases.items():
            postgres.load(uri, Path(scratch) / f"{name}.dump", replace=force)
        if has_accounts:
            (root / STATE).mkdir(exist_ok=True)
            _put_aside([accounts], root / STATE, log)
            accounts.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(scratch) / ACCOUNTS, accounts)
    with postgres.connection(stores.databases["mlflow"]) as connected:
        relocate(postgres.execute_on(connected), manifest["artifacts"], stores.artifacts)


_FORCE = "FORCE=1 writes over what is there."


def _require_nothing(data: Path, prefect: Path) -> None:
    artifacts = data / "artifacts"
    there = [path for path in (data / "mlflow.db", prefect) if path.exists()]
    if artifacts.is_dir() and any(path.is_file() for path in artifacts.rglob("*")):
        there.append(artifacts)
    if there:
        raise NerError(
            f"{' and '.join(map(str, there))} {'are' if len(there) > 1 else 'is'} there already: nothing was changed. "
            "FORCE=1 puts the backup in their place, and them aside."
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


def _unpack(path: Path, places: Mapping[str, Path]) -> None:
    """Write the members below the named folders of an archive that `verify` has passed."""
    with opened(path) as archive:
        for entry in archive:
            folder, _, relative = entry.name.partition("/")
            if folder in places and relative:
                target = places[folder] / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as sink:
                    shutil.copyfileobj(_bytes(archive, entry), sink)
                target.chmod(0o600 if folder != "artifacts" else 0o644)


def _upload(path: Path, store: ArtifactStore) -> None:
    with opened(path) as archive:
        for entry in archive:
            folder, _, relative = entry.name.partition("/")
            if folder == "artifacts":
                store.write(relative, _bytes(archive, entry))


def _bytes(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> Any:
    stream = archive.extractfile(entry)
    assert stream is not None  # `verify` has passed plain files only
    return stream
