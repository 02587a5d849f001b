"""Records from JSON lines, a JSON array, parquet, Arrow and CSV, one record at a time, whatever the size of the file.

for place, record in records(Path("export.jsonl")):     # ("line 1", {"text": …})
"""

import ast
import csv
import json
import re
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ner.data.formats.format import SEPARATORS, TAB
from ner.data.formats.schemes import PREFIXED
from ner.data.formats.text_files import LONGEST_LINE, Progress, first_lines, head, lines, pieces
from ner.errors import CorpusError

JSON, PARQUET, ARROW, CSV = "JSON", "parquet", "Arrow", "CSV"
ROWS = 1_000  # of a parquet file read at once
SURROGATE = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()

Record = tuple[str, Any]  # its place, and what stands there


def container(path: Path) -> str:
    """Return what kind of file records are in, by its first bytes, and for CSV by its name."""
    start = head(path, 64)
    if start.startswith(b"PAR1") or path.suffix == ".parquet":
        return PARQUET
    if start.startswith(b"ARROW1") or path.suffix == ".arrow":
        return ARROW
    return CSV if path.suffix.lower() in (".csv", ".tsv") else JSON


def records(
    path: Path, encoding: str = "utf-8", separator: str | None = None, progress: Progress | None = None
) -> Iterator[Record]:
    """Yield the records of a file of any of these kinds. separator: between a CSV file's columns.

    A character that is half a surrogate pair, which JSON can write but no text holds, becomes U+FFFD. Raises
    CorpusError, with file and line or record, for what is not in the form that the file begins in.
    """
    kind = container(path)
    if kind == JSON:
        rows = json_records(path, encoding, progress)
    elif kind == CSV:
        rows = csv_records(path, encoding, separator, progress)
    else:
        rows = table_records(path, progress)
    for place, record in rows:
        if isinstance(record, dict) and "classes" in record and isinstance(record.get("annotations"), list):
            for number, inner in enumerate(record["annotations"], 1):  # NER Annotator writes one object of all
                if inner is not None:
                    yield f"annotation {number}", _whole(inner)
        else:
            yield place, _whole(record)


def _whole(value: Any) -> Any:
    """Return the value with U+FFFD for each half of a surrogate pair."""
    if isinstance(value, str):
        return value if value.isascii() else SURROGATE.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value


def json_records(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Record]:
    """Yield the records of JSON lines, of one JSON array, or of objects one after another, each over many lines."""
    start = list(islice(first_lines(path, encoding), 2))
    if start and _is_one_value(start):
        yield from _members(path, encoding, progress)
    else:
        for number, line in lines(path, encoding, progress):
            if line.strip(" \t\r"):
                yield f"line {number}", _parse(line, f"{path.name}, line {number}")


def _is_one_value(start: list[str]) -> bool:
    """Whether a file is an array, or objects over many lines, and not a record a line."""
    first = start[0].lstrip()[0]
    if first == "[":
        return len(start) == 1 or not (_is_json(start[0]) and _is_json(start[1]))
    return first == "{" and len(start) > 1 and not _is_json(start[0])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise CorpusError(f"{where}: nested too deep to be annotated text.") from None
    except ValueError as error:
        raise CorpusError(f"{where}: no valid JSON ({error}): {text[:60]!r}.") from None


def _members(path: Path, encoding: str, progress: Progress | None) -> Iterator[Record]:
    """Yield the members of an array, or values one after another, from text that is never held whole."""
    stream = _Stream(path, encoding, progress)
    in_array = stream.take("[")
    count = 0
    while True:
        character = stream.peek()
        if in_array and character == "]":
            stream.take("]")
            if stream.peek():
                raise CorpusError(f"{stream.where()}: text after the end of the array.")
            return
        if not character:
            if in_array:
                raise CorpusError(f"{stream.where()}: the file ends inside its array: it is cut short, get it again.")
            return
        if in_array and count and not stream.take(","):
            raise CorpusError(f"{stream.where()}: {character!r} where a comma or the end of the array should be.")
        count += 1
        stream.peek()
        place = f"record {count} (line {stream.line})"
        yield place, stream.value()


