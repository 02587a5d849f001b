"""Units of character offsets: code points here; UTF-16 units in JavaScript, bytes in some tools, no CR in others.

An annotation that says its own text shows which it is: offsets that miss it in one unit and hit it in another are in
the other. Without such texts offsets are taken for code points, or for what `Format.offsets` says.
"""

from collections.abc import Callable, Sequence

from ner.data.formats.document import CharSpan

CODE_POINTS, UTF16, UTF8, NO_CR, INCLUSIVE = "code points", "utf-16", "utf-8", "no-cr", "inclusive"
UNITS = (CODE_POINTS, UTF16, UTF8, NO_CR, INCLUSIVE)  # inclusive: code points, with `end` on the last character


def in_code_points(text: str, spans: Sequence[CharSpan], unit: str | None = None) -> tuple[list[CharSpan | None], str]:
    """Return the spans with offsets in code points, None for one that begins or ends inside a character; and the unit.

    unit: one of UNITS, None to find out from the spans' own texts; the first that hits most of them is taken.
    """
    if unit:
        return _converted(text, spans, unit), unit
    quoted = [span for span in spans if span.text]
    best, most = CODE_POINTS, _hits(text, quoted)
    for other in UNITS[1:] if most < len(quoted) else ():
        if (hits := _hits(text, _converted(text, quoted, other))) > most:
            best, most = other, hits
    return _converted(text, spans, best), best


def same(text: str, annotated: str) -> bool:
    """Whether a text is the one that an annotation tells; tools write white space in it as they like."""
    return text == annotated or text.split() == annotated.replace("\\n", "\n").split()


def _hits(text: str, spans: Sequence[CharSpan | None]) -> int:
    inside = [span for span in spans if span and 0 <= span.start < span.end <= len(text)]
    return sum(same(text[span.start : span.end], span.text or "") for span in inside)


def _converted(text: str, spans: Sequence[CharSpan], unit: str) -> list[CharSpan | None]:
    if unit == CODE_POINTS:
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
