"""Writes a parquet file for each split of a corpus, the manifest, and the list of what was left out.

manifest = ingest("conll2003", Path("data/prepared"))        # any name that data.source takes
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ner.common.files import replacing_folder, sha256_file, write_json
from ner.common.tables import plain_table
from ner.data.conll import Sentence
from ner.data.fingerprint import SPLITS, Fingerprint
from ner.data.prepared import MANIFEST, PROBLEMS
from ner.data.sources.catalog import read_catalog
from ner.data.sources.catalog_entries import UNLABELLED
from ner.data.sources.corpora import scratch_beside
from ner.data.sources.join import load_source
from ner.data.sources.loading import LoadedCorpus
from ner.data.sources.manifest import account_of, reading_lines, write_problems
from ner.tags import label_names

ROW_GROUP, PIECE = 1 << 17, 1 << 13  # sentences of a row group, and of what is made of Python lists at a time


def ingest(source: str, prepared: Path) -> dict[str, Any]:
    """Fetch, check and write a corpus; returns the manifest. Raises CatalogError, SourceError or CorpusError."""
    names = read_catalog()
    with scratch_beside(prepared) as scratch:
        return write_corpus(load_source(source, names, scratch), prepared)


def write_corpus(corpus: LoadedCorpus, folder: Path) -> dict[str, Any]:
    """Write a corpus that was read, whole or not at all; returns the manifest."""
    tags = {tag for rows in corpus.rows.values() for tag in rows.tag_names}
    labels = label_names(tag[2:] for tag in tags if tag.startswith("B-"))
    fingerprint = Fingerprint()
    manifest = {
        **corpus.about,
        "fingerprint": "",
        "labels": labels,
        "entity_types": sorted({label[2:] for label in labels if label != "O"}),
        "expected": corpus.expected,
        "splits": {},
    }
    with replacing_folder(folder) as temporary:
        for split in SPLITS:
            fingerprint.begin(split)
            counts = Counts(fingerprint)
            written = _write(temporary, split, counts.over(corpus.rows[split]), labels)
            origin = corpus.origins[split]
            about = {"file": origin.file, "source_sha256": origin.sha256, **counts.sizes(), "entities": counts.types()}
            manifest["splits"][split] = about | written
        manifest["fingerprint"] = fingerprint.hexdigest()
        if corpus.unlabelled is not None and corpus.unlabelled_origin is not None:
            counts = Counts()
            written = _write(temporary, UNLABELLED, counts.over(corpus.unlabelled), labels)
            file, sha256 = corpus.unlabelled_origin
            manifest[UNLABELLED] = {"file": file, "source_sha256": sha256, **counts.sizes()} | written
        if corpus.extra or corpus.unlabelled is not None:
            manifest |= {**corpus.extra, "reading": {key: account_of(report) for key, report in corpus.reading.items()}}
            write_problems(temporary / PROBLEMS, corpus.reading)
        write_json(temporary / MANIFEST, manifest)
    return manifest


class Counts:
    """The manifest's counts of a split, and its fingerprint, updated with each sentence that is written."""

    def __init__(self, fingerprint: Fingerprint | None = None) -> None:
        self.fingerprint = fingerprint
        self.sentences = self.tokens = 0
        self.documents: set[int] = set()
        self.entities: Counter[str] = Counter()

    def over(self, rows: Iterable[Sentence]) -> Iterator[Sentence]:
        for row in rows:
            self.sentences += 1
            self.tokens += len(row.tokens)
            self.documents.add(row.document_id)
            self.entities.update(tag for tag in row.tags if tag.startswith("B-"))
            if self.fingerprint:
                self.fingerprint.add(row.tokens, row.tags)
            yield row

    def sizes(self) -> dict[str, int]:
        return {"documents": len(self.documents), "sentences": self.sentences, "tokens": self.tokens}

    def types(self) -> dict[str, int]:
        return {tag[2:]: count for tag, count in sorted(self.entities.items())}


def _write(folder: Path, name: str, rows: Iterable[Sentence], labels: list[str]) -> dict[str, str]:
    """Write parquet in row groups of ROW_GROUP sentences; less than one of them is in memory as Python lists."""
    path, rows = folder / f"{name}.parquet", iter(rows)
    start = list(islice(rows, 1))
    schema = schema_of(labels, has_places=any(row.place for row in start))
    rows = chain(start, rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        first = 0
        while (group := _table(rows, labels, first, schema)).num_rows or not first:
            writer.write_table(group, row_group_size=ROW_GROUP)
            first += group.num_rows
    return {"parquet": path.name, "sha256": sha256_file(path)}


def _table(rows: Iterator[Sentence], labels: list[str], first: int, schema: pa.Schema) -> pa.Table:
    """Return the next ROW_GROUP sentences, as a table without chunks."""
    parts: list[pa.Table] = []
    while sum(part.num_rows for part in parts) < ROW_GROUP and (piece := list(islice(rows, PIECE))):
        parts.append(to_table(piece, labels, first + len(parts) * PIECE, schema))
    return pa.concat_tables(parts).combine_chunks() if parts else schema.empty_table()


def to_table(
    sentences: Sequence[Sentence], labels: list[str], first: int = 0, schema: pa.Schema | None = None
) -> pa.Table:
    """Return a table with one row per sentence, numbered from `first`."""
    ids = {label: index for index, label in enumerate(labels)}
    columns = {
        "document_id": [row.document_id for row in sentences],
        "sentence_id": list(range(first, first + len(sentences))),
        "line": [row.line for row in sentences],
        "tokens": [row.tokens for row in sentences],
        "ner_tags": [[ids[tag] for tag in row.tags] for row in sentences],
        "place": [row.place for row in sentences],
    }
    schema = schema or schema_of(labels)
    return pa.Table.from_pydict({name: columns[name] for name in schema.names}, schema=schema)


def schema_of(labels: list[str], has_places: bool = False) -> pa.Schema:
    """Return the schema with the label names as `datasets` writes them, so that `Dataset.from_parquet` gives a
    ClassLabel.
    """
    columns = {name: {"dtype": "int32", "_type": "Value"} for name in ("document_id", "sentence_id", "line")}
    features = columns | {
        "tokens": {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"},
        "ner_tags": {"feature": {"names": labels, "_type": "ClassLabel"}, "_type": "List"},
    }
    lists = [("tokens", pa.list_(pa.string())), ("ner_tags", pa.list_(pa.int64()))]
    if has_places:  # where tokens have no lines of their own
        features["place"] = {"dtype": "string", "_type": "Value"}
        lists.append(("place", pa.string()))
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([*((name, pa.int32()) for name in columns), *lists], metadata=metadata)


def summary(manifest: dict[str, Any]) -> str:
    """Return the counts of each split, and what reading says of the corpus."""
    lines = [f"{manifest['source']} ({manifest['origin']}), content {manifest['fingerprint'][:12]}", sizes(manifest)]
    if not manifest["document_boundaries"]:
        order = (
            "in order: neighbours may share a window" if manifest["in_order"] else "in no known order: each is alone"
        )
        lines.append(f"no document boundaries; sentences count as being {order}")
    return "\n".join([*lines, *reading_lines(manifest)])


def sizes(manifest: dict[str, Any]) -> str:
    """Return a table of the counts of each split."""
    rows = [["", "documents", "sentences", "tokens", "entities"]]
    for split, about in manifest["splits"].items():
        documents = f"{about['documents']:,}" if manifest["document_boundaries"] else "-"
        counts = (about["sentences"], about["tokens"], sum(about["entities"].values()))
        rows.append([split, documents, *(f"{count:,}" for count in counts)])
    return plain_table(rows)
