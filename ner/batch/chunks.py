"""The rows of a batch, checked, and in chunks that come out the same each time that the same input is read.

for chunk in chunks(find_input("texts.jsonl"), Settings()):
    chunk.rows, chunk.rejected
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ner.batch.input import NOT_UTF8, Bad, Input, records, shown

CHUNK_CHARS = 50_000  # a chunk is closed when its texts are longer together, or has chunk_rows rows
TOKENS, ID = "tokens", "id"


@dataclass(frozen=True)
class Settings:
    """What decides which rows a run writes; a run that is continued must have the same."""

    text_column: str = "text"
    min_score: float = 0.0
    max_chars: int = 1_000_000  # of a text
    keep_text: bool = True
    keep_extra: bool = True  # the other columns of a row
    chunk_rows: int = 256  # read, bad ones included


class Row(NamedTuple):
    """A good row. input: a text, or its tokens; extra: its other columns as JSON, or None."""

    source: str
    row: int
    id: str
    input: str | list[str]
    extra: str | None

    @property
    def text(self) -> str:
        """Return the text that the offsets of its entities count in."""
        return self.input if isinstance(self.input, str) else " ".join(self.input)


class Rejected(NamedTuple):
    """A bad row, as it stands in the side file."""

    source: str
    row: int
    reason: str
    content: str


class Chunk(NamedTuple):
    """size: how many bytes of the input were read for it; digest: of all that its rows say."""

    number: int
    rows: list[Row]
    rejected: list[Rejected]
    size: int
    digest: str


class _Wrong(Exception):
    """A record that cannot become a row, with the reason."""


def chunks(source_files: Input, settings: Settings) -> Iterator[Chunk]:
    """Yield every row of the input, in order. Raises NerError where the file system fails."""
    rows: list[Row] = []
    rejected: list[Rejected] = []
    number = chars = before = begun = 0
    for source in source_files.sources:
        for line, record, position in records(source_files, source, settings.max_chars):
            row = to_row(source.name, line, record, settings)
            if isinstance(row, Row):
                rows.append(row)
                chars += len(row.text) + len(row.extra or "")
            else:
                rejected.append(row)
            if len(rows) + len(rejected) >= settings.chunk_rows or chars >= CHUNK_CHARS:
                yield Chunk(number, rows, rejected, before + position - begun, _digest(rows, rejected))
                rows, rejected, number, chars, begun = [], [], number + 1, 0, before + position
        before += source.size
    if rows or rejected:
        yield Chunk(number, rows, rejected, before - begun, _digest(rows, rejected))


def to_row(source: str, line: int, record: dict[str, Any] | Bad, settings: Settings) -> Row | Rejected:
    """Return the row of a record, or the reason why it is rejected. A text counts before tokens where it has both."""
    if isinstance(record, Bad):
        return Rejected(source, line, record.reason, record.content)
    try:
        name = settings.text_column if record.get(settings.text_column) is not None else TOKENS
        if record.get(name) is None:
            raise _Wrong(_missing(record, settings.text_column))
        value = _checked(name, record[name], settings.max_chars)
        key = _id(record.get(ID), f"{source}:{line}")
    except _Wrong as wrong:
        return Rejected(source, line, str(wrong), shown(record))
    extra = {column: cell for column, cell in record.items() if column not in (name, ID)}
    return Row(source, line, key, value, to_json(extra) if extra and settings.keep_extra else None)


def to_json(value: Any) -> str:
    """Return JSON in one line, in UTF-8 where possible; unknown types become strings, NaN becomes null."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, default=str)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(json.loads(text))
    return text


def _checked(name: str, value: Any, max_chars: int) -> str | list[str]:
    if name == TOKENS:
        if not isinstance(value, list) or not all(isinstance(token, str) and token.strip() for token in value):
            raise _Wrong(f"{name!r} is not a list of strings of which none is blank")
        length, joined = sum(map(len, value)), " ".join(value)
    elif isinstance(value, str):
        length, joined = len(value), value
    else:
        raise _Wrong(f"{name!r} is {_kind(value)}, not a string")
    if length > max_chars:
        raise _Wrong(f"{length:,} characters, over the limit of {max_chars:,} (--max-chars)")
    try:
        joined.encode("utf-8")
    except UnicodeEncodeError:
        raise _Wrong(f"{name!r} holds half of a surrogate pair, so it is {NOT_UTF8}") from None
    return value


def _missing(record: dict[str, Any], text_column: str) -> str:
    for name in (text_column, TOKENS):
        if name in record:
            return f"{name!r} is null"
    return f"no column {text_column!r} or {TOKENS!r}, only {', '.join(map(repr, record)) or 'none'}"[:300]


def _id(value: Any, otherwise: str) -> str:
    if value is None or value == "":
        return otherwise
    if not isinstance(value, str | int | float):
        raise _Wrong(f"{ID!r} is {_kind(value)}, not a string or a number")
    try:
        return str(value).encode("utf-8").decode()
    except UnicodeEncodeError:
        raise _Wrong(f"{ID!r} is {NOT_UTF8}") from None


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}.get(
        type(value), f"of type {type(value).__name__}"
    )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _digest(rows: list[Row], rejected: list[Rejected]) -> str:
    return hashlib.sha256(json.dumps([rows, rejected]).encode()).hexdigest()
