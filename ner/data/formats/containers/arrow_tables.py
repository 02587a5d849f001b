"""Records from parquet and Arrow files, and the names of tag ids in their schema."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ner.data.formats.containers.json_stream import Record
from ner.data.formats.text_files import Progress, head
from ner.errors import CorpusError

ROWS = 1_000  # of a parquet file read at once


def is_parquet(path: Path) -> bool:
    """Whether a file is parquet, by its first bytes or its name."""
    return head(path, 4) == b"PAR1" or path.suffix == ".parquet"


def table_records(path: Path, progress: Progress | None = None) -> Iterator[Record]:
    """Yield the rows of a parquet or Arrow file."""
    import pyarrow as pa

    count, size = 0, path.stat().st_size
    try:
        rows = _row_count(path)
        for batch in _batches(path):
            batch.validate(full=True)  # of a damaged file Arrow would otherwise read past its memory
            for record in batch.to_pylist():
                count += 1
                yield f"row {count}", record
            if progress and rows:
                progress(size * count // rows, size)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise CorpusError(
            f"{path.name} is no readable {'parquet' if is_parquet(path) else 'Arrow'} file ({reason[:200]})."
        ) from None


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if is_parquet(path):
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(ROWS)
        return
    with pa.OSFile(str(path)) as source:
        is_file = head(path, 6) == b"ARROW1"
        reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        if is_file:
            yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            yield from reader


def _row_count(path: Path) -> int:
    import pyarrow.parquet as pq

    return pq.read_metadata(path).num_rows if is_parquet(path) else 0


def label_names(path: Path, field: str) -> tuple[str, ...] | None:
    """Return the names of the ids in a list column, as `datasets` writes them into the schema; None where it has
    none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if is_parquet(path):
            metadata = pq.read_schema(path).metadata
        else:
            metadata = next(_batches(path)).schema.metadata
        info = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    except (pa.ArrowException, OSError, ValueError, RecursionError, StopIteration):
        return None
    names = names_in(info.get("info", {}).get("features", {}).get(field)) if isinstance(info, dict) else None
    return tuple(map(str, names)) if names else None


def names_in(feature: Any) -> list[str] | None:
    """Return the names of a ClassLabel in a list, in the spelling of any version of datasets."""
    if isinstance(feature, list):
        return names_in(feature[0]) if feature else None
    if isinstance(feature, dict):
        names = feature.get("names")
        return names if isinstance(names, list) else names_in(feature.get("feature"))
    return None
