"""A part of the prepared corpus, to search on faster: some documents of train and of validation, drawn by a seed."""

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ner.entities import unit_numbers
from ner.errors import ParamsError
from tasks.io import replacing_folder, sha256_file, write_json
from tasks.prepared import MANIFEST, read_manifest, read_sentences


class Part(Protocol):
    """What SweepParams and the baseline of experiments.yaml say of the documents: how many, and how they are drawn."""

    @property
    def train_documents(self) -> int | None: ...
    @property
    def validation_documents(self) -> int | None: ...
    @property
    def seed(self) -> int: ...


def part_of(prepared: Path, folder: Path, sweep: Part, where: str = "params.yaml, sweep") -> Path:
    """A folder like data/prepared with the documents that `sweep` asks for; `prepared` itself where it asks for all.

    Raises ParamsError, which names the block `where`, for more documents than there are.
    """
    wanted = {"train": sweep.train_documents, "validation": sweep.validation_documents}
    if not any(wanted.values()):
        return prepared
    manifest = read_manifest(prepared)
    tables = {
        split: _drawn(read_sentences(prepared, split), number, f"{where}.{split}_documents", sweep.seed)
        for split, number in wanted.items()
    }
    with replacing_folder(folder) as temporary:
        for split, table in tables.items():
            pq.write_table(table, temporary / f"{split}.parquet")
        splits = {split: _about(temporary, split, table) for split, table in tables.items()}
        known = json.dumps([manifest["fingerprint"], sweep.seed, wanted])
        fingerprint = hashlib.sha256(known.encode()).hexdigest()
        write_json(temporary / MANIFEST, manifest | {"fingerprint": fingerprint, "splits": splits})
    return folder


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
