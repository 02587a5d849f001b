"""The output of a batch: one parquet file, one JSON-lines file or a folder of parquet files, whole or not there.

write_output(Path("out.jsonl"), Path("out.jsonl.parts"), schema, tables)
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ner.errors import NerError

GROUP_BYTES, GROUP_ROWS = 8 << 20, 16_384  # of a row group: what is in memory at a time
FILE_ROWS = 131_072  # of a file in a folder
PARTS = "part-*.parquet"


def check_output(output: Path, overwrite: bool) -> None:
    """Raise NerError for a name that says no format, and for what is there already unless it may be overwritten."""
    if output.suffix not in FORMATS:
        raise NerError(
            f"{output} ends in {output.suffix}: name it *.parquet or *.jsonl, or without an ending for a folder of "
            "parquet files."
        )
    if not output.exists():
        return
    if output.is_dir() != (output.suffix == "") or (
        output.is_dir() and any(not path.match(PARTS) for path in output.iterdir())
    ):
        raise NerError(f"{output} is there and was not written by a batch: name another output.")
    if not overwrite and not (output.is_dir() and not any(output.iterdir())):
        raise NerError(f"{output} is there already: name another output, or replace it with --overwrite.")


def write_output(output: Path, scratch: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Write the tables below `scratch`, then rename that to `output`."""
    made = scratch / f".output{output.suffix}"
    FORMATS[output.suffix](made, schema, tables)
    if output.is_dir():
        shutil.rmtree(output)
    made.replace(output)


def write_parquet(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Write one file, in row groups of about GROUP_ROWS rows."""
    with pq.ParquetWriter(path, schema) as writer:
        for group in groups(tables):
            writer.write_table(group.cast(schema))


def write_folder(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Write a folder of files of about FILE_ROWS rows each; one empty file where there are no rows."""
    path.mkdir()
    rows, number, writer = 0, 0, None
    try:
        for group in groups(tables):
            if writer is None or rows >= number * FILE_ROWS:
                if writer:
                    writer.close()
                writer, number = pq.ParquetWriter(path / f"part-{number:05}.parquet", schema), number + 1
            writer.write_table(group.cast(schema))
            rows += len(group)
    finally:
        if writer:
            writer.close()
    if not number:
        pq.write_table(schema.empty_table(), path / "part-00000.parquet")


def write_jsonl(path: Path, schema: pa.Schema, tables: Iterator[pa.Table]) -> None:
    """Write an object a line; `extra` is an object too, and an entity has no null."""
    with path.open("w", encoding="utf-8") as file:
        for table in tables:
            for row in table.to_pylist():
                file.write(json.dumps(_plain(row), ensure_ascii=False) + "\n")


def groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield the rows in fewer, larger tables."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table.replace_schema_metadata())
        if sum(part.nbytes for part in held) >= GROUP_BYTES or sum(map(len, held)) >= GROUP_ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    row["entities"] = [{key: cell for key, cell in entity.items() if cell is not None} for entity in row["entities"]]
    if "extra" in row:
        row["extra"] = json.loads(row["extra"]) if row["extra"] else {}
    return row


FORMATS: dict[str, Callable[[Path, pa.Schema, Iterator[pa.Table]], None]] = {
    ".parquet": write_parquet,
    ".jsonl": write_jsonl,
    "": write_folder,
}
