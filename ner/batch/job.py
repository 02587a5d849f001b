"""A batch on its way: parts beside the output, each whole or not there, and the output made of them at the end.

with only_run(output):                            # one run at a time on an output
    work = open_work(output, manifest)            # out.parquet.parts, new or of a run that was stopped
    work.write_part(chunk, entities)              # as they come, in any order
    summary = work.finish(rows, facts)            # out.parquet, its summary.json and rejected.jsonl

Every file is written under another name and renamed. A part has the digest of its chunk, so that it is never taken for
the part of another one.
"""

import json
import shutil
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ner.batch.chunks import Chunk, Settings
from ner.batch.output import write_output
from ner.common.files import read_json, replacing_file, write_json, write_text
from ner.common.lock import lock_file
from ner.common.provenance import utc_now
from ner.errors import NerError

ENTITY = pa.struct(
    {
        "type": pa.string(),
        "start": pa.int64(),
        "end": pa.int64(),
        "text": pa.string(),
        "score": pa.float64(),
        "token_start": pa.int64(),  # these two only where the row has tokens
        "token_end": pa.int64(),
    }
)
SCHEMA = pa.schema(
    {
        "id": pa.string(),
        "source": pa.string(),
        "row": pa.int64(),
        "text": pa.string(),
        "entities": pa.list_(ENTITY),
        "model": pa.string(),
        "model_version": pa.string(),
        "extra": pa.string(),
    }
)
ABOUT = b"ner"  # key in the metadata of every parquet file


