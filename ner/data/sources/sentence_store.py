"""Sentences on the disk, not in memory: written once, read as often as needed, a chunk at a time.

    rows = StoredRows.of(read_strict(Path("train.txt")), folder)
    for sentence in rows: ...                                    # any number of times
    joined = DerivedRows(lambda: chain(one, other), [one, other])

Small corpora never leave memory. A chunk on the disk is Arrow's IPC format in a file without a name, which goes with
the process, however that ends. Tags are numbers there, whose names grow with the reading: `tag_names`.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from ner.data.conll import Sentence

CHUNK_TOKENS = 200_000  # of which Python keeps some 20 MB
SCHEMA = pa.schema(
    [
        ("document_id", pa.int32()),
        ("line", pa.int32()),
        ("tokens", pa.list_(pa.string())),
        ("tags", pa.list_(pa.int32())),
        ("place", pa.string()),
    ]
)
COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")


class Rows:
    """Sentences in order that can be read again and again; `documents` is one above the last document_id."""

    documents: int = 0

    @property
    def tag_names(self) -> Sequence[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Sentence]:
        raise NotImplementedError


class StoredRows(Rows):
    """Sentences in the order in which they were added. entities: their number of B- tags."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder  # of the file; None: the system's for temporary ones
        self.count = self.entities = self.documents = 0
        self.tag_ids: dict[str, int] = {}
        self._chunk: list[Sentence] = []
        self._tokens = 0  # in the chunk
        self._file: IO[bytes] | None = None
        self._sizes: list[int] = []  # of the chunks in the file, in bytes

    @classmethod
    def of(cls, sentences: Iterable[Sentence], folder: Path | None = None) -> "StoredRows":
        rows = cls(folder)
        for sentence in sentences:
            rows.add(sentence)
        return rows

    def add(self, sentence: Sentence) -> None:
        self._chunk.append(sentence)
        self._tokens += len(sentence.tokens)
        self.count += 1
        self.documents = sentence.document_id + 1
        for tag in sentence.tags:
            if tag != "O":
                self.tag_ids.setdefault(tag, len(self.tag_ids))
                self.entities += tag.startswith("B-")
        if self._tokens + len(self._chunk) >= CHUNK_TOKENS:
            self._spill()

    @property
    def tag_names(self) -> list[str]:
        return list(self.tag_ids)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Sentence]:
        names = ["O", *self.tag_ids]
        place = 0
        for size in self._sizes:
            assert self._file is not None
            self._file.seek(place)
            batch = pa.ipc.open_stream(self._file.read(size)).read_next_batch()
            place += size
            yield from sentences_of(batch, names)
        yield from self._chunk

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder)
        ids = {"O": 0} | {tag: number for number, tag in enumerate(self.tag_ids, 1)}
        columns = [
            [row.document_id for row in self._chunk],
            [row.line for row in self._chunk],
            [row.tokens for row in self._chunk],
            [[ids[tag] for tag in row.tags] for row in self._chunk],
            [row.place for row in self._chunk],
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA, options=COMPRESSED) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=SCHEMA))
        self._file.seek(0, 2)
        self._sizes.append(self._file.write(sink.getvalue()))
        self._chunk, self._tokens = [], 0


class DerivedRows(Rows):
    """Sentences that `make` yields anew at each reading. sources: the rows that they are made of, sentence by
    sentence.
    """

    def __init__(self, make: Callable[[], Iterator[Sentence]], sources: Sequence[Rows], documents: int) -> None:
        self._make, self._sources, self.documents = make, sources, documents

    @property
    def tag_names(self) -> list[str]:
        return list(dict.fromkeys(tag for source in self._sources for tag in source.tag_names))

    def __len__(self) -> int:
        return sum(map(len, self._sources))

    def __iter__(self) -> Iterator[Sentence]:
        return self._make()


def sentences_of(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[Sentence]:
    """Yield the rows of a batch with the columns of SCHEMA. names: of the ids in `tags`."""
    documents, lines, places = (batch[name].to_pylist() for name in ("document_id", "line", "place"))
    tokens = lists(batch["tokens"])
    tags = lists(batch["tags"], np.array(names, dtype=object))
    for document, line, own, ids, place in zip(documents, lines, tokens, tags, places, strict=True):
        yield Sentence(document, own, ids, line, place)


def lists(column: pa.ListArray, names: np.ndarray | None = None) -> Iterator[list[str]]:
    """Yield the lists of a column without empty cells, ten times as fast as to_pylist. names: of its ids."""
    flat = column.flatten().to_numpy(zero_copy_only=False)
    values = (flat if names is None else names[flat]).tolist()
    ends = (column.offsets.to_numpy() - column.offsets[0].as_py()).tolist()
    for start, end in pairwise(ends):
        yield values[start:end]
