"""A subset of the documents of the prepared corpus, drawn or the first ones, for faster search and benchmarks."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ner.common.files import replacing_folder, sha256_file, write_json
from ner.data.entities import unit_numbers
from ner.data.prepared import MANIFEST, read_manifest, read_sentences, read_split
from ner.errors import ParamsError
from ner.params import Params, SweepParams


def part_of(prepared: Path, folder: Path, sweep: SweepParams) -> Path:
    """Return a folder like data/prepared with the documents that `sweep` asks for, `prepared` itself for all of them.

    Raises ParamsError for more documents than there are.
    """
    wanted = {"train": sweep.train_documents, "validation": sweep.validation_documents}
    if not any(wanted.values()):
        return prepared
    manifest = read_manifest(prepared)
    tables = {
        split: _drawn(read_sentences(prepared, split), number, f"params.yaml, sweep.{split}_documents", sweep.seed)
        for split, number in wanted.items()
    }
    return write_part(folder, manifest, tables, [sweep.seed, wanted])


def first_of(prepared: Path, folder: Path, wanted: Mapping[str, int]) -> Path:
    """Return a folder like data/prepared with the first documents of each split, or sentences where no document is
    known.

    wanted: how many; 0: all of the split.
    """
    tables = {}
    for split, count in wanted.items():
        tables[split] = table = read_sentences(prepared, split)
        if count:
            units, _ = unit_numbers(table["document_id"].to_pylist())
            tables[split] = table.filter(pa.array(units < count))
    return write_part(folder, read_manifest(prepared), tables, ["first", dict(wanted)])


def with_documents(prepared: Path, folder: Path, documents: np.ndarray) -> Path:
    """Return a folder like data/prepared whose training split has the documents of these numbers alone
    (ner.data.entities.unit_numbers).
    """
    tables = {split: read_sentences(prepared, split) for split in ("train", "validation")}
    units, _ = unit_numbers(tables["train"]["document_id"].to_pylist())
    tables["train"] = tables["train"].filter(pa.array(np.isin(units, documents)))
    return write_part(folder, read_manifest(prepared), tables, ["documents", sorted(documents.tolist())])


def write_part(folder: Path, manifest: Mapping[str, Any], tables: Mapping[str, pa.Table], what: list[Any]) -> Path:
    """Write a folder like data/prepared with `tables` as its splits. what: tells it from other parts of the corpus."""
    with replacing_folder(folder) as temporary:
        for split, table in tables.items():
            pq.write_table(table, temporary / f"{split}.parquet")
        splits = {split: _about(temporary, split, table) for split, table in tables.items()}
        known = json.dumps([manifest["fingerprint"], *what])
        fingerprint = hashlib.sha256(known.encode()).hexdigest()
        write_json(temporary / MANIFEST, {**manifest, "fingerprint": fingerprint, "splits": splits})
    return folder


def part_by_words(prepared: Path, folder: Path, words: Mapping[str, int], params: Params, seed: int) -> Path:
    """Return a folder like data/prepared. words: about how many of train and of validation; a split that is not named
    stays whole.

    Gives `prepared` itself where all is wanted.
    """
    wanted = {}
    for split, most in words.items():
        documents = int(unit_numbers(read_split(prepared, split).document_ids)[0].max(initial=0)) + 1
        share = most / read_manifest(prepared)["splits"][split]["tokens"]
        wanted[f"{split}_documents"] = max(1, min(documents, round(documents * share)))
    nothing = {"train_documents": None, "validation_documents": None}
    return part_of(prepared, folder, params.sweep.model_copy(update={**nothing, **wanted, "seed": seed}))


def _drawn(table: pa.Table, documents: int | None, key: str, seed: int) -> pa.Table:
    if documents is None:
        return table
    units, name = unit_numbers(table["document_id"].to_pylist())
    there = int(units.max(initial=-1)) + 1
    if documents > there:
        split = key.rpartition(".")[2].removesuffix("_documents")
        raise ParamsError(
            f"{key}: {documents} is more than the {there} {name}s of {split}; write null for all of them."
        )
    drawn = np.random.default_rng(seed).choice(there, documents, replace=False)
    return table.filter(pa.array(np.isin(units, drawn)))


def _about(folder: Path, split: str, table: pa.Table) -> dict[str, Any]:
    return {
        "documents": len(set(table["document_id"].to_pylist())),
        "sentences": len(table),
        "tokens": sum(map(len, table["tokens"].to_pylist())),
        "parquet": f"{split}.parquet",
        "sha256": sha256_file(folder / f"{split}.parquet"),
    }
