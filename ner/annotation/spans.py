"""Documents to choose from without a model: with the spans that another tool wrote, or texts alone.

    for choice in with_spans(Path("spans.jsonl"), report): ...
    for choice in map(without_model, documents): ...

A span is as doubtful as its score says, and one without a score is wholly so; in texts alone a word with a capital is.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ner.annotation.documents import forms_of
from ner.annotation.selection import Chosen, capitalised, doubtful
from ner.data.formats import Document, Format, Report, read, recognise
from ner.data.formats.record_files import records
from ner.data.formats.span_records import spans_in
from ner.errors import CorpusError, InputError

SCORES = ("score", "confidence", "probability", "prob", "confidence_score")
UNSEEN = 0.01  # entities a token that a tool may have missed: of documents without any, longer ones come first

Scores = dict[tuple[str, str], float]  # by type and text of a span; the lowest, where there are several


def with_spans(path: Path, report: Report) -> Iterator[Chosen]:
    """Yield the documents of a file or folder, with its spans as guess. Raises CorpusError, or InputError without any.

    report: takes the account.
    """
    if not path.exists():
        raise InputError(f"{path} is not here: name a file of texts with spans, JSON lines for example.")
    recognised = recognise(path)
    if recognised.format.name == "texts":
        raise InputError(f"{path} holds texts and no spans ({recognised.seen[-1]}): name it by --from instead.")
    for file, form in forms_of(recognised):
        scores = _scores(file, form)
        for document in read(file, form, report):
            own: Scores = next((values for text, values in scores if text == document.text), {})
            doubts = []
            for span in document.entities():
                score = own.get((span.type, _words(span.text)))
                shown = f"{span.type} '{span.text}'" + ("" if score is None else f" {score:.2f}")
                doubts.append((1 - (score or 0.0), shown))
            yield doubtful(replace(document, labelled=False), document, doubts, UNSEEN)


def without_model(document: Document) -> Chosen:
    """Return the document without a guess; its own entities are what is doubtful, or words that may be names."""
    if document.labelled:
        doubts = [(1.0, f"{span.type} '{span.text}'") for span in document.entities()]
    else:
        doubts = [(1.0, f"'{word}'") for word in dict.fromkeys(capitalised(document))]
    return doubtful(document, None, doubts, UNSEEN)


def _scores(path: Path, form: Format) -> Iterator[tuple[str, Scores]]:
    """Yield the text of each record and the scores of its spans, where they have some."""
    if not form.spans_field or form.name == "label-studio":
        return
    for place, record in records(path, form.encoding, form.separator):
        text = record.get(form.text_field or "text") if isinstance(record, dict) else None
        items = record.get(form.spans_field) if isinstance(record, dict) else None
        if not isinstance(text, str):
            continue
        scores: Scores = {}
        for item in items if isinstance(items, list) else []:
            value = _score(item)
            for span in (spans_in(item, form.labels, text) or []) if value is not None else []:
                key = span.type, _words(span.text or text[max(span.start, 0) : max(span.end, 0)])
                scores[key] = min(_checked(value, f"{path.name}, {place}", key), scores.get(key, 1.0))
        yield text, scores


def _score(item: Any) -> Any:
    if isinstance(item, dict):
        return next((item[key] for key in SCORES if item.get(key) is not None), None)
    return item[-1] if isinstance(item, list) and len(item) > 3 and isinstance(item[-1], int | float) else None


def _checked(value: Any, where: str, key: tuple[str, str]) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = -1.0
    if not 0 <= score <= 1:
        raise CorpusError(
            f"{where}: {value!r} is the score of {key[0]} '{key[1]}', and no number from 0 to 1: write one, or none."
        )
    return score


def _words(text: str | None) -> str:
    return " ".join((text or "").split())
