"""Rows of CSV files, and records from them."""

import ast
import csv
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ner.data.formats.containers.json_stream import Record
from ner.data.formats.format import SEPARATORS, TAB
from ner.data.formats.schemes import PREFIXED
from ner.data.formats.text_files import LONGEST_LINE, Progress, first_lines, lines
from ner.errors import CorpusError


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
