"""Lines of column files: their columns, what opens a document, and the cells of CoNLL-U."""

import re
from collections.abc import Callable, Sequence
from itertools import islice
from operator import methodcaller
from pathlib import Path
from typing import NamedTuple

from ner.data.conll import DOCSTART
from ner.data.formats.format import BLANKS, SEPARATORS
from ner.data.formats.text_files import lines

NEWDOC_MARK = "# newdoc"
NEWDOC = re.compile(r"#\s*newdoc\b\s*(?:id\s*=)?\s*(?P<name>.*)")
_RUN = re.compile(r"[ \t]+")


class Row(NamedTuple):
    """One token line: its number in the file, the token, its tag as it is written."""

    line: int
    token: str
    tag: str


class Start(NamedTuple):
    """The start of a document: what the line begins with, and the name that it gives, empty if none."""

    mark: str
    name: str


def row_place(path: Path, rows: Sequence[Row], index: int) -> str:
    """Where the token with that index stands, for messages."""
    return f"{path.name}, line {rows[index].line}"


def splitter(separator: str) -> Callable[[str], list[str]]:
    """Return a function that splits a line into its columns."""
    if separator == BLANKS:
        return lambda line: _RUN.split(line.strip(" \t"))
    return methodcaller("split", SEPARATORS[separator])


def is_blank(line: str) -> bool:
    """Whether a line ends a sentence: nothing but spaces and tabs."""
    return not line.strip(" \t\r")


def document_start(line: str) -> str | None:
    """Return the name that a document line gives ("" for none), None for any other line."""
    if line.startswith(DOCSTART):
        fields = re.split(r"[ \t]+", line.removeprefix(DOCSTART).strip())
        return " ".join(field for field in fields if field not in ("", "O", "_", "-", "-X-")).strip("()")
    match = NEWDOC.fullmatch(line)
    return match["name"] if match else None


def misc_value(cell: str, key: str) -> str | None:
    """Return the value of a key in CoNLL-U's `Key=Value|Key=Value`, None where the key is missing."""
    for pair in cell.split("|"):
        name, equals, value = pair.partition("=")
        if equals and name == key:
            return value
    return None


def first_rows(path: Path, encoding: str, count: int) -> list[tuple[int, str]]:
    """Return the first lines of a file that are neither blank nor a document line."""
    wanted = (
        (number, line) for number, line in lines(path, encoding) if not is_blank(line) and document_start(line) is None
    )
    return list(islice(wanted, count))
