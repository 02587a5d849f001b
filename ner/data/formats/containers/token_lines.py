"""Records of tokens and tags from WikiNER's lines of `word|POS|tag` and from HIPE's TSV (2020 and 2022)."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from ner.data.formats.containers.json_stream import Record
from ner.data.formats.text_files import Progress, lines
from ner.errors import CorpusError

_DOCUMENT = re.compile(r"#\s*(?:\S+:)?document_id\s*=\s*(?P<name>.*\S)\s*")
_END = re.compile(r"EndOfSentence|PySBDSegment")  # as MISC says it in 2022, and in 2020
_SPACE = re.compile(r"[ \t]+")


def wikiner_records(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Record]:
    """Yield the sentence of each line. Raises CorpusError, with the line, for a word without two bars behind it."""
    for number, line in lines(path, encoding, progress):
        words = [word.rsplit("|", 2) for word in _SPACE.split(line.strip(" \t")) if word]
        if wrong := next((word for word in words if len(word) != 3), None):
            raise CorpusError(f"{path.name}, line {number}: {'|'.join(wrong)[:60]!r} is no word|POS|tag.")
        if words:
            yield (
                f"line {number}",
                dict(zip(("tokens", "pos", "ner_tags"), map(list, zip(*words, strict=True)), strict=True)),
            )


def hipe_records(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Record]:
    """Yield each sentence with all columns but MISC, which says where one ends; blank lines do, too.

    Raises CorpusError, with the line, for a row with another number of cells than the header has.
    """
    header: list[str] = []
    rows: list[list[str]] = []
    document, first = None, 0
    for number, line in chain(lines(path, encoding, progress), [(0, "")]):
        cells, misc = line.split("\t"), ""
        is_comment = line.startswith("#") and len(cells) == 1
        if line.strip() and not is_comment and not header:
            header = cells
            continue
        if line.strip() and not is_comment:
            if len(cells) != len(header):
                raise CorpusError(
                    f"{path.name}, line {number}: {len(cells)} cells in {line[:60]!r}, the header has {len(header)}."
                )
            first = first if rows else number
            rows.append(cells)
            misc = dict(zip(header, cells, strict=True)).get("MISC", "")
        named = _DOCUMENT.fullmatch(line) if is_comment else None
        if rows and (named or not line.strip() or _END.search(misc)):
            columns: dict[str, Any] = dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))
            columns.pop("MISC", None)
            yield f"line {first}", {"document_id": document, **columns}
            rows = []
        document = named["name"] if named else document
