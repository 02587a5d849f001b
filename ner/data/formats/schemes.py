"""Tag schemes: their rules, and the conversion of each to IOB2 and back.

    to_iob2(["I-PER", "I-PER", "O"], "IOB1")    # ["B-PER", "I-PER", "O"]

A scheme is the letters that the first, an inner and the last token of an entity have, and the only token of one.
Source: Tjong Kim Sang and Veenstra, "Representing Text Chunks" (EACL 1999); Ratinov and Roth, "Design Challenges and
Misconceptions in Named Entity Recognition" (CoNLL 2009) for BILOU.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ner.errors import TagError
from ner.tags import Span, spans_to_tags, tags_to_spans


class Letters(NamedTuple):
    first: str
    inner: str
    last: str
    only: str


MEMORY = 1 << 15  # distinct tags, and pairs of them, whose reading is remembered: a corpus has few
PLAIN = "PLAIN"  # a type with no prefix
LETTERS = {
    "IOB2": Letters("B", "I", "I", "B"),
    "IOB1": Letters("I", "I", "I", "I"),  # and B where an entity follows another one of its type
    "BIOES": Letters("B", "I", "E", "S"),
    "BILOU": Letters("B", "I", "L", "U"),
    "BMES": Letters("B", "M", "E", "S"),
    "BMEWO": Letters("B", "M", "E", "W"),
    "IOE2": Letters("I", "I", "E", "E"),
    "IO": Letters("I", "I", "I", "I"),
    PLAIN: Letters("I", "I", "I", "I"),
}
SCHEMES = tuple(LETTERS)
OTHER_NAMES = {
    "BIO": "IOB2",
    "IOB": "IOB1",
    "IOBES": "BIOES",
    "BILUO": "BILOU",
    "BMESO": "BMES",
    "BMEOW": "BMEWO",
}
_STARTS = {name: {s.first, s.only} - {s.inner, s.last} for name, s in LETTERS.items()}  # letters that must open
_ENDS = {name: {s.last, s.only} - {s.inner, s.first} for name, s in LETTERS.items()}  # letters that must close
_STARTS["IOB1"] = {"B"}
PREFIXED = re.compile(r"(?P<letter>[BIESLUMW])(?:[-_](?P<type>.+))?", re.DOTALL)


class Tag(NamedTuple):
    """One tag. letter: O, or one of the scheme's prefixes; type is empty for O."""

    letter: str
    type: str


OUTSIDE = Tag("O", "")


def scheme_name(name: str) -> str:
    """Return the name used here for a scheme, whatever it is called elsewhere. Raises TagError for an unknown one."""
    known = OTHER_NAMES.get(name.upper(), name.upper())
    if known not in LETTERS:
        raise TagError(f"{name!r} is no tag scheme known here: use {', '.join(SCHEMES)}.")
    return known


@lru_cache(MEMORY)
def parse_tag(tag: str, scheme: str, default_type: str | None = None) -> Tag:
    """Split a tag into prefix and type. Raises TagError, without a place, for one that the scheme does not have.

    default_type: the type of tags that are a letter alone (B, I), where the corpus has one type and does not say it.
    """
    if tag == "O":
        return OUTSIDE
    if scheme == PLAIN:
        return Tag("I", tag)
    match = PREFIXED.fullmatch(tag)
    letters = set(LETTERS[scheme]) | _STARTS[scheme]
    if not match or match["letter"] not in letters:
        expected = ", ".join(f"'{letter}-TYPE'" for letter in sorted(letters))
        raise TagError(f"tag {tag!r} is not {scheme}: expected 'O' or {expected}")
    entity_type = match["type"] or default_type
    if not entity_type:
        raise TagError(f"tag {tag!r} has no type: name the type that it means (default_type), or write '{tag}-TYPE'")
    return Tag(match["letter"], entity_type)


