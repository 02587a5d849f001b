"""Writes data/prepared of files on this disk, without a catalogue."""

from pathlib import Path
from typing import Any

from ner.data.sources.catalog_entries import AnyCorpus
from ner.data.sources.corpora import FetchedCorpus, scratch_beside
from ner.data.sources.loading import load
from ner.data.sources.prepared_writer import write_corpus


def ingest_files(
    files: dict[str, Any],
    folder: Path,
    source: str,
    *,
    entry: AnyCorpus | None = None,
    origin: str | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """Write parquet and manifest of a corpus whose files are on this disk; whole, or not at all.

    files: for each split a path, or the paths of its shards, in CoNLL columns or (.parquet) the hub's form.
    entry: what is known about it; without one, document boundaries are those that the files mark themselves, and
    sentences without boundaries count as being in no order. Raises CorpusError for a file that cannot be read.
    """
    paths = {split: [group] if isinstance(group, Path) else list(group) for split, group in files.items()}
    with scratch_beside(folder) as scratch:
        corpus = load(FetchedCorpus(entry, paths, origin or source, revision), source, scratch=scratch)
        return write_corpus(corpus, folder)
