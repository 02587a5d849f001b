"""Writers of documents in the format of each annotation tool, and in columns.

    form = write(Path("tasks.json"), documents, "label-studio")     # read(Path("tasks.json"), form) gives them again

A file appears whole or not at all. What a form cannot express raises; nothing is changed to make it fit.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ner.data.conll import DOCSTART
from ner.data.formats.document import CharSpan, Document
from ner.data.formats.format import SEPARATORS, SPACE, Format
from ner.data.formats.offsets import UTF16, in_utf16
from ner.data.formats.schemes import from_iob2, scheme_name
from ner.errors import CorpusError

Documents = Iterable[Document]
_FORBIDDEN = re.compile("[\0\n\r\ud800-\udfff]")


def write(path: Path, documents: Documents, name: str, **options: Any) -> Format:
    """Write a file, and return the format that reads it back.

    name: one of WRITERS. options: those of the function that WRITERS names. Raises CorpusError for a token, a type or a
    text that the form cannot express.
    """
    if name not in WRITERS:
        raise CorpusError(f"{name!r} cannot be written: use one of {', '.join(WRITERS)}.")
    return WRITERS[name](Path(path), documents, **options)


def write_conll(
    path: Path,
    documents: Documents,
    scheme: str = "IOB2",
    separator: str = SPACE,
    columns: int = 2,
    document_lines: bool = True,
) -> Format:
    """Write columns: the token first, the tag last, `_` between them; a -DOCSTART- line per document."""
    scheme, mark = scheme_name(scheme), SEPARATORS[separator]
    between = mark.join(["", *["_"] * (columns - 2), ""])
    with replacing(path) as file:
        for document in documents:
            if document_lines:
                file.write(f"{DOCSTART}{between}O\n\n")
            for sentence in document.sentences:
                for token, tag in zip(sentence.tokens, from_iob2(sentence.tags, scheme), strict=True):
                    line = f"{cell(token, mark, document)}{between}{cell(tag, mark, document)}\n"
                    if line.startswith(DOCSTART):
                        raise CorpusError(f"document {document.name}: a token begins with {DOCSTART}, as no token may.")
                    file.write(line)
                file.write("\n")
    return Format(
        "conll", scheme=scheme, separator=separator, columns=columns, token_column=1, tag_column=columns,
        documents=DOCSTART if document_lines else None,
    )  # fmt: skip


def cell(text: str, separator: str, document: Document) -> str:
    if not text or separator in text or _FORBIDDEN.search(text) or not text.strip(" \t"):
        raise CorpusError(
            f"document {document.name}: {text!r} cannot stand in a column (it is empty, or holds a line break, NUL or "
            f"the separator {separator!r}); write tokens instead."
        )
    return text


def write_prodigy(path: Path, documents: Documents, answer: str | None = "accept") -> Format:
    """Write Prodigy's JSON lines. answer: None for tasks that a person is to annotate."""
    with replacing(path) as file:
        for document in documents:
            text, offsets = document.with_text()
            flat = [place for places in offsets for place in places]
            begins = {start: index for index, (start, _) in enumerate(flat)}
            ends = {end: index for index, (_, end) in enumerate(flat)}
            task: dict[str, Any] = {"text": text, "tokens": _prodigy_tokens(text, flat)}
            task["spans"] = [
                {
                    "start": s.start,
                    "end": s.end,
                    "token_start": begins[s.start],
                    "token_end": ends[s.end],
                    "label": s.type,
                }
                for s in document.entities()
            ]  # token_end is the last token, not one past it
            task["meta"] = {"document": document.name}
            json_line(file, task | ({"answer": answer} if answer else {}))
    return Format("prodigy", text_field="text", spans_field="spans", documents="records")


def _prodigy_tokens(text: str, places: list[tuple[int, int]]) -> list[dict[str, Any]]:
    return [
        {"text": text[start:end], "start": start, "end": end, "id": index, "ws": text[end : end + 1].isspace()}
        for index, (start, end) in enumerate(places)
    ]


def write_doccano(path: Path, documents: Documents, objects: bool = False) -> Format:
    """Write doccano's JSON lines, with offsets in UTF-16 units, as its page counts them; where that differs from code
    points, the record says so in `offsets`. objects: entities as objects, as projects with relations have them; else
    lists.
    """
    with replacing(path) as file:
        for number, document in enumerate(documents, start=1):
            text = document.with_text()[0]
            task: dict[str, Any] = {"id": number, "text": text, "document": document.name}
            spans = document.entities()
            if max(text, default="") > "\uffff":
                task["offsets"] = UTF16
                spans = [s._replace(start=in_utf16(text, s.start), end=in_utf16(text, s.end)) for s in spans]
            if objects:
                task["entities"] = [
                    {"id": index, "label": span.type, "start_offset": span.start, "end_offset": span.end}
                    for index, span in enumerate(spans, start=1)
                ]
                task |= {"relations": [], "Comments": []}
            else:
                task["label"] = [[span.start, span.end, span.type] for span in spans]
            json_line(file, task)
    return Format("doccano", text_field="text", spans_field="entities" if objects else "label", documents="records")


def write_label_studio(path: Path, documents: Documents, predictions: bool = False) -> Format:
    """Write Label Studio's JSON. predictions: a model's, for a person to correct, instead of annotations."""
    with replacing(path) as file:
        file.write("[")
        for number, document in enumerate(documents, start=1):
            result = [_labelled(span, index) for index, span in enumerate(document.entities())]
            body = {"model_version": "ner", "result": result} if predictions else {"id": number, "result": result}
            task = {"id": number, "data": {"text": document.with_text()[0], "document": document.name}}
            task |= {"annotations": [] if predictions else [body | {"was_cancelled": False}]}
            task |= {"predictions": [body] if predictions else []}
            file.write(",\n" if number > 1 else "\n")
            file.write(_json(task))
        file.write("\n]\n")
    return Format("label-studio", text_field="text", spans_field="annotations", documents="records")


def _labelled(span: CharSpan, index: int) -> dict[str, Any]:
    value = {"start": span.start, "end": span.end, "text": span.text, "labels": [span.type]}
    return {"id": f"e{index}", "from_name": "label", "to_name": "text", "type": "labels", "value": value}


WRITERS: dict[str, Callable[..., Format]] = {
    "conll": write_conll,
    "prodigy": write_prodigy,
    "doccano": write_doccano,
    "label-studio": write_label_studio,
}


def json_line(file: TextIO, record: dict[str, Any]) -> None:
    file.write(_json(record) + "\n")


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """Give a file beside `path` that replaces it at the end, or is removed after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            yield file
        os.replace(temporary, path)
    except UnicodeEncodeError:
        raise CorpusError(f"{path.name}: half a surrogate pair, which no text file can hold.") from None
    finally:
        temporary.unlink(missing_ok=True)
