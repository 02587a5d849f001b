"""Records from files of any kind that holds them, one record at a time, whatever the size of the file.

for place, record in records(Path("export.jsonl")):     # ("line 1", {"text": …})

What is no JSON, parquet, Arrow or CSV (ner/data/formats/containers) becomes records of the same layout: of a text and
its spans, of tokens and their tags, or of tokens and the spans of them.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ner.data.formats.containers import markup
from ner.data.formats.containers.arrow_tables import is_parquet, table_records
from ner.data.formats.containers.csv_files import csv_records
from ner.data.formats.containers.json_stream import Record, json_records
from ner.data.formats.containers.pubtator import pubtator_records
from ner.data.formats.containers.python_literals import literal_records
from ner.data.formats.containers.token_lines import hipe_records, wikiner_records
from ner.data.formats.containers.webanno import webanno_records
from ner.data.formats.text_files import Progress, head, marked_encoding

JSON, PARQUET, ARROW, CSV, PYTHON, WEBANNO = "JSON", "parquet", "Arrow", "CSV", "Python", "WebAnno TSV"
START = 1 << 16  # bytes that are looked at
SURROGATE = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"
_WORD = r"\S*[^\s|]\|[^\s|]+\|(?:O|[BIES]-[^\s|]+)"
SIGNATURES = {  # how the text of a file begins, after white space
    WEBANNO: re.compile(r"#FORMAT=WebAnno TSV 3"),
    "PubTator": re.compile(r"[^\s|]+\|[ta]\|"),
    "HIPE TSV": re.compile(r"(?:#.*\n\s*)*TOKEN\tNE-.*\tMISC"),
    "WikiNER": re.compile(rf"{_WORD}(?:[ \t]+{_WORD})*[ \t]*(?:\n|$)"),
}
_IS_JSON = re.compile(r'[{"]|\[\s*(?:[\[{"\d-]|\]|$)|\[(?:null|true|false)\b')
_READERS: dict[str, Callable[[Path, str, Progress | None], Iterator[Record]]] = {
    JSON: json_records,
    PYTHON: literal_records,
    WEBANNO: webanno_records,
    "PubTator": pubtator_records,
    "HIPE TSV": hipe_records,
    "WikiNER": wikiner_records,
    **markup.READERS,
}
_WRAPPED = {
    "classes": "annotations",
    "rasa_nlu_data": "common_examples",
}  # an object of all records: a key of it, the list


def container(path: Path) -> str:
    """Return what kind of file records are in, by how it begins, and for CSV and Python by its name."""
    if is_parquet(path):
        return PARQUET
    if head(path, 6) == b"ARROW1" or path.suffix == ".arrow":
        return ARROW
    if path.suffix == ".py":
        return PYTHON
    start = head(path, START).decode(marked_encoding(path) or "utf-8", "replace").replace("\r\n", "\n")
    start = start.replace("\r", "\n").lstrip("\ufeff \t\n")
    for kind, signature in SIGNATURES.items():
        if signature.match(start):
            return kind
    if path.suffix.lower() in (".csv", ".tsv"):
        return CSV
    return JSON if _IS_JSON.match(start) else markup.kind_of(start) or JSON


def records(
    path: Path, encoding: str = "utf-8", separator: str | None = None, progress: Progress | None = None
) -> Iterator[Record]:
    """Yield the records of a file of any of these kinds. separator: between a CSV file's columns.

    A character that is half a surrogate pair, which JSON can write but no text holds, becomes U+FFFD. Raises
    CorpusError, with file and line or record, for what is not in the form that the file begins in.
    """
    kind = container(path)
    if kind == CSV:
        rows = csv_records(path, encoding, separator, progress)
    else:
        rows = _READERS[kind](path, encoding, progress) if kind in _READERS else table_records(path, progress)
    for place, record in rows:
        wrapped = _wrapped(record) if isinstance(record, dict) else None
        if wrapped is None:
            yield place, _whole(record)
        else:
            yield from ((f"annotation {n}", _whole(inner)) for n, inner in enumerate(wrapped, 1) if inner is not None)


def _wrapped(record: dict[str, Any]) -> list[Any] | None:
    """Return the records in an object that holds them all, as NER Annotator and Rasa write it; None for any other."""
    for mark, key in _WRAPPED.items():
        holder = record[mark] if isinstance(record.get(mark), dict) else record
        if mark in record and isinstance(holder.get(key), list):
            return holder[key]
    return None


def _whole(value: Any) -> Any:
    """Return the value with U+FFFD for each half of a surrogate pair."""
    if isinstance(value, str):
        return value if value.isascii() else SURROGATE.sub(REPLACEMENT, value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value
