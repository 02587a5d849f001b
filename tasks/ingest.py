"""Stage `ingest`: fetch the corpus that data.source names, check it, and write a parquet file for each split.

Run     python -m tasks.ingest        (DVC runs the same line)
Reads   catalog.yaml, params.yaml [data], local/
Writes  data/prepared/{train,validation,test}.parquet and manifest.json
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.cli import run_stage  # isort: skip  first: it switches telemetry off
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Features, List, Value

from ner.conll import DOCSTART, Sentence, parse_conll
from ner.corpus import SPLITS, content_fingerprint, entity_counts
from ner.errors import CorpusError
from ner.tags import label_names
from tasks.catalog import AnyCorpus, Corpus, HubCorpus, read_catalog
from tasks.io import read_params, replacing_folder, sha256_file, write_json
from tasks.parquet_corpus import read_parquet
from tasks.prepared import MANIFEST
from tasks.sources import fetch_corpus, scratch_beside

PREPARED = Path("data/prepared")


def ingest(source: str, prepared: Path) -> dict[str, Any]:
    """Fetch, check and write a corpus; returns the manifest. Raises CatalogError, SourceError or CorpusError."""
    names = read_catalog()
    with scratch_beside(prepared) as scratch:
        fetched = fetch_corpus(source, names, scratch)
        return ingest_files(
            fetched.files, prepared, source, entry=fetched.entry, origin=fetched.origin, revision=fetched.revision
        )


def ingest_files(
    files: dict[str, Any],
    folder: Path,
    source: str,
    *,
    entry: AnyCorpus | None = None,
    origin: str | None = None,
    revision: str | None = None,
) -> dict[str, Any]:
    """Write parquet and manifest of a corpus whose files are here; whole, or not at all.

    files: for each of SPLITS a path, or the paths of its shards, in CoNLL columns or (.parquet) the hub's form.
    entry: what is known about it; without one, document boundaries are those that the files mark themselves, and
    sentences without boundaries count as being in no order. Raises CorpusError for a file that cannot be read.
    """
    paths = {split: [files[split]] if isinstance(files[split], Path) else list(files[split]) for split in SPLITS}
    corpus = {split: _read(paths[split], entry) for split in SPLITS}
    has_documents = all(_marks_documents(p) for group in paths.values() for p in group)
    about = _about(entry, source, origin, revision, has_documents)
    corpus = {s: _with_documents(rows, about["document_boundaries"], about["in_order"]) for s, rows in corpus.items()}
    entities = {split: entity_counts(row.tags for row in rows) for split, rows in corpus.items()}
    labels = label_names(entity_type for counts in entities.values() for entity_type in counts)
    manifest = {
        **about,
        "fingerprint": content_fingerprint({s: ((r.tokens, r.tags) for r in rows) for s, rows in corpus.items()}),
        "labels": labels,
        "entity_types": sorted({label[2:] for label in labels if label != "O"}),
        "expected": _expected(entry),
        "splits": {},
    }
    with replacing_folder(folder) as temporary:
        for split, rows in corpus.items():
            pq.write_table(to_table(rows, labels), temporary / f"{split}.parquet", compression="zstd")
            manifest["splits"][split] = {
                "file": ", ".join(path.name for path in paths[split]),
                "source_sha256": _source_sha256(paths[split]),
                "documents": len({row.document_id for row in rows}),
                "sentences": len(rows),
                "tokens": sum(len(row.tokens) for row in rows),
                "entities": entities[split],
                "parquet": f"{split}.parquet",
                "sha256": sha256_file(temporary / f"{split}.parquet"),
            }
        write_json(temporary / MANIFEST, manifest)
    return manifest


def to_table(sentences: Sequence[Sentence], labels: list[str]) -> pa.Table:
    """A row a sentence; the schema says the label names, so that `Dataset.from_parquet` gives a ClassLabel."""
    features = Features(
        document_id=Value("int32"),
        sentence_id=Value("int32"),
        line=Value("int32"),
        tokens=List(Value("string")),
        ner_tags=List(ClassLabel(names=labels)),
    )
    ids = {label: index for index, label in enumerate(labels)}
    columns = {
        "document_id": [row.document_id for row in sentences],
        "sentence_id": list(range(len(sentences))),
        "line": [row.line for row in sentences],
        "tokens": [row.tokens for row in sentences],
        "ner_tags": [[ids[tag] for tag in row.tags] for row in sentences],
    }
    return pa.Table.from_pydict(columns, schema=features.arrow_schema)


def _read(paths: list[Path], entry: AnyCorpus | None) -> list[Sentence]:
    if all(path.suffix == ".parquet" for path in paths):
        columns = (entry.tokens_column, entry.tags_column, entry.labels) if isinstance(entry, HubCorpus) else ()
        sentences = read_parquet(paths, *columns)
    else:
        sentences = [row for path in paths for row in parse_conll(path.read_bytes(), path.name)]
    if not sentences:
        raise CorpusError(f"{', '.join(path.name for path in paths)} holds no sentence.")
    return sentences


def _marks_documents(path: Path) -> bool:
    return path.suffix != ".parquet" and bool(re.search(rb"^" + DOCSTART.encode(), path.read_bytes(), re.M))


def _with_documents(rows: list[Sentence], boundaries: bool, in_order: bool) -> list[Sentence]:
    """document_id as the file has it; without boundaries one document in all, or each sentence its own."""
    if boundaries:
        return rows
    return [row._replace(document_id=0 if in_order else index) for index, row in enumerate(rows)]


def _about(
    entry: AnyCorpus | None, source: str, origin: str | None, revision: str | None, has_documents: bool
) -> dict[str, Any]:
    known = entry if isinstance(entry, Corpus) else None
    if known and known.document_boundaries and not has_documents:
        raise CorpusError(
            f"{source}: catalog.yaml says document_boundaries: true, but not every file has {DOCSTART} lines."
        )
    return {
        "source": source,
        "kind": entry.kind if entry else "files",
        "origin": origin or source,
        "revision": revision,
        "license": known.license if known else "unknown",
        "description": known.description if known else source,
        "citation": known.citation if known else None,
        "url": known.url if known else None,
        "language": known.language if known else "unknown",
        "document_boundaries": known.document_boundaries if known else has_documents,
        "in_order": known.in_order if known else has_documents,
    }


def _expected(entry: AnyCorpus | None) -> dict[str, dict[str, int]] | None:
    splits = getattr(entry, "splits", {})
    expected = {s: about.expected.model_dump(exclude_none=True) for s, about in splits.items() if about.expected}
    return expected or None


def _source_sha256(paths: list[Path]) -> str:
    """Of the file; of shards, the sha256 over the hex sha256 of each, a line each."""
    digests = [sha256_file(path) for path in paths]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def summary(manifest: dict[str, Any]) -> str:
    """A line a split: how much of what."""
    types = manifest["entity_types"]
    head = f"{'split':<12}{'documents':>10}{'sentences':>10}{'tokens':>10}" + "".join(f"{t:>8}" for t in types)
    lines = [f"{manifest['source']} ({manifest['origin']}), content {manifest['fingerprint'][:12]}", head]
    for split, about in manifest["splits"].items():
        documents = f"{about['documents']:,}" if manifest["document_boundaries"] else "-"
        counts = "".join(f"{about['entities'].get(t, 0):>8,}" for t in types)
        lines.append(f"{split:<12}{documents:>10}{about['sentences']:>10,}{about['tokens']:>10,}{counts}")
    if not manifest["document_boundaries"]:
        order = (
            "in order: neighbours may share a window" if manifest["in_order"] else "in no known order: each is alone"
        )
        lines.append(f"no document boundaries; sentences count as being {order}")
    return "\n".join(lines)


def main() -> None:
    manifest = ingest(read_params().data.source, PREPARED)
    print(summary(manifest))


if __name__ == "__main__":
    run_stage("ingest", main)
