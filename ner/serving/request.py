"""What a caller may send to /invocations: MLflow's forms of JSON, or CSV, each read to a list of texts or token lists.

asked = read(b'{"inputs": {"text": ["Marta lives in Oslo."]}}', "application/json", inputs=("text", "tokens"))

MLflow's own reading is kinder than it should be: `{"inputs": {"text": 5}}` becomes the text "5", null the text "None",
"NA" in CSV nothing, and a list of texts an array as wide as the longest. So everything is read and checked here, and
goes to the model row by row.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import Message
from functools import lru_cache
from typing import Any, NamedTuple

from ner.errors import NerError

JSON, CSV = "application/json", "text/csv"
TEXT, TOKENS, MIN_SCORE = "text", "tokens", "min_score"
FORMS = ("inputs", "instances", "dataframe_records", "dataframe_split")
EXAMPLE = '{"inputs": {"text": ["Marta lives in Oslo."]}}'
SURROGATE = re.compile("[\ud800-\udfff]")
KINDS = {str: "a string", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}

Row = str | list[str]  # a text, or the tokens of a sentence


class Refused(NerError):
    """An error response: HTTP status, one sentence, and after how many seconds to ask again, if ever."""

    def __init__(self, status: int, sentence: str, retry_after_s: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.retry_after_s = status, retry_after_s


@dataclass(frozen=True)
class Asked:
    """A request, read: its rows, each to be predicted."""

    rows: list[Row]
    params: dict[str, Any] = field(default_factory=dict)


class Record(NamedTuple):
    """A row as it was sent. where: its place in the request; path: that of its column {}; value: columns, or a text."""

    where: str
    path: str
    value: Any


@lru_cache(64)
def check_content_type(header: str | None, encoding: str | None) -> str:
    """Return the media type that the body has. Raises Refused."""
    message = Message()
    message["Content-Type"] = header or "none"
    kind, charset = message.get_content_type(), str(message.get_param("charset", "utf-8"))
    if not header or kind not in (JSON, CSV):
        got = f"Content-Type is {header[:100]!r}" if header else "there is no Content-Type"
        raise Refused(415, f"{got}: send {JSON}, or {CSV} with a column {TEXT}.")
    if charset.lower() not in ("utf-8", "utf8"):
        raise Refused(415, f"the charset is {charset[:40]!r}: send UTF-8.")
    if encoding and encoding.lower() != "identity":
        raise Refused(415, f"Content-Encoding is {encoding[:40]!r}: send the body as it is, not compressed.")
    return kind


def read(body: bytes, kind: str, inputs: Sequence[str], params: Sequence[str] = ()) -> Asked:
    """Return the rows and parameters of a request to a version with those columns and parameters. Raises Refused."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8 (byte {error.start} is wrong): send UTF-8.") from None
    if kind == CSV:
        return Asked([_text(cell, f"row {i} of the CSV") for i, cell in enumerate(_csv_texts(text))])
    tree = _json(text)
    form = _form(tree)
    return Asked([_row(record, inputs) for record in _records(tree[form], form)], _params(tree.get("params"), params))


def _json(text: str) -> dict[str, Any]:
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{error.msg}, line {error.lineno} column {error.colno}"
        raise Refused(400, f"the body is not JSON ({where}): send for example {EXAMPLE}.") from None
    except RecursionError:
        raise Refused(400, f"the JSON is nested too deeply: send for example {EXAMPLE}.") from None
    except ValueError as error:  # a number of too many digits
        raise Refused(400, f"the body is not JSON ({str(error).partition(';')[0]}): send {EXAMPLE}.") from None
    if not isinstance(tree, dict):
        raise Refused(400, f"the body must be a JSON object, got {_kind(tree)}: send for example {EXAMPLE}.")
    return tree


def _form(tree: dict[str, Any]) -> str:
    forms = [name for name in FORMS if name in tree]
    unknown = [name for name in tree if name not in (*FORMS, "params")]
    if len(forms) != 1:
        had = f"it has {_names(forms)}" if forms else f"it has {_names(list(tree))}" if tree else "it is empty"
        raise Refused(400, f"the JSON must have exactly one of {_names(FORMS)}, and {had}: send for example {EXAMPLE}.")
    if unknown:
        raise Refused(400, f"{_names(unknown)} is not known beside {forms[0]!r}: only 'params' may stand there.")
    return forms[0]


def _records(value: Any, form: str) -> list[Record]:
    if form == "dataframe_split":
        return _split(value)
    if isinstance(value, list):
        return [Record(f"{form}[{i}]", f"{form}[{i}].{{}}", item) for i, item in enumerate(value)]
    if form == "dataframe_records":
        raise Refused(400, f"dataframe_records must be a list of objects, got {_kind(value)}.")
    return _columns(value, form) if isinstance(value, dict) else [Record(form, form, value)]