class _Stream:
    """A text with a position in it, of which only the part ahead is in memory."""

    def __init__(self, path: Path, encoding: str, progress: Progress | None) -> None:
        self.name, self.more = path.name, pieces(path, encoding, progress)
        self.text, self.at, self.line, self.ended = "", 0, 1, False

    def where(self) -> str:
        return f"{self.name}, line {self.line}"

    def peek(self) -> str:
        """Return the next character that is not white space, "" at the end."""
        while True:
            space = _SPACE.match(self.text, self.at)
            end = space.end() if space else self.at
            self._move(end)
            if end < len(self.text):
                return self.text[end]
            if not self._grow():
                return ""

    def take(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def value(self) -> Any:
        """Return the next JSON value."""
        wanted = 1
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                if end < len(self.text) or self.ended:  # a number may go on in the next piece
                    self._move(end)
                    return value
            except RecursionError:
                raise CorpusError(f"{self.where()}: nested too deep to be annotated text.") from None
            except ValueError as error:
                if self.ended or len(self.text) - self.at > LONGEST_LINE:
                    raise CorpusError(f"{self.where()}: no valid JSON from here on ({error}).") from None
            for _ in range(wanted):  # twice as much each time, or a long record is parsed over and over
                self.ended = self.ended or not self._grow()
            wanted *= 2

    def _move(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _grow(self) -> bool:
        piece = next(self.more, None)
        if piece is None:
            self.ended = True
            return False
        self.text, self.at = self.text[self.at :] + piece, 0
        return True


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
        raise CorpusError(f"{path.name} is no readable {container(path)} file ({reason[:200]}).") from None


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if container(path) == PARQUET:
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

    return pq.read_metadata(path).num_rows if container(path) == PARQUET else 0


def label_names(path: Path, field: str) -> tuple[str, ...] | None:
    """Return the names of the ids in a list column, as `datasets` writes them into the schema; None where it has
    none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if container(path) == PARQUET:
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


def csv_records(
    path: Path, encoding: str = "utf-8", separator: str | None = None, progress: Progress | None = None
) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header; cells that hold a JSON list or object are parsed."""
    for number, row in csv_rows(path, encoding, separator or csv_separator(path, encoding), progress):
        yield f"line {number}", {key: _cell(value) for key, value in row.items()}


def csv_rows(
    path: Path, encoding: str, separator: str, progress: Progress | None = None, quotes: bool = True
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the cells by column name of every row; an empty line is a row of empty cells. Where the
    first row has a tag there is no header, and the columns are called 1, 2 and so on.

    Raises CorpusError for a row with another number of cells than the header has.
    """
    csv.field_size_limit(LONGEST_LINE)
    text = (line + "\n" for _, line in lines(path, encoding, progress))
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(text, delimiter=SEPARATORS[separator], strict=True, quoting=quoting)
    header: list[str] | None = None
    start = 0
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise CorpusError(
                f"{path.name}, line {start}: no valid CSV ({error}). Say quotes: false if a quotation mark is a token."
            ) from None
        if cells is None:
            return
        if header is None and not any(cell.strip() for cell in cells):
            continue
        if header is None:
            is_data = any(cell == "O" or PREFIXED.fullmatch(cell) for cell in cells)
            header = [str(n + 1) for n in range(len(cells))] if is_data else [cell.strip() for cell in cells]
            if len(set(header)) < len(header):
                raise CorpusError(f"{path.name}, line 1: two columns have one name ({', '.join(header)[:200]}).")
            if not is_data:
                continue
        if cells and len(cells) != len(header):
            raise CorpusError(
                f"{path.name}, line {start}: {len(cells)} cells, but the header has {len(header)} "
                f"({', '.join(header)[:200]}). A cell with the separator or a quote in it needs quotes around it."
            )
        yield start, dict(zip(header, cells or [""] * len(header), strict=True))


def csv_separator(path: Path, encoding: str = "utf-8") -> str:
    """Return what separates the columns: of the possible separators the most frequent in the header."""
    first = next(first_lines(path, encoding), "")
    counts = {name: first.count(mark) for name, mark in SEPARATORS.items() if name != "space"}
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else TAB


def _cell(value: str) -> Any:
    """Return a list or an object where the cell holds one, as JSON or as Python writes it."""
    if value[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes that Python does not know
            parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value
    return parsed if isinstance(parsed, list | dict) else value
