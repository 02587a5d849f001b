"""Records of a text and the spans in it: Prodigy, doccano, Label Studio's JSON (whole and MIN), and their like.

What is no span of an entity (relations, choices, comments) is counted by kind and left out.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ner.data.formats.alignment import Where, document_of_text, list_span
from ner.data.formats.document import CharSpan, Document, Problem, Report
from ner.data.formats.format import Format
from ner.data.formats.offsets import INCLUSIVE, UNITS, are_inclusive, told_by_texts
from ner.data.formats.record_files import JSON, container, records
from ner.data.formats.text_files import Progress, pieces
from ner.errors import CorpusError

STARTS = ("start", "start_offset", "begin", "start_char", "startOffset", "BeginOffset")
ENDS = ("end", "end_offset", "stop", "end_char", "endOffset", "EndOffset")
TYPES = ("label", "type", "tag", "entity_type", "entity", "entity_group", "category", "labels")
OTHER_THINGS = ("relations", "Comments", "comments", "cats", "accept", "choices")  # fields with lists of other things
NAMES = ("document", "document_id", "doc_id", "id", "_task_hash")
REJECTED = ("reject", "ignore")
SAMPLE = 1_000  # records


class Task(NamedTuple):
    """One text to annotate: the text, its spans, and why it does not count, if so."""

    text: str
    items: list[Any]
    name: str | None = None
    refused: str = ""


def read_spans(path: Path, form: Format, report: Report, progress: Progress | None = None) -> Iterator[Document]:
    """Yield a document per record. Raises CorpusError, with file and place, for a record without a text."""
    for place, record in records(path, form.encoding, form.separator, progress):
        task = _task(record, form, Where(path.name, place, place), report)
        where = Where(path.name, place, task.name or place)
        spans = _spans(task, where, form, report)
        if isinstance(record, dict) and record.get("offsets") in UNITS:  # as our own writer of doccano's says it
            yield document_of_text(task.text, spans, where, replace(form, offsets=record["offsets"]), report)
            continue
        if task.refused:
            _refuse(task, spans, where, report)
            continue
        document = document_of_text(task.text, spans, where, form, report)
        yield document if form.spans_field else _unlabelled(document)


def unit_of(paths: Sequence[Path], form: Format, progress: Progress | None = None) -> str | None:
    """Return what the offsets of whole files count where only the texts tell it, None where nothing depends on it.

    Whether ends are inclusive is told by the first records of each file.
    """

    def documents(path: Path) -> Iterator[tuple[str, str, list[CharSpan]]]:
        for place, record in records(path, form.encoding, form.separator):
            if not isinstance(record, dict) or not (record.keys() & _PYTHONS or record.get("offsets") in UNITS):
                where, report = Where(path.name, place, place), Report()
                task = _task(record, form, where, report)
                yield f"{path.name}, {place}", task.text, _spans(task, where, form, report)

    if are_inclusive(document for path in paths for document in islice(documents(path), SAMPLE)):
        return INCLUSIVE
    wide = [
        path
        for path in paths
        if container(path) != JSON or any(_WIDE.search(part) for part in pieces(path, form.encoding, progress))
    ]
    return told_by_texts(document for path in wide for document in documents(path))


_PYTHONS = {"tokens", "_task_hash", "_input_hash"}  # fields of Prodigy's, which counts code points
_WIDE = re.compile(r"[\U00010000-\U0010ffff]|\\u[dD][89abAB]")  # a character that UTF-16 counts as two


def _unlabelled(document: Document) -> Document:
    return Document(document.name, document.sentences, document.text, document.offsets, labelled=False)


def _refuse(task: Task, spans: Sequence[CharSpan], where: Where, report: Report) -> None:
    report.documents_in += 1
    report.listed.append(Problem("document", *where, task.text[:80], "", task.refused))
    report.entities_in += len(spans)
    for span in spans:
        list_span(span._replace(text=span.text or task.text[span.start : span.end]), where, task.refused, report)


def _spans(task: Task, where: Where, form: Format, report: Report) -> list[CharSpan]:
    result = []
    for item in task.items:
        spans = spans_in(item, form.labels, task.text)
        if spans is None:
            report.entities_in += 1
            reason = f"no span: {str(item)[:80]!r} has no start, end and label"
            report.listed.append(Problem("entity", *where, "", "", reason))
        else:
            result += spans
    return result


def span_items(value: Any) -> list[Any] | None:
    """Return the annotations that a field of a record holds, none for an empty one; None for what holds no list.

    Beside a list that is {"annotations": {"entities": […]}} as Ground Truth has it, and CLUENER's
    {type: {name: [[start, end], …]}}.
    """
    if value is None or value == "":
        return []
    if isinstance(value, dict) and isinstance(value.get("annotations"), dict):
        return span_items(value["annotations"].get("entities"))
    if isinstance(value, dict) and all(isinstance(names, dict | list) for names in value.values()):
        return [item for kind, names in value.items() for item in _of_type(kind, names)]
    return value if isinstance(value, list) else None


def _of_type(kind: str, names: dict[str, Any] | list[Any]) -> Iterator[Any]:
    for name, places in names.items() if isinstance(names, dict) else [(None, names)]:
        for place in places if isinstance(places, list) and places and isinstance(places[0], list) else [places]:
            is_span = isinstance(place, list) and len(place) == 2
            yield (
                {"start": place[0], "end": place[1], "type": kind, "text": name}
                if is_span
                else f"{kind} {name} {place}"
            )


def spans_in(item: Any, labels: Sequence[str] | None = None, of: str = "") -> list[CharSpan] | None:
    """Return the spans of one annotation, one per label; None where it is not an annotation. labels: names of numeric
    labels. of: the annotated text; a field that repeats what stands there is no type where another one is.
    """
    if isinstance(item, list | tuple):
        at = next((i for i in range(min(2, len(item) - 2)) if _is_offset(item[i]) and _is_offset(item[i + 1])), None)
        if at is None:
            return None
        start, end = item[at : at + 2]
        fields = [*item[:at], *item[at + 2 :]]
        strings = [field for field in fields if isinstance(field, str)]
        shown = [field for field in strings if field in of] if len(strings) > 1 else []
        text = next((s for s in shown if _stands(of, start, end, s)), shown[0] if shown else None)
        kinds = next((field for field in fields if field is not text), None)
    elif isinstance(item, dict) and isinstance(item.get("points"), list):  # DataTurks
        points = [{**point, "labels": item.get("label")} for point in item["points"] if isinstance(point, dict)]
        return [span for point in points for span in spans_in(point, labels, of) or []] or None
    elif isinstance(item, dict):
        if isinstance(item.get("span"), list) and len(item["span"]) == 2:
            item = {
                **item,
                "start": item["span"][0],
                "end": item["span"][1],
                "text": item.get("text", item.get("name")),
            }
        start, end = _first(item, STARTS), _first(item, ENDS)
        kinds, text = _first(item, TYPES), item.get("text")
        if isinstance(kinds, str) and _is_offset(start) and _is_offset(end) and _stands(of, start, end, kinds):
            kinds = _first({key: value for key, value in item.items() if value != kinds}, TYPES) or kinds
    else:
        return None
    if not _is_offset(start) or not _is_offset(end):
        return None
    kinds = kinds if isinstance(kinds, list) else [kinds]
    text = text if isinstance(text, str) else None
    return [CharSpan(int(start), int(end), _type(kind, labels), text) for kind in kinds or [None]]


def _stands(of: str, start: Any, end: Any, text: str) -> bool:
    return bool(text) and of[int(start) : int(end)] == text


def _first(item: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((item[key] for key in keys if item.get(key) is not None), None)


def _is_offset(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _type(kind: Any, labels: Sequence[str] | None) -> str:
    if isinstance(kind, int) and labels and 0 <= kind < len(labels):
        return labels[kind]
    return kind if isinstance(kind, str) else ""


def _task(record: Any, form: Format, where: Where, report: Report) -> Task:
    if isinstance(record, list) and len(record) == 2 and isinstance(record[1], dict):  # spaCy 2: ["text", {…}]
        record = {"text": record[0], **record[1]}
    if not isinstance(record, dict):
        raise CorpusError(f"{where.file}, {where.place}: {str(record)[:60]!r} is no object with a text.")
    if form.name == "label-studio" and isinstance(record.get("data"), dict):
        return _label_studio_task(record, form, where, report)
    text = _text(record, form, where)
    value = record.get(form.spans_field) if form.spans_field else None
    items = span_items(value)
    if items is None:
        raise CorpusError(
            f"{where.file}, {where.place}: {form.spans_field!r} holds {str(value)[:60]!r}, no list of spans."
        )
    _ignore(record, form, report)
    answer = record.get("answer")
    refused = f"rejected: its answer is '{answer}'" if answer in REJECTED else ""
    if value is None and f"{form.spans_field}-metadata" in record:  # of Ground Truth, where labelling failed
        refused = f"not annotated: there is no {form.spans_field!r}"
    return Task(text, items, name_of(record), refused)


def _text(record: dict[str, Any], form: Format, where: Where) -> str:
    text = record.get(form.text_field or "text")
    if not isinstance(text, str):
        has = ", ".join(map(str, record))[:200]
        raise CorpusError(
            f"{where.file}, {where.place}: no text in {form.text_field or 'text'!r} (it has {has or 'nothing'})."
        )
    return text


def name_of(record: dict[str, Any]) -> str | None:
    """Return the name or the number that a record has as a document, None without one."""
    meta = record.get("meta")
    for holder in (meta if isinstance(meta, dict) else {}, record):
        for key in NAMES:
            if isinstance(holder.get(key), str | int):
                return str(holder[key])
    return None


def _ignore(record: dict[str, Any], form: Format, report: Report) -> None:
    for field in OTHER_THINGS:
        things = record.get(field)
        if field != form.spans_field and isinstance(things, list | dict) and things:
            report.ignored[field.lower()] += len(things)


def _label_studio_task(record: dict[str, Any], form: Format, where: Where, report: Report) -> Task:
    """Return the first annotation that was not cancelled, or the ground truth if there is one; others are listed span
    by span.
    """
    text = _text(record["data"], form, where)
    name = name_of(record["data"]) or name_of(record)
    annotations = [a for a in _lists(record, "annotations", "completions") if isinstance(a, dict)]
    if predictions := _lists(record, "predictions"):
        report.ignored["prediction"] += len(predictions)
    done = [a for a in annotations if not a.get("was_cancelled")]
    if not done:
        cancelled = [item for a in annotations for item in _label_items(a, form, report)]
        why = "rejected: its annotation was cancelled" if annotations else "not annotated: the task has no annotation"
        return Task(text, cancelled, name, why)
    chosen = next((a for a in done if a.get("ground_truth")), done[0])
    for other in annotations:
        if other is not chosen:
            _list_other(other, text, where._replace(document=name or where.place), form, report)
    return Task(text, _label_items(chosen, form, report), name)


def _list_other(annotation: dict[str, Any], text: str, where: Where, form: Format, report: Report) -> None:
    report.notes["annotation beside the one that is read"] += 1
    for span in _spans(Task(text, _label_items(annotation, form, report)), where, form, report):
        report.entities_in += 1
        shown = span._replace(text=span.text or text[max(span.start, 0) : max(span.end, 0)])
        list_span(shown, where, "another annotation: of a task with several one is read", report)


def _lists(record: dict[str, Any], *fields: str) -> list[Any]:
    return [item for field in fields if isinstance(record.get(field), list) for item in record[field]]


def _label_items(annotation: dict[str, Any], form: Format, report: Report) -> list[Any]:
    """Return the spans of one annotation; results of other types are counted."""
    items: list[Any] = []
    for result in _lists(annotation, "result"):
        kind = result.get("type") if isinstance(result, dict) else None
        value = result.get("value") if isinstance(result, dict) else None
        if kind == "labels" and isinstance(value, dict):
            items.append(value)
        elif kind in ("hypertextlabels", "paragraphlabels"):
            items.append(f"{kind} {value}")  # its offsets are not those of a plain text: listed as no span
        else:
            report.ignored[str(kind or "result without a type")] += 1
    return items
