"""Records from WebAnno TSV 3, which INCEpTION writes as well: a document a file, its tokens, and spans by layer.

A cell says `_` for nothing, `*` for an annotation without a value, `PER`, or `PER[1]` where [1] is one annotation over
several tokens or one of several on a token, which `|` parts. Other layers than those of spans are left out.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ner.data.formats.containers.json_stream import Record
from ner.data.formats.format import Unrecognised
from ner.data.formats.text_files import Progress, lines
from ner.errors import CorpusError

LAYER = re.compile(r"#T_(?P<kind>SP|CH|RL)=(?P<type>[^|]+)(?P<features>(?:\|[^|]*)*)")
ROW = re.compile(r"(?P<sentence>\d+)-(?P<token>\d+)(?P<part>\.\d+)?\t(?P<start>\d+)-(?P<end>\d+)\t(?P<cells>.*)")
INSIDE = "inside a token:"
LINES = "#lines"  # of a record: in which line of the file each sentence begins
_STACKED = re.compile(r"(?:\\.|[^|\\])+")
_VALUE = re.compile(r"(?P<value>(?:\\.|[^\[\\])*)(?:\[(?P<id>\d+)\])?")
_ESCAPED = re.compile(r"\\(.)")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}


class _Annotation(NamedTuple):
    """An annotation, whose tokens are collected line by line. inside: of a token, where it marks a part of one."""

    type: str
    tokens: list[int]
    inside: list[str]


def webanno_records(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Record]:
    """Yield one record: the tokens of each sentence, and under LAYER.FEATURE the spans as [first, past the last, type].

    Raises CorpusError, with the line, for one that is no row, and a row with another number of cells than the layers;
    Unrecognised for a file without a layer, as a document is exported in which nothing is marked.
    """
    columns: list[str] = []  # "" for those of relations and chains
    sentences: list[list[str]] = []
    first: list[int] = []
    spans: dict[str, dict[str, _Annotation]] = {}
    count, sentence = 0, ""
    for number, line in lines(path, encoding, progress):
        if match := LAYER.fullmatch(line):
            names = list(_columns(match))
            columns += names
            spans |= {name: {} for name in names if name}
        if line.startswith("#") or not line.strip():
            continue
        row = ROW.fullmatch(line)
        cells = row["cells"].split("\t") if row else []
        if not row or len(cells) - 1 not in (len(columns), len(columns) + 1):
            raise CorpusError(
                f"{path.name}, line {number}: {line[:60]!r} is no row of sentence-token, start-end, token and "
                f"{len(columns)} cells, as the layers at the top of the file say."
            )
        if row["part"] is None:
            if row["sentence"] != sentence:
                sentence = row["sentence"]
                sentences.append([])
                first.append(number)
            sentences[-1].append(_token(cells[0], int(row["end"]) - int(row["start"])))
            count += 1
        for name, cell in zip(columns, cells[1:], strict=False):
            if name:
                _add(spans[name], cell, count - 1, f"{row['sentence']}-{row['token']}", row["part"], cells[0], name)
    if not any(columns):
        raise Unrecognised(f"{path.name} has no layer of spans (#T_SP), so that nobody has marked anything in it")
    record: dict[str, Any] = {name: [_item(a) for a in layer.values()] for name, layer in spans.items()}
    if sentences:
        yield "the file", {"sentences": sentences, "offsets": "exclusive", LINES: first, **record}


def _columns(match: re.Match[str]) -> Iterator[str]:
    features = match["features"].split("|")[1:] or [""]
    layer = match["type"].rpartition(".")[2]
    for feature in features:
        yield f"{layer}.{feature}".strip(".") if match["kind"] == "SP" else ""


def _token(cell: str, length: int) -> str:
    """Return a token as the text has it: what its offsets, in UTF-16 units, tell of its length decides on escapes."""
    plain = _unescaped(cell)
    return cell if len(cell.encode("utf-16-le")) // 2 == length else plain


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _CONTROLS.get(match[1], match[1]), text)


def _add(layer: dict[str, _Annotation], cell: str, at: int, place: str, part: str | None, text: str, name: str) -> None:
    for index, piece in enumerate(_STACKED.findall(cell) if cell not in ("_", "") else ()):
        match = _VALUE.fullmatch(piece)
        value, key = (match["value"], match["id"]) if match else (piece, None)
        is_bare = "." not in name  # a layer without features, whose name is the type
        kind = name if is_bare else "" if value in ("*", "_") else _unescaped(value)
        annotation = layer.setdefault(key or f"{place}{part or ''} {index}", _Annotation(kind, [], []))
        annotation.tokens.append(at)
        if part:
            annotation.inside.append(f"{annotation.type} {text!r} at {place}{part}")


def _item(annotation: _Annotation) -> Any:
    """Return the span, or where it begins or ends inside a token, what it is: a text, which is listed."""
    if annotation.inside:
        return f"{INSIDE} {annotation.inside[0]}"
    return [min(annotation.tokens), max(annotation.tokens) + 1, annotation.type]
