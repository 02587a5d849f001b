"""The prepared corpus on disk: a parquet file for each split and manifest.json, written by `ingest`, read by the rest.

Beside the splits there may be unlabelled.parquet (read_split(folder, "unlabelled")), and problems.csv, which lists
everything that was not kept.

manifest = read_manifest(Path("data/prepared"))
split = read_split(Path("data/prepared"), "train")     # split.tokens[0], split.tag_ids[0]
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ner.common.files import sha256_file
from ner.errors import NerError

MANIFEST, PROBLEMS = "manifest.json", "problems.csv"
UNLABELLED = "unlabelled"
PART = 20_000  # sentences
AGAIN = "run `dvc repro ingest`, which makes it again"


class Split(NamedTuple):
    """The columns of one split, a value per sentence; tag_ids are indices into the manifest's `labels`."""

    document_ids: list[int]
    sentence_ids: list[int]
    lines: list[int]
    tokens: list[list[str]]
    tag_ids: list[list[int]]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what `ingest` wrote about the corpus. Raises NerError where the manifest is missing or broken."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NerError(f"{path} is missing: run `dvc repro ingest`, which makes it.") from None
    except ValueError as error:
        raise NerError(f"{path} cannot be read ({error}): {AGAIN}.") from None
    missing = {"source", "fingerprint", "labels", "splits"} - (manifest.keys() if isinstance(manifest, dict) else set())
    if missing:
        raise NerError(f"{path} has no {', '.join(sorted(missing))}: {AGAIN}.")
    return manifest


def read_sentences(folder: Path, split: str) -> pa.Table:
    """Return the table of one split, as it is on the disk.

    Columns: document_id, sentence_id, line, tokens (list of strings), ner_tags (list of label ids).
    Raises NerError where the split or its file is missing, or the file is not parquet.
    """
    path = folder / _about(folder, split)["parquet"]
    try:
        return pq.read_table(path)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise unreadable(path, error) from None


def read_split(folder: Path, split: str) -> Split:
    """Return one split as Python lists, its file checked against the manifest.

    Raises NerError as read_sentences does, and where the file is not the one that the manifest describes.
    """
    table = read_sentences(folder, split)
    _check_digest(folder, split)
    return _split(table)


def pooled(split: Split, other: Split) -> Split:
    """Return two splits as one, its sentences numbered anew. Where neither has documents, the whole has none."""
    has_documents = max(len(set(own.document_ids)) for own in (split, other)) > 1
    first = max(split.document_ids, default=-1) + 1 if has_documents else 0
    documents = split.document_ids + [document + first for document in other.document_ids]
    lines, tokens, tag_ids = split.lines + other.lines, split.tokens + other.tokens, split.tag_ids + other.tag_ids
    return Split(documents, list(range(len(documents))), lines, tokens, tag_ids)


def read_parts(folder: Path, split: str, size: int = PART) -> Iterator[Split]:
    """Yield one split in parts: whole documents of together `size` sentences or a few more; at least one part.

    A document is what neighbours of one document_id are. Raises what read_split raises.
    """
    path = folder / _about(folder, split)["parquet"]
    if path.exists():
        _check_digest(folder, split)
    left: pa.Table | None = None
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(size):
                rows = pa.Table.from_batches([batch])
                left = rows if left is None else pa.concat_tables([left, rows])
                documents = left["document_id"].to_numpy()
                ends = np.flatnonzero(documents[1:] != documents[:-1]) + 1
                if left.num_rows >= size and len(ends):
                    yield _split(left.slice(0, ends[-1]))
                    left = left.slice(ends[-1])
            yield _split(file.schema_arrow.empty_table() if left is None else left)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise unreadable(path, error) from None


def to_lists(column: pa.ChunkedArray) -> list[list[str]]:
    """Return lists of strings in which equal strings are one object, so that memory holds each word once."""
    whole = column.combine_chunks()
    words = whole.flatten().dictionary_encode()
    shared = np.array(words.dictionary.to_pylist(), dtype=object)[words.indices.to_numpy()]
    ends = np.cumsum(whole.value_lengths().to_numpy())
    return [part.tolist() for part in np.split(shared, ends[:-1])] if len(ends) else []


def labels(table: pa.Table) -> list[str]:
    """Return the label names that the ids in `ner_tags` stand for, from the metadata of the table itself."""
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    return features["ner_tags"]["feature"]["names"]


def to_tags(tag_ids: Sequence[Sequence[int]], names: Sequence[str]) -> list[list[str]]:
    """Return the tag names of ids, a list per sentence."""
    return [[names[index] for index in ids] for ids in tag_ids]


def _split(table: pa.Table) -> Split:
    documents, sentences, lines = (table[name].to_pylist() for name in ("document_id", "sentence_id", "line"))
    return Split(documents, sentences, lines, to_lists(table["tokens"]), table["ner_tags"].to_pylist())


def _check_digest(folder: Path, split: str) -> None:
    about = _about(folder, split)
    if sha256_file(folder / about["parquet"]) != about["sha256"]:
        raise NerError(f"{folder / about['parquet']} has another sha256 than {MANIFEST} says: {AGAIN}.")


def unreadable(path: Path, error: Exception | str) -> NerError:
    """Return the error about a file of the prepared corpus that is missing or broken."""
    if isinstance(error, FileNotFoundError):
        return NerError(f"{path} is missing: {AGAIN}.")
    return NerError(f"{path} cannot be read ({str(error).splitlines()[0]}): {AGAIN}.")


def _about(folder: Path, split: str) -> dict[str, Any]:
    manifest = read_manifest(folder)
    splits = manifest["splits"] | ({UNLABELLED: manifest[UNLABELLED]} if UNLABELLED in manifest else {})
    if split not in splits:
        raise NerError(f"{folder} has no split {split!r}; it has {', '.join(splits)}.")
    return splits[split]
