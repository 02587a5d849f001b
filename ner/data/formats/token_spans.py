"""Reader of records of tokens and the spans over them, counted in tokens: GLiNER, SciERC and DyGIE, WebAnno TSV 3.

{"tokenized_text": ["Ilse", "left"], "ner": [[0, 0, "PER"]]}
{"sentences": [["Ilse", "left"], ["Bo", "came"]], "ner": [[[0, 0, "PER"]], [[2, 2, "PER"]]]}    # counted through all
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from ner.data.formats.alignment import Where, align, cut, list_span
from ner.data.formats.containers.webanno import INSIDE, LINES
from ner.data.formats.document import CharSpan, Document, Problem, Report
from ner.data.formats.format import DOCUMENTS, TOKENS, Format, is_most, named_like, one_of
from ner.data.formats.offsets import EXCLUSIVE, INCLUSIVE, UNITS
from ner.data.formats.record_files import WEBANNO, container, records
from ner.data.formats.span_records import name_of, spans_in
from ner.data.formats.text_files import Progress
from ner.errors import CorpusError
from ner.inference.text import Token

INCLUSIVE_FIELDS = ("tokenized_text", "sentences")  # of tools whose ends are inclusive
SPANS = ("ner", "namedentity.value", "spans", "entities", "labels", "annotations")
TEXTS = ("text", "content")
SAMPLE = 2_000  # records


def span_list(value: Any) -> list[Any] | None:
    """Return the spans of a field, of which SciERC has a list for each sentence; None for what is no list."""
    if not isinstance(value, list):
        return None
    is_nested = all(isinstance(item, list) and all(isinstance(i, list | dict) for i in item) for item in value)
    return [span for item in value for span in item] if is_nested else value


def is_tokens(value: Any) -> bool:
    """Whether a field holds a list of texts, or of such lists, and not only empty ones."""
    parts = [item if isinstance(item, list) else [item] for item in value] if isinstance(value, list) else []
    return any(parts) and all(isinstance(token, str) for part in parts for token in part)


def sentences_in(record: Any, form: Format, where: Where) -> list[list[str]]:
    """Return the tokens of a record by sentence. Raises CorpusError, with file and place, where they are no texts."""
    value = record.get(form.tokens_field) if isinstance(record, dict) else None
    if not isinstance(value, list):
        has = ", ".join(map(str, record))[:200] if isinstance(record, dict) else str(record)[:60]
        raise CorpusError(f"{where.file}, {where.place}: no list in {form.tokens_field!r} (it has {has or 'nothing'}).")
    sentences = [item for item in value if item] if all(isinstance(item, list) for item in value) else [value]
    if wrong := [token for sentence in sentences for token in sentence if not isinstance(token, str) or not token]:
        raise CorpusError(f"{where.file}, {where.place}: {wrong[0]!r} in {form.tokens_field!r} is no token.")
    return sentences


def read_token_spans(path: Path, form: Format, report: Report, progress: Progress | None = None) -> Iterator[Document]:
    """Yield a document per record, or where the format knows no documents one per sentence."""
    for place, record in records(path, form.encoding, form.separator, progress):
        stem = path.parent.name if path.parent.suffix else path.stem  # INCEpTION writes a.txt/user.tsv
        where = Where(path.name, place, stem if place == "the file" else place)
        sentences = sentences_in(record, form, where)
        where = where._replace(document=str(record.get(form.document_field) or name_of(record) or where.document))
        report.documents_in += 1
        if not any(sentences):
            report.notes["record without tokens"] += 1
        document = _document(record, sentences, where, form, report)
        rows = document.sentences
        if lines := record.get(LINES):
            starts = dict(zip(accumulate(map(len, sentences), initial=0), lines, strict=False))
            at = accumulate((len(row.tokens) for row in rows), initial=0)
            rows = [row._replace(line=starts[index]) for row, index in zip(rows, at, strict=False)]
        if form.documents:
            yield report.keep(Document(document.name, rows))
            continue
        report.documents_in += len(rows) - 1
        for row in rows:
            yield report.keep(Document(f"line {row.line}", [row]))


def _document(
    record: dict[str, Any], sentences: Sequence[Sequence[str]], where: Where, form: Format, report: Report
) -> Document:
    """Return the tokens with tags; spans are counted, and those left out are listed."""
    tokens, cuts, at = [], [], 0
    for sentence in sentences:
        ends = list(accumulate((len(token) + 1 for token in sentence), initial=at))
        cuts.append([Token(token, start, start + len(token)) for token, start in zip(sentence, ends, strict=False)])
        tokens += cuts[-1]
        at = ends[-1]
    begins = [part[0].start for part in cuts if part]

    def place(start: int) -> Where:
        lines = record.get(LINES)
        return where._replace(place=f"line {lines[bisect_right(begins, start) - 1]}") if lines else where

    text = " ".join(token.text for token in tokens)
    unit = record.get("offsets") if record.get("offsets") in UNITS else form.offsets
    value = record.get(form.spans_field or "spans")
    items = [] if value is None else span_list(value)
    if items is None:
        raise CorpusError(
            f"{where.file}, {where.place}: {form.spans_field!r} holds {str(value)[:60]!r}, no list of spans."
        )
    spans: list[CharSpan] = []
    for item in items:
        read = spans_in(item, form.labels)
        report.entities_in += 1 if read is None else len(read)
        if read is None:
            reason = f"no span: {str(item)[:80]!r} has no first and last token and type"
            reason = item if str(item).startswith(INSIDE) else reason
            report.listed.append(Problem("entity", *where, "", "", reason))
        for span in read or ():
            end = span.end + (unit == INCLUSIVE)
            if 0 <= span.start < end <= len(tokens):
                spans.append(CharSpan(tokens[span.start].start, tokens[end - 1].end, span.type))
            else:
                reason = f"out of range: tokens {span.start} to {span.end} of {len(tokens)}"
                list_span(span, where, reason, report)
    quoted = [span._replace(text=text[span.start : span.end]) for span in spans]
    entities, refused, _ = align(text, quoted, [tokens] if tokens else [])
    for span, reason in refused:
        list_span(span, place(span.start), reason, report)
    return cut(text, [part for part in cuts if part], entities, where.document, where.line())


def unit_of_tokens(paths: Sequence[Path], form: Format) -> tuple[str | None, str]:
    """Return whether the end of a span is its last token or one past it, and what tells it.

    Raises CorpusError where nothing does, or where some spans tell one and as many the other.
    """
    first, for_inclusive, for_exclusive = "", 0, 0
    for path in paths:
        for place, record in islice(records(path, form.encoding, form.separator), SAMPLE):
            where = Where(path.name, place, place)
            tokens = [token for sentence in sentences_in(record, form, where) for token in sentence]
            if record.get("offsets") in UNITS:
                return None, ""
            for item in span_list(record.get(form.spans_field or "spans")) or []:
                for start, end, kind, text in spans_in(item, form.labels) or []:
                    readings = [" ".join(tokens[start:end]), " ".join(tokens[start : end + 1])]
                    first = first or (
                        f"{where.file}, {where.place}: {kind} [{start}, {end}] is {readings[0]!r} if the end is one "
                        f"past the last token, {readings[1]!r} if it is the last token"
                    )
                    for_inclusive += start == end or (text == readings[1] != readings[0])
                    for_exclusive += end == len(tokens) or (text == readings[0] != readings[1])
    if max(for_inclusive, for_exclusive) > 10 * min(for_inclusive, for_exclusive):
        unit, count = (INCLUSIVE, for_inclusive) if for_inclusive > for_exclusive else (EXCLUSIVE, for_exclusive)
        return unit, f"ends of spans that are {unit}: {count:,} of them can be read in no other way"
    if not for_inclusive and form.tokens_field in INCLUSIVE_FIELDS:
        return INCLUSIVE, f"ends of spans that are inclusive, as tools that write {form.tokens_field!r} mean them"
    if not first:
        return None, ""
    raise CorpusError(
        f"{first}, and the data does not tell which: say offsets=inclusive or offsets=exclusive (with --set)."
    )


def token_spans_form(
    sample: Sequence[dict], names: Sequence[str], path: Path, options: dict[str, Any], seen: list[str]
) -> dict[str, Any] | None:
    """Return the layout of tokens and spans of them; None where there are texts, whose characters spans count."""
    are_tokens = [n for n in names if is_most(is_tokens(r.get(n)) for r in sample)]
    tokens = options.get("tokens_field") or named_like(are_tokens, (*INCLUSIVE_FIELDS, *TOKENS))
    if not tokens or "tags_field" in options:
        return None
    texts = [name for name in names if is_most(isinstance(record.get(name), str) for record in sample)]
    if tokens not in INCLUSIVE_FIELDS and named_like(texts, TEXTS):
        return None
    items = {n: [i for r in sample for i in span_list(r.get(n)) or []] for n in names if n != tokens}
    holding = {n: c for n, c in items.items() if is_most(_is_typed(item) for item in c if not isinstance(item, str))}
    spans = options.get("spans_field") or one_of(holding, SPANS, path)
    if not spans and (empty := [n for n, c in items.items() if not c and isinstance(sample[0].get(n), list)]):
        spans = named_like(empty, SPANS) or (empty[0] if container(path) == WEBANNO else None)
    if not spans:
        return None
    seen.append(f"tokens in {tokens!r}, spans of them in {spans!r}")
    document = options.get("document_field") or named_like([n for n in names if n not in (tokens, spans)], DOCUMENTS)
    documents = None if container(path) == WEBANNO else "records"
    return {
        "name": "tokens", "tokens_field": tokens, "spans_field": spans, "document_field": document,
        "documents": documents,
    }  # fmt: skip


def _is_typed(item: Any) -> bool:
    spans = spans_in(item)
    return spans is not None and all(span.type for span in spans)
