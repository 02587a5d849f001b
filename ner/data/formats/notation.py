"""Detects how a corpus writes its tags where that is not O and B-PER: another word for outside, a prefix in lower case,
in words, or behind the type.

    notation = detect_notation({"OTHER": 400, "PER-b": 20, "PER-i": 9})      # outside OTHER, the prefix as a suffix
    canonical("PER-b", *notation)                                            # "B-PER"
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ner.data.formats.schemes import LETTERS, MEMORY, PLAIN, PREFIXED

PREFIX, SUFFIX = "prefix", "suffix"  # of the type, in any of the usual ways
NOTATIONS = (PREFIX, SUFFIX)
OUTSIDE_WORDS = {
    "o", "[o]", "<o>", "out", "outside", "none", "no_entity", "no-entity", "noentity", "no_tag", "notag", "not_entity",
    "non-entity", "background",
}  # fmt: skip
MARKS = {"0", "_", "-", "--", "*"}  # outside, too, but other columns than those of tags have them as well
AMBIGUOUS = {"other", "others", "x", "no", "na", "n/a", "nan", "null", "nil", "default"}  # where most tokens have it
WORDS = {
    **dict.fromkeys(("begin", "beginning", "beg", "start"), "B"),
    **dict.fromkeys(("inside", "inner", "in", "cont", "continue"), "I"),
    **dict.fromkeys(("middle", "mid"), "M"),
    "end": "E",
    "last": "L",
    "single": "S",
    "singleton": "S",
    "unit": "U",
    "unique": "U",
    "whole": "W",
    **{letter.lower(): letter for letter in "BIESLUMW"},
}
_LETTER, _BETWEEN = f"(?P<letter>{'|'.join(sorted(WORDS, key=len, reverse=True))})", r"[-_:/.|+#~ \u2010-\u2015]+"
_FLAGS = re.IGNORECASE | re.DOTALL
WRITTEN = {
    PREFIX: re.compile(rf"{_LETTER}{_BETWEEN}(?P<type>.+)|(?P<alone>[BIESLUMW])", _FLAGS),
    SUFFIX: re.compile(rf"(?P<type>.+?){_BETWEEN}{_LETTER}|(?P<alone>[BIESLUMW])", _FLAGS),
}


class Notation(NamedTuple):
    """How tags are written. outside: the tag of tokens in no entity, None where there is none; order: one of NOTATIONS,
    None for B-PER or no prefix at all.
    """

    outside: str | None = "O"
    order: str | None = None


@lru_cache(MEMORY)
def canonical(tag: str, outside: str | None = "O", order: str | None = None) -> str:
    """Return a tag as the schemes here write it, O or B-PER; one that is not written so stays as it is."""
    if tag == outside:
        return "O"
    parts = _parts(tag, order) if order else None
    return "-".join(part for part in parts if part) if parts else tag


def detect_notation(counts: Mapping[str, int], scheme: str | None = None) -> Notation:
    """Return how the tags are written, given how often each occurs. scheme: where it is known."""
    outside = _outside(counts)
    types = [tag for tag in counts if tag != outside]
    if scheme == PLAIN:
        return Notation(outside)
    if outside is None:  # the one tag without a prefix, whatever it says
        bare = [tag for tag in types if not may_be_prefixed(tag)]
        if len(bare) == 1 and is_prefixed(rest := [tag for tag in types if tag != bare[0]]):
            outside, types = bare[0], rest
    return Notation(outside, None if all(map(PREFIXED.fullmatch, types)) else _order(types))


def is_prefixed(tags: Sequence[str]) -> bool:
    """Whether all of the tags have a prefix, in one of the ways that are understood."""
    return bool(tags) and (all(map(PREFIXED.fullmatch, tags)) or _order(tags) is not None)


def may_be_prefixed(tag: str) -> bool:
    """Whether a tag by itself looks as if it had a prefix."""
    return bool(PREFIXED.fullmatch(tag)) or any(_parts(tag, order) for order in NOTATIONS)


def _parts(tag: str, order: str) -> tuple[str, str | None] | None:
    match = WRITTEN[order].fullmatch(tag)
    return (WORDS[(match["letter"] or match["alone"]).lower()], match["type"]) if match else None


def _order(types: Sequence[str]) -> str | None:
    """Return the order in which all of the tags have prefix and type, as some scheme has them; None for another."""
    for order in NOTATIONS:
        parts = [_parts(tag, order) for tag in types]
        letters = {part[0] for part in parts if part}
        if all(parts) and letters & {"B", "I"} and any(letters <= {*scheme, "B"} for scheme in LETTERS.values()):
            return order
    return None


def _outside(counts: Mapping[str, int]) -> str | None:
    if "O" in counts:
        return "O"
    words = [tag for tag in counts if tag.casefold() in OUTSIDE_WORDS | MARKS]
    most = max(counts, key=lambda tag: counts[tag], default="")
    if not words and most.casefold() in AMBIGUOUS:
        return most
    return max(words, key=lambda tag: counts[tag], default=None)