@dataclass(frozen=True)
class Work:
    """The folder of a run. manifest: its id, its input, its model, its settings."""

    output: Path
    manifest: dict[str, Any]

    @property
    def folder(self) -> Path:
        return beside(self.output, ".parts")

    @property
    def settings(self) -> Settings:
        return Settings(**self.manifest["settings"])

    def parts(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.parquet"))

    def part(self, number: int) -> Path:
        return self.folder / f"{number:08}.parquet"

    def has_part(self, chunk: Chunk) -> bool:
        """Return whether a chunk is done. Raises NerError where its part is of other rows."""
        try:
            about = json.loads((pq.read_schema(self.part(chunk.number)).metadata or {})[ABOUT])
        except (FileNotFoundError, pa.ArrowInvalid, KeyError, ValueError):
            return False
        if about["digest"] != chunk.digest:
            raise NerError(f"the input has other rows than when {self.folder} was begun: throw it away with --fresh.")
        return True

    def write_part(self, chunk: Chunk, entities: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Write the rows of a chunk with their entities, after its rejected rows: a part that is there has both."""
        if chunk.rejected:
            rejected = (json.dumps(row._asdict(), ensure_ascii=False) + "\n" for row in chunk.rejected)
            write_text(self.part(chunk.number).with_suffix(".rejected"), "".join(rejected))
        model = self.manifest["model"]
        rows = [
            {
                **row._asdict(),
                "text": row.text,
                "entities": row_entities,
                "model": model["name"],
                "model_version": model["version"],
            }
            for row, row_entities in zip(chunk.rows, entities, strict=True)
        ]
        about = json.dumps({"digest": chunk.digest, "rejected": len(chunk.rejected)})
        table = pa.Table.from_pylist(rows, schema=columns(self.settings).with_metadata({ABOUT: about}))
        with replacing_file(self.part(chunk.number)) as temporary:
            pq.write_table(table, temporary)

    def write_observed(self, chunk: Chunk, lines: Iterable[str]) -> None:
        """Write what monitoring keeps of a chunk, before its part: a part that is there has it."""
        write_text(self.part(chunk.number).with_suffix(".observed"), "".join(lines))

    def observed(self) -> list[str]:
        """Return what monitoring keeps of all chunks, in order."""
        texts = (path.read_text(encoding="utf-8") for path in sorted(self.folder.glob("[0-9]*.observed")))
        return [line for text in texts for line in text.splitlines(keepends=True)]

    def rejected(self) -> Iterator[str]:
        """Yield the lines of the side file, in the order of the input."""
        for path in sorted(self.folder.glob("[0-9]*.rejected")):
            with path.open(encoding="utf-8") as lines:
                yield from lines

    def tables(self) -> Iterator[pa.Table]:
        """Return the parts in order."""
        return map(pq.read_table, self.parts())

    def write_rejected(self) -> int:
        """Bring the side file up to date: there where a row was rejected. Returns how many were."""
        path, number = beside(self.output, ".rejected.jsonl"), 0
        with replacing_file(path) as temporary:
            with temporary.open("w", encoding="utf-8") as file:
                for line in self.rejected():
                    file.write(line)
                    number += 1
        if not number:
            path.unlink()
        return number

    def finish(self, rows: int, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Make the output of the parts, write the summary with `facts`, remove the parts; returns the summary.

        rows: how many were read. Raises NerError, and writes no output, where every row was rejected.
        """
        rejected = self.write_rejected()
        done = sum(pq.read_metadata(path).num_rows for path in self.parts())
        if rows != done + rejected:
            raise AssertionError(f"{rows} rows were read, {done} are done and {rejected} rejected")
        if rejected and not done:
            first = json.loads(next(self.rejected()))
            self.discard()
            raise NerError(
                f"no row of the input can be read, so there is no output; the first, {first['source']} row "
                f"{first['row']}: {first['reason']}. All are in {beside(self.output, '.rejected.jsonl')}."
            )
        about = {key: self.manifest[key] for key in ("model", "settings", "code", "run")}
        types: Counter[str] = Counter()
        schema = columns(self.settings).with_metadata({ABOUT: json.dumps(about)})
        write_output(self.output, self.folder, schema, counted(self.tables(), types))
        summary = {
            "output": self.output.name,
            "rows": rows,
            "done": done,
            "rejected": rejected,
            "entities": dict(sorted(types.items())),
            **about,
            "continued": self.manifest["continued"],
            "finished": utc_now(),
            **facts,
        }
        write_json(beside(self.output, ".summary.json"), summary)
        self.discard()
        return summary

    def discard(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def columns(settings: Settings) -> pa.Schema:
    """Return the columns of the output."""
    left_out = {"text": not settings.keep_text, "extra": not settings.keep_extra}
    return pa.schema([field for field in SCHEMA if not left_out.get(field.name)])


def counted(tables: Iterator[pa.Table], types: Counter[str]) -> Iterator[pa.Table]:
    """Yield the tables unchanged while counting their entities by type."""
    for table in tables:
        names = pc.struct_field(pc.list_flatten(table["entities"]), "type")
        types.update({each["values"].as_py(): each["counts"].as_py() for each in pc.value_counts(names)})
        yield table


@contextmanager
def only_run(output: Path) -> Iterator[None]:
    """Hold the lock of a run. Raises BusyError where another run works on this output."""
    path = output.parent / f".{output.name}.lock"
    with lock_file(path, f"another run is at work on {output}: wait until it ends, or name another output."):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)  # filelock sees where a lock that it waited for is gone


def stopped_run(output: Path) -> Work | None:
    """Return the run that was stopped before it made this output, or None."""
    manifest = beside(output, ".parts") / "manifest.json"
    return Work(output, read_json(manifest)) if manifest.exists() else None


def begin(
    output: Path, files: Sequence[Sequence[Any]], model: Mapping[str, str], settings: Mapping[str, Any], code: str
) -> Work:
    """Return a new run; removes what an earlier run left there."""
    manifest = {
        "run": uuid.uuid4().hex,
        "begun": utc_now(),
        "continued": 0,
        "model": dict(model),
        "settings": dict(settings),
        "code": code,
        "files": [list(file) for file in files],
    }
    work = Work(output, manifest)
    work.discard()
    write_json(work.folder / "manifest.json", manifest)
    return work


def go_on(work: Work) -> Work:
    """Return the stopped run, counted as continued once more; half-written files are removed."""
    manifest = work.manifest | {"continued": work.manifest["continued"] + 1}
    for path in work.folder.glob(".*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_json(work.folder / "manifest.json", manifest)
    return Work(work.output, manifest)


def beside(output: Path, ending: str) -> Path:
    """Return the folder or file beside the output: `out.parquet.parts` for out.parquet and .parts."""
    return output.with_name(output.name + ending)
