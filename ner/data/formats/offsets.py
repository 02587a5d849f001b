"""Units of character offsets: code points here; UTF-16 units in JavaScript, bytes in some tools, no CR in others.

An annotation that says its own text shows which it is: offsets that miss it in one unit and hit it in another are in
the other. Without such texts `told_by_texts` tells UTF-16 units from code points where a character beyond the first
65,536 makes them differ: by the ends of words, and by names that stand elsewhere in the corpus.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence

from ner.data.formats.document import CharSpan
from ner.errors import CorpusError
from ner.inference.text import is_unspaced

CODE_POINTS, UTF16, UTF8, NO_CR, INCLUSIVE = "code points", "utf-16", "utf-8", "no-cr", "inclusive"
EXCLUSIVE = "exclusive"  # of spans of tokens, the counterpart of inclusive: `end` is one past the last
TOLD = (UTF16, UTF8, NO_CR, INCLUSIVE)  # inclusive: code points, with `end` on the last character
UNITS = (CODE_POINTS, *TOLD, EXCLUSIVE)


def in_code_points(text: str, spans: Sequence[CharSpan], unit: str | None = None) -> tuple[list[CharSpan | None], str]:
    """Return the spans with offsets in code points, None for one that begins or ends inside a character; and the unit.

    unit: one of UNITS, None to find out from the spans' own texts; the first that hits most of them is taken.
    """
    if unit:
        return _converted(text, spans, unit), unit
    quoted = [span for span in spans if span.text]
    best, most = CODE_POINTS, _hits(text, quoted)
    for other in TOLD if most < len(quoted) else ():
        if (hits := _hits(text, _converted(text, quoted, other))) > most:
            best, most = other, hits
    return _converted(text, spans, best), best


def same(text: str, annotated: str) -> bool:
    """Whether a text is the one that an annotation tells; tools write white space in it as they like."""
    return text == annotated or text.split() == annotated.replace("\\n", "\n").split()


def in_utf16(text: str, offset: int) -> int:
    """Return an offset in code points as browsers count it: characters beyond the first 65,536 count as two."""
    return offset + sum(character > "\uffff" for character in text[:offset])


def told_by_texts(documents: Iterable[tuple[str, str, Sequence[CharSpan]]]) -> str | None:
    """Return the unit of offsets that no annotation's own text tells; None where both units read the same everywhere.

    documents: a place, a text and its spans. Raises CorpusError where the readings differ and neither is clearly right.
    """
    names: set[str] = set()
    differing: list[tuple[str, tuple[str, str], tuple[bool, bool]]] = []
    for place, text, spans in documents:
        silent = [span for span in spans if span.text is None]
        for a, b in zip(silent, _converted(text, silent, UTF16), strict=True):
            if _trimmed(text, a) == _trimmed(text, b):
                names.add(text[a.start : a.end])
            elif len(differing) < _MOST:
                shown = f"{place}: [{a.start}, {a.end})", (text[a.start : a.end], text[b.start : b.end] if b else "")
                differing.append((*shown, (_is_clean(text, a), _is_clean(text, b))))
    if not differing:
        return None
    for marks in (
        [clean for *_, clean in differing],
        [tuple(r in names for r in readings) for _, readings, _ in differing],
    ):
        counts = [sum(of_unit) for of_unit in zip(*marks, strict=True)]
        if max(counts) * 2 >= len(differing) and min(counts) * 2 <= max(counts):
            return UTF16 if counts[1] > counts[0] else CODE_POINTS
    place, (as_points, as_utf16), _ = differing[0]
    raise CorpusError(
        f"{place} reads {as_points!r} in code points, {as_utf16!r} in UTF-16 units, which browsers and doccano count, "
        f"and the texts do not tell which is meant (nor do {len(differing) - 1:,} others): say offsets=utf-16 or "
        "'offsets=code points' (with --set)."
    )


_MOST = 10_000  # spans that are compared


def are_inclusive(documents: Iterable[tuple[str, str, Sequence[CharSpan]]]) -> bool:
    """Whether the ends of spans without an own text are on their last character, by where words end.

    Raises CorpusError where about as many spans tell the one as the other.
    """
    counts, first = [0, 0], ""
    for place, text, spans in documents:
        for span in spans:
            other = span._replace(end=span.end + 1)
            marks = _is_clean(text, span), _is_clean(text, other)
            if all(marks) and text[span.end] in ".)":  # of a sentence rather than of the name
                marks = True, False
            if span.text is None and marks[0] != marks[1]:
                counts[marks[1]] += 1
                readings = f"{text[span.start : span.end]!r}, {text[span.start : other.end]!r} if the end is inclusive"
                first = first or f"{place}: [{span.start}, {span.end}) reads {readings}"
    if counts[1] and max(counts) < 2 * min(counts):
        raise CorpusError(
            f"{first}: {counts[1]:,} spans end with a word if their ends are inclusive, {counts[0]:,} if they are not: "
            "say offsets=inclusive or offsets=exclusive (with --set)."
        )
    return counts[1] > counts[0]


def _trimmed(text: str, span: CharSpan | None) -> tuple[int, str] | None:
    """Return where a span begins, and what it holds, without white space at its edges."""
    if span is None:
        return None
    inner = text[max(span.start, 0) : max(span.end, 0)]
    return span.start + len(inner) - len(inner.lstrip()), inner.strip()


def _is_clean(text: str, span: CharSpan | None) -> bool:
    """Whether a span begins and ends as a name does: at the end of a word, and with no space or mark."""
    if span is None or not 0 <= span.start < span.end <= len(text):
        return False
    first, last = text[span.start], text[span.end - 1]
    around = (text[span.start - 1 : span.start], first), (last, text[span.end : span.end + 1])
    if any(unicodedata.category(edge)[0] in "ZPSC" for edge in (first, last if last not in ".)" else "a")):
        return False
    return not any(a.isalnum() and b.isalnum() and not is_unspaced(a) and not is_unspaced(b) for a, b in around)


def _hits(text: str, spans: Sequence[CharSpan | None]) -> int:
    inside = [span for span in spans if span and 0 <= span.start < span.end <= len(text)]
    return sum(same(text[span.start : span.end], span.text or "") for span in inside)


def _converted(text: str, spans: Sequence[CharSpan], unit: str) -> list[CharSpan | None]:
    if unit in (CODE_POINTS, EXCLUSIVE):
        return list(spans)
    if unit == INCLUSIVE:
        return [span._replace(end=span.end + 1) for span in spans]
    places = _places(text, _WIDTH[unit])
    total, past = places[-1], len(text)

    def at(offset: int) -> int | None:
        if offset < 0 or offset > total:
            return offset if offset < 0 else past + offset - total  # stays out of range
        return index.get(offset)

    index = {place: position for position, place in reversed(list(enumerate(places)))}
    moved = [(span, at(span.start), at(span.end)) for span in spans]
    return [None if s is None or e is None else span._replace(start=s, end=e) for span, s, e in moved]


def _places(text: str, width: Callable[[str], int]) -> list[int]:
    """Return the offset of each character, and of the end, in a unit."""
    places, place = [0], 0
    for character in text:
        place += width(character)
        places.append(place)
    return places


_WIDTH: dict[str, Callable[[str], int]] = {
    UTF16: lambda c: 2 if c > "\uffff" else 1,
    UTF8: lambda c: len(c.encode("utf-8", "surrogatepass")),
    NO_CR: lambda c: 0 if c == "\r" else 1,
}
