"""Documents written in the form of each tool, for tools and for reading back.

    form = write(Path("tasks.json"), documents, "label-studio")     # read(Path("tasks.json"), form) gives them again

A file appears whole or not at all. What a form cannot express raises; nothing is changed to make it fit.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ner.conll import DOCSTART
from ner.errors import CorpusError
from ner.readers.columns_form import CONLLU_COLUMNS
from ner.readers.document import CharSpan, Document
from ner.readers.form import SEPARATORS, SPACE, TAB, Format
from ner.readers.schemes import from_iob2, scheme_name

Documents = Iterable[Document]
SAFE_NAME = re.compile(r"[\w-][\w.-]{0,99}")
_FORBIDDEN = re.compile("[\0\n\r\ud800-\udfff]")


def write(path: Path, documents: Documents, name: str, **options: Any) -> Format:
    """Write a file, for brat a folder, and return the format that reads it back.

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
    """Columns: the token first, the tag last, `_` between them; a -DOCSTART- line a document."""
    scheme, mark = scheme_name(scheme), SEPARATORS[separator]
    between = mark.join(["", *["_"] * (columns - 2), ""])
    with _replacing(path) as file:
        for document in documents:
            if document_lines:
                file.write(f"{DOCSTART}{between}O\n\n")
            for sentence in document.sentences:
                for token, tag in zip(sentence.tokens, from_iob2(sentence.tags, scheme), strict=True):
                    line = f"{_cell(token, mark, document)}{between}{_cell(tag, mark, document)}\n"
                    if line.startswith(DOCSTART):
                        raise CorpusError(f"document {document.name}: a token begins with {DOCSTART}, as no token may.")
                    file.write(line)
                file.write("\n")
    return Format(
        "conll", scheme=scheme, separator=separator, columns=columns, token_column=1, tag_column=columns,
        documents=DOCSTART if document_lines else None,
    )  # fmt: skip


def write_conllu(path: Path, documents: Documents, scheme: str = "IOB2", misc_key: str = "NER") -> Format:
    """CoNLL-U with the tags in its last column, and SpaceAfter=No where the text has none."""
    scheme = scheme_name(scheme)
    with _replacing(path) as file:
        for document in documents:
            file.write(f"# newdoc id = {' '.join(document.name.split())}\n")
            _, offsets = document.with_text()
            for sentence, places in zip(document.sentences, offsets, strict=True):
                tags = from_iob2(sentence.tags, scheme)
                for index, (token, tag) in enumerate(zip(sentence.tokens, tags, strict=True)):
                    misc = [] if tag == "O" else [f"{misc_key}={_cell(tag, '|', document)}"]
                    if index + 1 < len(places) and places[index + 1][0] == places[index][1]:
                        misc.append("SpaceAfter=No")
                    cells = [str(index + 1), _cell(token, "\t", document), *"_______", "|".join(misc) or "_"]
                    file.write("\t".join(_cell(cell, "\t", document) for cell in cells) + "\n")
                file.write("\n")
    return Format(
        "conllu", scheme=scheme, separator=TAB, columns=CONLLU_COLUMNS, token_column=2, tag_column=CONLLU_COLUMNS,
        numbered=True, documents="# newdoc", misc_key=misc_key,
    )  # fmt: skip


def _cell(text: str, separator: str, document: Document) -> str:
    if not text or separator in text or _FORBIDDEN.search(text) or not text.strip(" \t"):
        raise CorpusError(
            f"document {document.name}: {text!r} cannot stand in a column (it is empty, or holds a line break, NUL or "
            f"the separator {separator!r}); write tokens instead."
        )
    return text


def write_tokens(path: Path, documents: Documents, scheme: str = "IOB2") -> Format:
    """JSON lines with the tokens and the tags of a sentence."""
    scheme = scheme_name(scheme)
    with _replacing(path) as file:
        for document in documents:
            for sentence in document.sentences:
                tags = from_iob2(sentence.tags, scheme)
                _line(file, {"document": document.name, "tokens": sentence.tokens, "ner_tags": tags})
    return Format(
        "tokens", scheme=scheme, tokens_field="tokens", tags_field="ner_tags", document_field="document",
        documents="document",
    )  # fmt: skip


def write_prodigy(path: Path, documents: Documents, answer: str | None = "accept") -> Format:
    """Prodigy's JSON lines. answer: None for tasks that a person is to annotate."""
    with _replacing(path) as file:
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
            _line(file, task | ({"answer": answer} if answer else {}))
    return Format("prodigy", text_field="text", spans_field="spans", documents="records")


def _prodigy_tokens(text: str, places: list[tuple[int, int]]) -> list[dict[str, Any]]:
    return [
        {"text": text[start:end], "start": start, "end": end, "id": index, "ws": text[end : end + 1].isspace()}
        for index, (start, end) in enumerate(places)
    ]


