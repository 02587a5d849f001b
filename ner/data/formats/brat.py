"""BRAT standoff: NAME.txt with a document's text, NAME.ann with its annotations.

Format: https://brat.nlplab.org/standoff.html. Text-bound annotations (T lines) are entities; whatever else the lines
say (relations, events, attributes, normalisations, notes, equivalences) is counted and left out.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ner.data.formats.alignment import Where, document_of_text, list_span
from ner.data.formats.document import CharSpan, Document, Problem, Report
from ner.data.formats.format import Format, Unrecognised
from ner.data.formats.offsets import in_code_points
from ner.data.formats.record_files import REPLACEMENT, SURROGATE
from ner.data.formats.text_files import Progress, lines, pieces

BOUND = re.compile(r"(?P<id>T\S*)\t(?P<type>\S+) (?P<ranges>\d+ \d+(?:;\d+ \d+)*)(?:\t(?P<text>.*))?", re.DOTALL)
ANNOTATION = re.compile(r"[TREAMN]\d\S*\s|#\S*\s|\*\s")  # what a line of BRAT's begins with
KINDS = {"R": "relation", "E": "event", "A": "attribute", "M": "attribute", "N": "normalisation", "#": "note"}
KINDS |= {"*": "equivalence"}
_DIGITS = 15  # of an offset; more is out of any range


def brat_form(path: Path, options: dict[str, Any]) -> tuple[Format, list[str]]:
    """Return the format of one .ann file or its .txt. Raises Unrecognised where no line is an annotation, and where the
    .txt is missing and no other .ann file has one: reading lists bad lines, and the annotations of a lost text.
    """
    annotations, text = path.with_suffix(".ann"), path.with_suffix(".txt")
    if not annotations.is_file():
        raise Unrecognised(f"{path.name} has no {annotations.name} beside it")
    if not text.is_file() and not any(p.with_suffix(".txt").is_file() for p in path.parent.glob("*.ann")):
        raise Unrecognised(f"{path.name} has no {text.name} beside it")
    written = [line for _, line in lines(annotations, options.get("encoding", "utf-8")) if line.strip()]
    if written and not any(map(ANNOTATION.match, written)):
        raise Unrecognised(f"{annotations.name}: no line of it is an annotation of BRAT's, such as {written[0][:60]!r}")
    seen = [f"{annotations.name} beside {text.name}: BRAT standoff"]
    return Format("brat", **{"documents": "files", **options}), seen


def read_brat(path: Path, form: Format, report: Report, progress: Progress | None = None) -> Iterator[Document]:
    """Yield the document of one .ann file and the .txt beside it; none without a .txt, whose entities are listed as
    problems.
    """
    where = Where(path.with_suffix(".ann").name, "the file", path.stem)
    has_text = path.with_suffix(".txt").is_file()
    text = "".join(pieces(path.with_suffix(".txt"), form.encoding, progress)) if has_text else ""
    spans, others = _annotations(path.with_suffix(".ann"), text, form, report)
    for span, reason in others:
        report.entities_in += 1
        list_span(span, where, reason, report)
    if not has_text:
        report.documents_in += 1
        report.entities_in += len(spans)
        reason = f"no text: there is no {path.stem}.txt"
        report.listed.append(Problem("document", *where, "", "", reason))
        for span in spans:
            list_span(span, where, reason, report)
        return
    yield document_of_text(SURROGATE.sub(REPLACEMENT, text), spans, where, form, report)


def _annotations(
    path: Path, text: str, form: Format, report: Report
) -> tuple[list[CharSpan], list[tuple[CharSpan, str]]]:
    """Return the spans of a file, and those that no range of the text can stand for, with the reason."""
    bounds: list[tuple[CharSpan, list[CharSpan], str]] = []  # a span, its parts, and why it is none if they are apart
    spans: list[CharSpan] = []
    others: list[tuple[CharSpan, str]] = []
    for number, line in joined_lines(path, form.encoding):
        if not line.startswith("T"):
            if line.strip():
                kind = KINDS.get(line[0]) if ANNOTATION.match(line) else None
                report.ignored[kind or "line of no known kind"] += 1
            continue
        match = BOUND.fullmatch(line)
        if not match:
            others.append((CharSpan(0, 0, "", line), f"no span: line {number} is not `T1 TAB TYPE START END TAB TEXT`"))
            continue
        ranges = [tuple(int(n[:_DIGITS]) for n in part.split(" ")) for part in match["ranges"].split(";")]
        span = CharSpan(ranges[0][0], ranges[-1][1], match["type"], match["text"])
        parts = [CharSpan(start, end, span.type) for start, end in ranges]
        bounds.append((span, parts, f"discontinuous: line {number} has the ranges {match['ranges'][:80]}"))
    _, unit = in_code_points(text, [span for span, *_ in bounds], form.offsets)
    moved = iter(in_code_points(text, [part for _, parts, _ in bounds for part in parts], unit)[0])
    for span, parts, reason in bounds:
        if _has_gaps([next(moved) for _ in parts], text):
            others.append((span, reason))
        else:
            spans.append(span)
    return spans, others


def joined_lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line; one that a line break in an annotated text has cut is put together again."""
    first, whole, wanted = 0, "", 0
    for number, line in lines(path, encoding):
        if wanted and not ANNOTATION.match(line) and len(whole) + 1 + len(line) <= wanted:
            whole = f"{whole}\n{line}"
            continue
        if first:
            yield first, whole
        match = BOUND.fullmatch(line)
        first, whole, wanted = number, line, 0
        if match and match["text"] is not None and ";" not in match["ranges"]:
            start, end = (int(n[:_DIGITS]) for n in match["ranges"].split(" "))
            wanted = match.start("text") + end - start
    if first:
        yield first, whole


def _has_gaps(parts: Sequence[CharSpan | None], text: str) -> bool:
    """Whether more than white space lies between the parts: BRAT itself ends one at each end of a line."""
    pairs = zip(parts, parts[1:], strict=False)
    return any(a and b and (a.end > b.start or bool(text[a.end : b.start].strip())) for a, b in pairs)