class BadTag(TagError):
    """A tag that the scheme does not have. index: its place in the sentence."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.index = index


class Fault(NamedTuple):
    """An invalid transition in a sequence of tags. at: the index of the tag to change."""

    at: int
    reason: str


@lru_cache(MEMORY)
def fault(previous: Tag, tag: Tag, scheme: str) -> Fault | None:
    """Return what is invalid about `tag` after `previous`, None if nothing.

    OUTSIDE stands before the first and after the last tag. Index -1 means `previous`, 0 means `tag`.
    """
    starts, ends, letters = _STARTS[scheme], _ENDS[scheme], LETTERS[scheme]
    is_open = previous.letter != "O" and previous.letter not in ends
    goes_on = is_open and tag.letter != "O" and tag.letter not in starts and tag.type == previous.type
    if is_open and ends and not goes_on:
        letter = letters.only if previous.letter in starts else letters.last
        return Fault(
            -1, f"{_show(previous)} is not followed by the end of its entity: write '{letter}-{previous.type}'"
        )
    if starts and scheme != "IOB1" and tag.letter != "O" and tag.letter not in starts and not goes_on:
        letter = letters.only if tag.letter in ends else letters.first
        before = "'O' or a sentence's edge" if previous == OUTSIDE else _show(previous)
        return Fault(0, f"{_show(tag)} follows {before}, so it continues no entity: write '{letter}-{tag.type}'")
    return None


def _show(tag: Tag) -> str:
    return f"'{tag.letter}-{tag.type}'"


def decode(tags: Sequence[str], scheme: str, default_type: str | None = None) -> tuple[list[Span], list[Fault]]:
    """Return the entities of a sentence and its invalid transitions, at which entities are read as conlleval would.

    Raises BadTag for a tag that the scheme does not have.
    """
    spans: list[Span] = []
    faults: list[Fault] = []
    previous, start = OUTSIDE, 0
    for index, raw in enumerate([*tags, "O"]):
        try:
            tag = parse_tag(raw, scheme, default_type)
        except TagError as error:
            raise BadTag(f"token {index + 1}: {error}", index) from None
        if wrong := fault(previous, tag, scheme):
            faults.append(Fault(index + wrong.at, wrong.reason))
        is_open = previous.letter != "O" and previous.letter not in _ENDS[scheme]
        goes_on = is_open and tag.letter not in _STARTS[scheme] and tag.type == previous.type
        if previous.letter != "O" and not goes_on:
            spans.append(Span(start, index, previous.type))
        if not goes_on:
            start = index
        previous = tag
    return spans, faults


def to_iob2(tags: Sequence[str], scheme: str, default_type: str | None = None) -> list[str]:
    """Convert tags of a scheme to IOB2. Raises TagError, beginning with `token N`, for an invalid sequence."""
    spans, faults = decode(tags, scheme_name(scheme), default_type)
    if faults:
        raise TagError(f"token {faults[0].at + 1}: {faults[0].reason}.")
    return spans_to_tags(spans, len(tags))


def from_iob2(tags: Sequence[str], scheme: str) -> list[str]:
    """Convert IOB2 tags to another scheme. Raises TagError for entities that it cannot tell apart."""
    scheme = scheme_name(scheme)
    written = ["O"] * len(tags)
    before = Span(-1, -1, "")
    letters = LETTERS[scheme]
    for span in tags_to_spans(tags):
        adjoins = before.end == span.start and before.type == span.type
        if adjoins and scheme in ("IO", PLAIN):
            raise TagError(f"token {span.start + 1}: {scheme} cannot tell adjoining entities of one type apart.")
        if scheme == PLAIN and span.type == "O":
            raise TagError(f"token {span.start + 1}: a type named 'O' cannot be written without a prefix.")
        length = span.end - span.start
        row = letters.only if length == 1 else letters.first + letters.inner * (length - 2) + letters.last
        row = "B" + row[1:] if adjoins and scheme == "IOB1" else row
        written[span.start : span.end] = [span.type if scheme == PLAIN else f"{letter}-{span.type}" for letter in row]
        before = span
    return written
