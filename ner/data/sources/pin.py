"""Copies the parts of catalog.yaml and local/ that params.yaml names, with digests, so that nothing else there triggers
a rerun.

pinned(params)        # {"corpus": …, "encoder": …, "corrected_test": …}
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ner.common.files import sha256_file, sha256_folder
from ner.data.sources.catalog import read_catalog, resolve_corpus, resolve_encoder
from ner.data.sources.catalog_entries import LOCAL, FilesCorpus, FilesEncoder, JoinCorpus, LocalFolder
from ner.errors import NerError
from ner.params import Params


def pinned(params: Params) -> dict[str, Any]:
    """Return the content of each file of data/pinned, by its name."""
    corrected = params.evaluation.corrected_test
    return {
        "corpus": described(lambda: corpora(params.data.source)),
        "encoder": described(lambda: [resolve_encoder(params.model.base, read_catalog())]),
        "corrected_test": None if corrected is None else {corrected: digest(Path(corrected))},
    }


def corpora(source: str) -> list[Any]:
    """Return the entry that data.source names; of a join also the entry of each of its parts. Raises CatalogError."""
    catalog = read_catalog()
    entry = resolve_corpus(source, catalog)
    parts = entry.corpora if isinstance(entry, JoinCorpus) else ()
    return [entry, *(resolve_corpus(part.corpus, catalog) for part in parts)]


def described(resolve: Callable[[], Sequence[Any]]) -> dict[str, Any]:
    """Return the entries in full, and the digests of what they name in local/; or the error that the name causes."""
    try:
        entries = resolve()
    except NerError as error:
        return {"problem": str(error)}
    paths = {entry.path for entry in entries if isinstance(entry, LocalFolder)}
    paths |= {entry.folder for entry in entries if isinstance(entry, FilesCorpus | FilesEncoder) and is_local(entry)}
    return {
        "entries": [entry.model_dump(mode="json") for entry in entries],
        "local": {path: digest(Path(path)) for path in sorted(paths)},
    }


def is_local(entry: FilesCorpus | FilesEncoder) -> bool:
    """Whether its files lie in local/; elsewhere their checksums in the catalogue speak for them."""
    return Path(entry.folder).expanduser().resolve().is_relative_to(Path(LOCAL).resolve())


def digest(path: Path) -> str | None:
    """Return the hex sha256 of a file, or of a folder's names and contents; None where there is nothing."""
    if path.is_dir():
        return sha256_folder(path)
    return sha256_file(path) if path.is_file() else None
