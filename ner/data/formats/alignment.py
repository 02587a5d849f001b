"""Character spans to tags on the tokens that prediction uses (ner.inference.text).

Every span ends up in a tag or in the report. White space at its edges is left out and noted. Of spans that overlap, the
longest is kept, of equals the first in the text, then the first in the file.
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, NamedTuple

from ner.data.conll import Sentence
from ner.data.formats.document import CharSpan, Document, Problem, Report
from ner.data.formats.format import Format
from ner.data.formats.offsets import CODE_POINTS, in_code_points, same
from ner.inference.text import LANGUAGE, LINE_END, Token, paragraphs, sentences
from ner.tags import Span, spans_to_tags

SHOWN = 80  # characters of a text in a message


class Where(NamedTuple):
    """Where a document comes from: file, place in it, its name."""

    file: str
    place: str
    document: str

    def line(self) -> int | None:
        """Return the number of the line or the row; None where the place is the file itself."""
        numbers = re.findall(r"\d+", self.place)
        return int(numbers[-1]) if numbers else None


class Refused(NamedTuple):
    """A span that was left out, and why."""

    span: CharSpan
    reason: str


def align(
    text: str, spans: Sequence[CharSpan], paragraphs_of_tokens: Sequence[Sequence[Token]]
) -> tuple[list[Span], list[Refused], int]:
    """Convert character spans to token spans, counted through all paragraphs; no two of them overlap.

    Returns them in order, those refused in the order of `spans`, and how many had white space at their edges.
    """
    tokens = [token for paragraph in paragraphs_of_tokens for token in paragraph]
    ends_of_paragraphs = [paragraph[-1].end for paragraph in paragraphs_of_tokens]
    starts, ends = [token.start for token in tokens], [token.end for token in tokens]
    placed: list[tuple[int, Span]] = []  # index in spans
    refused: dict[int, str] = {}
    trimmed = 0
    for index, span in enumerate(spans):
        reason = _impossible(text, span)
        if reason:
            refused[index] = reason
            continue
        start, end = _trim(text, span)
        trimmed += (start, end) != (span.start, span.end)
        first, last = bisect_left(starts, start), bisect_left(ends, end)
        reason = _unaligned(start, end, first, last, tokens) or _parted(start, end, ends_of_paragraphs)
        if reason:
            refused[index] = reason
        else:
            placed.append((index, Span(first, last + 1, span.type)))
    chosen = _longest_first(text, spans, placed, refused)
    return chosen, [Refused(spans[index], refused[index]) for index in sorted(refused)], trimmed


def _impossible(text: str, span: CharSpan) -> str | None:
    if span.start < 0 or span.end > len(text):
        return f"out of range: [{span.start}, {span.end}) of a text of {len(text)} characters"
    if span.start >= span.end:
        return f"empty: [{span.start}, {span.end})"
    text_there = text[span.start : span.end]
    if span.text is not None and not same(text_there, span.text):
        return f"wrong text: '{_short(text_there)}' stands at [{span.start}, {span.end})"
    if not text_there.strip():
        return f"white space alone: [{span.start}, {span.end})"
    if not span.type:
        return "no type"
    return None


def _trim(text: str, span: CharSpan) -> tuple[int, int]:
    text_there = text[span.start : span.end]
    start = span.start + len(text_there) - len(text_there.lstrip())
    return start, start + len(text_there.strip())


def _unaligned(start: int, end: int, first: int, last: int, tokens: Sequence[Token]) -> str | None:
    if first == len(tokens) or tokens[first].start != start:
        return f"inside a token: begins in '{_short(tokens[first - 1].text)}'" if first else "in no token"
    if last == len(tokens) or tokens[last].end != end:
        return f"inside a token: ends in '{_short(tokens[last].text)}'" if last < len(tokens) else "in no token"
    return None


def _parted(start: int, end: int, ends_of_paragraphs: Sequence[int]) -> str | None:
    at = bisect_left(ends_of_paragraphs, start + 1)
    return "across a blank line: no predicted entity is" if ends_of_paragraphs[at] < end else None


def _longest_first(
    text: str, spans: Sequence[CharSpan], placed: list[tuple[int, Span]], refused: dict[int, str]
) -> list[Span]:
    owner: dict[int, tuple[int, Span]] = {}
    chosen: list[Span] = []

    def order(item: tuple[int, Span]) -> tuple[int, int, int]:
        index, span = item
        start, end = _trim(text, spans[index])
        return start - end, span.start, index

    for index, span in sorted(placed, key=order):
        rivals = [owner[token] for token in range(span.start, span.end) if token in owner]
        if rivals:
            refused[index] = _overlap(span, *rivals[0], spans)
            continue
        chosen.append(span)
        owner.update(dict.fromkeys(range(span.start, span.end), (index, span)))
    return sorted(chosen)


def _overlap(span: Span, winner_index: int, winner: Span, spans: Sequence[CharSpan]) -> str:
    other = spans[winner_index]
    shown = f"'{_short(other.text or '')}' ({other.type}) at [{other.start}, {other.end})"
    if span == winner:
        return f"duplicate: of {shown}"
    if (span.start, span.end) == (winner.start, winner.end):
        return f"same place: as {shown}"
    if winner.start <= span.start and span.end <= winner.end:
        return f"nested: in {shown}"
    return f"overlapping: with {shown}"


def document_of_text(text: str, spans: Sequence[CharSpan], where: Where, form: Format, report: Report) -> Document:
    """Return tokens, sentences and tags of an annotated text; spans are counted, and those left out are listed."""
    report.documents_in += 1
    report.entities_in += len(spans)
    moved, unit = in_code_points(text, spans, form.offsets)
    if unit != CODE_POINTS:
        report.notes[f"document whose offsets count {unit}"] += 1
    whole = [span for span in moved if span is not None]
    for span, converted in zip(spans, moved, strict=True):
        if converted is None:
            list_span(span, where, f"inside a character: [{span.start}, {span.end}) in {unit}", report)
    language = form.language or LANGUAGE
    parts = paragraphs(text, language)
    entities, refused, trimmed = align(text, [_with_own_text(text, span) for span in whole], parts)
    for span, reason in refused:
        list_span(span, where, reason, report)
    if trimmed:
        report.notes["entity with white space at its edges, which is left out"] += trimmed
    cuts = [tokens for part in parts for tokens in sentences(part, language)]
    return report.keep(cut(text, cuts, entities, where.document, where.line()))


def _with_own_text(text: str, span: CharSpan) -> CharSpan:
    """Return the span with the text that stands at its offsets, for messages, where the annotation has no text."""
    return span if span.text is not None else span._replace(text=text[max(span.start, 0) : max(span.end, 0)])


def list_span(span: CharSpan, where: Where, reason: str, report: Report) -> None:
    """Add a span that is left out to the report."""
    report.listed.append(Problem("entity", *where, _short(span.text or ""), span.type, reason))


def cut(
    text: str, cuts: Sequence[Sequence[Token]], spans: Sequence[Span], name: str, line: int | None = None
) -> Document:
    """Return sentences with tags; where an entity crosses a sentence end, the two sentences become one.

    cuts: the tokens of each sentence, none without any; spans: counted through all of them, in order. line: in the
    file, of all sentences; None where the file is the text, and each has its own.
    """
    tags = spans_to_tags(spans, sum(map(len, cuts)))
    rows: list[Sentence] = []
    offsets: list[list[tuple[int, int]]] = []
    at = counted = 0
    in_text = 1
    for tokens in cuts:
        here = tags[at : at + len(tokens)]
        words, places = [token.text for token in tokens], [(token.start, token.end) for token in tokens]
        if here[0].startswith("I-"):
            rows[-1] = rows[-1]._replace(tokens=rows[-1].tokens + words, tags=rows[-1].tags + here)
            offsets[-1] += places
        else:
            in_text += len(LINE_END.findall(text, counted, tokens[0].start))
            counted = tokens[0].start
            rows.append(Sentence(0, words, here, line or in_text))
            offsets.append(places)
        at += len(tokens)
    return Document(name, rows, text, offsets)


def _short(text: Any) -> str:
    shown = str(text)
    return shown if len(shown) <= SHOWN else f"{shown[: SHOWN - 1]}…"