def _columns(value: dict[str, Any], form: str) -> list[Record]:
    """Return a list for each column, all of one length; a single text, or one sentence's tokens, may stand alone.

    A single text, or the tokens of one sentence, may stand alone.
    """
    if not value:
        raise Refused(400, f"{form} is empty: send for example {EXAMPLE}.")
    if not any(_is_many(name, cells) for name, cells in value.items()):
        return [Record(form, f"{form}.{{}}", value)]
    lists = {name: cells if _is_many(name, cells) else [cells] for name, cells in value.items()}
    lengths = {name: len(cells) for name, cells in lists.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name!r} has {count}" for name, count in list(lengths.items())[:6])
        raise Refused(400, f"the columns of {form} must be of one length, and {counts}.")
    rows = enumerate(zip(*lists.values(), strict=True))
    return [Record(f"{form}, row {i},", f"{form}.{{}}[{i}]", dict(zip(lists, row, strict=True))) for i, row in rows]


def _is_many(name: str, cells: Any) -> bool:
    """Return whether a column holds several rows; a list of strings is one sentence where the column is `tokens`."""
    return isinstance(cells, list) and not (name == TOKENS and cells and all(isinstance(cell, str) for cell in cells))


def _split(value: Any) -> list[Record]:
    names, rows = (value.get("columns"), value.get("data")) if isinstance(value, dict) else (None, None)
    if not isinstance(rows, list) or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused(400, 'dataframe_split must be {"columns": [names], "data": [rows]}.')
    records = []
    for i, row in enumerate(rows):
        where = f"dataframe_split.data[{i}]"
        if not isinstance(row, list) or len(row) != len(names):
            got = f"a list of {len(row)}" if isinstance(row, list) else _kind(row)
            raise Refused(400, f"{where} must have a value for each of {len(names)} columns, got {got}.")
        records.append(Record(where, f"{{}} in {where}", dict(zip(names, row, strict=True))))
    return records


def _csv_texts(text: str) -> list[str]:
    csv.field_size_limit(2**31 - 1)
    try:
        head, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row] or [[]]
    except csv.Error as error:
        raise Refused(400, f"the body is not CSV ({error}).") from None
    if head != [TEXT]:
        got = f"it has {_names(head)}" if head else "it is empty"
        raise Refused(400, f"the CSV must have the one column {TEXT!r}, named in its first line, and {got}.")
    wrong = next((i for i, row in enumerate(rows) if len(row) > 1), None)
    if wrong is not None:
        raise Refused(400, f"row {wrong} of the CSV has {len(rows[wrong])} values: put a text with commas in quotes.")
    return [row[0] for row in rows]


def _row(record: Record, inputs: Sequence[str]) -> Row:
    """Return the text or the tokens of one row. Raises Refused."""
    if not isinstance(record.value, dict):
        return _text(record.value, record.where)
    unknown = [name for name in record.value if name not in inputs]
    if unknown:
        raise Refused(400, f"{record.where} has {_names(unknown)}, and this model takes only {_names(inputs)}.")
    cells = {name: value for name, value in record.value.items() if value is not None}
    if len(cells) != 1:
        had = "both" if cells else "null" if record.value else "nothing"
        need = f"one of {_names(inputs, 'or')}" if len(inputs) > 1 else _names(inputs)
        raise Refused(400, f"{record.where} has {had}: a row needs {need}.")
    ((name, value),) = cells.items()
    place = record.path.replace("{}", name)
    return _tokens(value, place) if name == TOKENS else _text(value, place)


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise Refused(400, f"{place} must be a string, got {_shown(value)}.")
    if half := SURROGATE.search(value):
        raise Refused(400, f"{place} has half a surrogate pair at character {half.start()}, which is no Unicode text.")
    return value


def _tokens(value: Any, place: str) -> list[str]:
    if not isinstance(value, list):
        raise Refused(400, f"{place} must be a list of strings, got {_shown(value)}.")
    for i, token in enumerate(value):
        if not isinstance(token, str) or SURROGATE.search(token):
            _text(token, f"{place}[{i}]")
        if not token.strip():
            raise Refused(400, f"{place}[{i}] is blank: leave it out.")
    return value


def _params(value: Any, known: Sequence[str]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(400, f"params must be an object, got {_kind(value)}.")
    unknown = [name for name in value if name not in known]
    if unknown:
        takes = f"takes {_names(known)}" if known else "takes none"
        raise Refused(400, f"{_names(unknown)} is no parameter of this model, which {takes}.")
    score = value.get(MIN_SCORE, 0.0)
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise Refused(400, f"params.{MIN_SCORE} must be a number from 0 to 1, got {_shown(score)}.")
    return {name: float(item) if name == MIN_SCORE else item for name, item in value.items()}


def _names(names: Sequence[str], word: str = "and") -> str:
    """Return names as words: 'a', 'b' and 'c'; long lists and long names are cut."""
    shown = [repr(name[:40]) for name in names[:5]] + (["more"] if len(names) > 5 else [])
    return f" {word} ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _kind(value: Any) -> str:
    return "null" if value is None else KINDS[type(value)]


def _shown(value: Any) -> str:
    """Return a value of the wrong kind in words: a number (5)."""
    is_short = isinstance(value, str | int | float) and not isinstance(value, bool)
    return f"{_kind(value)} ({value!r:.40})" if is_short else _kind(value)
