"""Reader of spaCy's DocBin (.spacy): its tokens and its entities; needs spaCy, and reads a file whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ner.data.formats.alignment import cut
from ner.data.formats.document import Document, Problem, Report
from ner.data.formats.format import Format, Unrecognised
from ner.data.formats.text_files import Progress, head
from ner.errors import CorpusError
from ner.inference.text import BLANK_LINE, LANGUAGE, Token, sentences
from ner.tags import Span

ZLIB = b"\x78"  # the first byte of what zlib writes


def docbin_form(path: Path, options: dict[str, Any]) -> tuple[Format, list[str]]:
    """Return the format of a .spacy file. Raises Unrecognised for any other file."""
    if not head(path, 1) == ZLIB:
        raise Unrecognised(f"{path.name} is no DocBin of spaCy's: it does not begin as one")
    docs = _docs(path)
    seen = [f"DocBin of spaCy's with {len(docs):,} documents"]
    return Format("docbin", **{"documents": "records", **options}), seen


def read_docbin(path: Path, form: Format, report: Report, progress: Progress | None = None) -> Iterator[Document]:
    """Yield a document per Doc, with spaCy's own tokens but those of white space, and its sentences where the Doc has
    them.

    A Doc whose tokens nobody annotated is listed; span groups and other layers are counted and left out.
    """
    docs = _docs(path)
    for index, doc in enumerate(docs, start=1):
        name = str(index)
        report.documents_in += 1
        report.entities_in += len(doc.ents)
        for group in doc.spans.values():
            report.ignored["span of a span group"] += len(group)
        if progress:
            progress(path.stat().st_size * index // len(docs), path.stat().st_size)
        if len(doc) and not doc.has_annotation("ENT_IOB"):
            reason = "not annotated: no token of the Doc says whether it is in an entity"
            report.listed.append(Problem("document", path.name, f"Doc {name}", name, doc.text[:80], "", reason))
            continue
        if missing := sum(token.ent_iob == 0 and not token.is_space for token in doc):
            report.notes["token whose annotation is missing, read as outside of every entity"] += missing
        yield report.keep(_document(doc, path, name, form.language or LANGUAGE, report))


def _document(doc: Any, path: Path, name: str, language: str, report: Report) -> Document:
    words = [token for token in doc if not token.is_space]
    places = {token.i: index for index, token in enumerate(words)}
    spans = []
    for entity in doc.ents:
        inside = [places[token.i] for token in entity if token.i in places]
        if inside and entity.label_:
            spans.append(Span(inside[0], inside[-1] + 1, entity.label_))
        else:
            reason = "no type" if inside else f"white space alone: [{entity.start_char}, {entity.end_char})"
            report.listed.append(
                Problem("entity", path.name, f"Doc {name}", name, entity.text[:80], entity.label_, reason)
            )
    return cut(doc.text, [tokens for tokens in _sentences(doc, language) if tokens], spans, name, int(name))


def _sentences(doc: Any, language: str) -> Iterator[list[Token]]:
    """Yield tokens by sentence as the Doc has them, else as prediction splits each paragraph."""
    if doc.has_annotation("SENT_START"):
        yield from (_tokens(sentence) for sentence in doc.sents)
        return
    first = 0
    for token in doc:
        if token.is_space and BLANK_LINE.search(token.text):
            yield from sentences(_tokens(doc[first : token.i]), language)
            first = token.i
    yield from sentences(_tokens(doc[first:]), language)


def _tokens(part: Any) -> list[Token]:
    return [Token(token.text, token.idx, token.idx + len(token.text)) for token in part if not token.is_space]


def _docs(path: Path) -> list[Any]:
    try:
        import spacy
        from spacy.tokens import DocBin
    except ImportError:
        raise CorpusError(
            f"{path.name} is a DocBin of spaCy's, and spaCy is not installed: pip install spacy."
        ) from None
    try:
        return list(DocBin().from_disk(path).get_docs(spacy.blank("xx").vocab))
    except Exception as error:  # zlib, msgpack, numpy and spaCy each have errors of their own for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CorpusError(f"{path.name} is no readable DocBin ({reason[:200]}).") from None
