"""The entry of catalog.yaml for files that were recognised.

entry = new_entry(recognise(path), path, language="pt")      # plain values, as the file holds them
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ner.data.formats import Recognised
from ner.data.formats.data_files import unpacked
from ner.data.sources.catalog_entries import ALL, UNLABELLED
from ner.data.sources.corpora import check_training, matching, sha256_of
from ner.errors import CatalogError, SourceError

OTHER = "other"  # of the recognised files, those whose names tell no split beside files whose names do
MOST_FILES = 5  # of a split that are written one by one, where one pattern fits all of them
ORDER = ("train", "validation", "test", ALL, UNLABELLED)
OURS = ("kind", "folder", "format", "unlabelled_format", "splits")  # keys that a new delivery sets; the rest stays


def new_entry(recognised: Recognised, path: Path, description: str) -> dict[str, Any]:
    """Return format, folder, files and their checksums, with what only a person knows left `unknown`.

    Raises SourceError for files whose names tell no split while those of others do, and where none is for training.
    """
    if OTHER in recognised.files:
        names = ", ".join(str(file.relative_to(path)) for file in recognised.files[OTHER][:5])
        raise SourceError(
            f"{path}: the name of {names} tells no split, but those of other files do: rename it (train, validation, "
            "test), move it out of the folder, or give the folder with the files that belong together."
        )
    check_training(recognised, path)
    folder = path if path.is_dir() else path.parent
    root = unpacked(path) if path.is_file() else folder
    root = root if root == folder else root.parent  # of a zip archive, where it is unpacked
    splits: dict[str, Any] = {}
    for split in sorted(recognised.files, key=ORDER.index):
        form = recognised.unlabelled if split == UNLABELLED and recognised.unlabelled else recognised.format
        splits[split] = _files(root, recognised.files[split], form.name)
    entry = {
        "kind": "files",
        "description": description,
        "license": "unknown",
        "language": "unknown",
        "folder": folder_name(folder),
        "format": recognised.format.settings(),
    }
    if recognised.unlabelled and recognised.unlabelled != recognised.format:
        entry["unlabelled_format"] = recognised.unlabelled.settings()
    if set(splits) - {UNLABELLED} != {"train", "validation", "test"}:
        entry["split"] = {"validation": 0.1, "test": 0.1, "seed": 42}
    return {**entry, "splits": splits}


def _files(folder: Path, paths: Sequence[Path], format_name: str) -> Any:
    if len(paths) > MOST_FILES:
        for pattern in _patterns(folder, paths):
            if matching(folder, pattern, format_name, missing_ok=True) == sorted(paths):
                return {"path": pattern, "sha256": sha256_of(sorted(paths))}
    entries = [{"path": path.relative_to(folder).as_posix(), "sha256": sha256_of([path])} for path in paths]
    return entries[0] if len(entries) == 1 else entries


def _patterns(folder: Path, paths: Sequence[Path]) -> list[str]:
    """Return the patterns that may stand for all of the files, the narrowest first."""
    above = Path(os.path.commonpath([path.parent for path in paths])).relative_to(folder)
    suffixes = {path.suffix for path in paths}
    ends = [f"*{suffix}" for suffix in suffixes] if len(suffixes) == 1 else []
    return [(PurePosixPath(above.as_posix()) / end).as_posix() for end in [*ends, *(f"**/{end}" for end in ends)]]


def folder_name(folder: Path) -> str:
    """Return the folder, relative to the repository where it lies inside, otherwise absolute."""
    whole = folder.resolve()
    return whole.relative_to(Path.cwd()).as_posix() if whole.is_relative_to(Path.cwd()) else whole.as_posix()


def default_name(path: Path) -> str:
    """Return the catalogue name of a file or a folder: `LeNER Br` becomes lener-br."""
    stem = path.resolve().name if path.is_dir() else path.resolve().stem
    return re.sub(r"[^\w.]+", "-", stem.lower()).strip("-.") or "new-data"


def merged(old: Mapping[str, Any] | None, entry: dict[str, Any], name: str, was_named: bool) -> dict[str, Any]:
    """Return the entry, or for a second delivery the old one with the new files; what a person wrote there stays.

    Raises CatalogError where the name stands for something else.
    """
    if old is None:
        return entry
    if old.get("kind") != "files" or not (was_named or old.get("folder") == entry["folder"]):
        raise CatalogError(f"catalog.yaml has a corpus {name!r} already, of {_origin(old)}: give NAME=another-name.")
    own_keys = {key: value for key, value in old.items() if key not in OURS}
    if "split" not in entry:
        own_keys.pop("split", None)
    return {**entry, **own_keys, **{key: entry[key] for key in OURS if key in entry}}


def _origin(entry: Mapping[str, Any]) -> str:
    return str(entry.get("folder") or f"kind {entry.get('kind')}")