def write_doccano(path: Path, documents: Documents, objects: bool = False) -> Format:
    """doccano's JSON lines. objects: entities as objects, as projects with relations have them; else lists."""
    with _replacing(path) as file:
        for number, document in enumerate(documents, start=1):
            task: dict[str, Any] = {"id": number, "text": document.with_text()[0], "document": document.name}
            spans = document.entities()
            if objects:
                task["entities"] = [
                    {"id": index, "label": span.type, "start_offset": span.start, "end_offset": span.end}
                    for index, span in enumerate(spans, start=1)
                ]
                task |= {"relations": [], "Comments": []}
            else:
                task["label"] = [[span.start, span.end, span.type] for span in spans]
            _line(file, task)
    return Format("doccano", text_field="text", spans_field="entities" if objects else "label", documents="records")


def write_label_studio(path: Path, documents: Documents, predictions: bool = False) -> Format:
    """Label Studio's JSON. predictions: what a model found, for a person to correct, instead of annotations."""
    with _replacing(path) as file:
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


def write_brat(path: Path, documents: Documents) -> Format:
    """A folder, which must not be there yet, with a .txt and an .ann a document; named as it is, or by its number."""
    if path.exists():
        raise CorpusError(f"{path} is there already: name a folder that is not.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for number, document in enumerate(documents, start=1):
            stem = f"{number:06}"
            if SAFE_NAME.fullmatch(document.name) and not (temporary / f"{document.name}.ann").exists():
                stem = f"{document.name}" if not document.name.isdecimal() else f"{stem}-{document.name}"
            text, _ = document.with_text()
            if "\0" in text:
                raise CorpusError(f"document {document.name}: a NUL character, which BRAT's texts cannot have.")
            _bytes(temporary / f"{stem}.txt", text, document)
            lines = [_bound(span, index, document) for index, span in enumerate(document.entities(), start=1)]
            _bytes(temporary / f"{stem}.ann", "".join(lines), document)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Format("brat", documents="files")


def _bytes(path: Path, text: str, document: Document) -> None:
    try:
        path.write_bytes(text.encode())
    except UnicodeEncodeError:
        raise CorpusError(f"document {document.name}: half a surrogate pair, which no text file can hold.") from None


def _bound(span: CharSpan, index: int, document: Document) -> str:
    if not span.type or span.type.split() != [span.type]:
        raise CorpusError(f"document {document.name}: BRAT's types have no white space, {span.type!r} has.")
    text = span.text or ""
    ranges, start = [], span.start
    for part in text.split("\n"):
        ranges += [f"{start} {start + len(part)}"] if part else []
        start += len(part) + 1
    shown = re.sub(r"[\r\n]", " ", text)
    return f"T{index}\t{span.type} {';'.join(ranges)}\t{shown}\n"


def write_docbin(path: Path, documents: Documents) -> Format:
    """spaCy's DocBin: the tokens as they are, a space between them where the text has white space."""
    try:
        import spacy
        from spacy.tokens import Doc, DocBin, Span
    except ImportError:
        raise CorpusError("a DocBin is written by spaCy, and spaCy is not installed: pip install spacy.") from None
    vocab = spacy.blank("xx").vocab
    packed = DocBin()
    for document in documents:
        _, offsets = document.with_text()
        flat = [place for places in offsets for place in places]
        words = [token for sentence in document.sentences for token in sentence.tokens]
        spaces = [after[0] > before[1] for before, after in zip(flat, flat[1:], strict=False)] + [False] * bool(flat)
        starts = [index == 0 for sentence in document.sentences for index in range(len(sentence.tokens))]
        doc = Doc(vocab, words=words, spaces=spaces, sent_starts=starts)
        begins = {start: index for index, (start, _) in enumerate(flat)}
        ends = {end: index + 1 for index, (_, end) in enumerate(flat)}
        spans = [Span(doc, begins[s.start], ends[s.end], label=s.type) for s in document.entities()]
        doc.set_ents(spans, default="outside")
        packed.add(doc)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    packed.to_disk(temporary)
    os.replace(temporary, path)
    return Format("docbin", documents="records")


WRITERS: dict[str, Callable[..., Format]] = {
    "conll": write_conll,
    "conllu": write_conllu,
    "tokens": write_tokens,
    "prodigy": write_prodigy,
    "doccano": write_doccano,
    "label-studio": write_label_studio,
    "brat": write_brat,
    "docbin": write_docbin,
}


def _line(file: TextIO, record: dict[str, Any]) -> None:
    file.write(_json(record) + "\n")


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A file beside `path` that takes its place at the end, or goes."""
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
