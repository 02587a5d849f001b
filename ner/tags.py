"""IOB2 tags, entity types and spans.

In IOB2 the first token of every entity has B-TYPE, the others I-TYPE, and tokens outside have O.
Source: Tjong Kim Sang and Veenstra, "Representing Text Chunks" (EACL 1999).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from ner.errors import TagError


class Span(NamedTuple):
    """A typed, half-open range of tokens: `start` is the first, `end` is one past the last."""

    start: int
    end: int
    type: str


@lru_cache(1 << 12)
def split_tag(tag: str) -> tuple[str, str]:
    """Split a tag: ('B', 'PER') for 'B-PER', ('O', '') for 'O'. Raises TagError for anything that is not IOB2."""
    prefix, dash, entity_type = tag.partition("-")
    if tag == "O":
        return "O", ""
    if prefix not in ("B", "I") or not dash or not entity_type:
        raise TagError(f"tag {tag!r} is not IOB2: expected 'O', 'B-TYPE' or 'I-TYPE'")
    return prefix, entity_type


def first_orphan(tags: Sequence[str]) -> int | None:
    """Return the index of the first I- tag that continues no entity of its type, None where the sequence is valid IOB2.

    Raises TagError for a tag that is no IOB2 tag.
    """
    previous_type = ""
    for index, tag in enumerate(tags):
        prefix, entity_type = split_tag(tag)
        if prefix == "I" and entity_type != previous_type:
            return index
        previous_type = entity_type
    return None


def tags_to_spans(tags: Sequence[str]) -> list[Span]:
    """Return the entities of one sentence, by conlleval's reading: an I- tag that continues nothing starts an entity.

    tags: one a token. Returns half-open spans in order. Raises TagError for a tag that is no IOB2 tag.
    """
    spans: list[Span] = []
    if tags.count("O") == len(tags):  # as most sentences are
        return spans
    start, open_type = 0, ""
    for index, tag in enumerate([*tags, "O"]):
        prefix, entity_type = split_tag(tag)
        if open_type and (prefix != "I" or entity_type != open_type):
            spans.append(Span(start, index, open_type))
            open_type = ""
        if prefix != "O" and not open_type:
            start, open_type = index, entity_type
    return spans


def spans_to_tags(spans: Iterable[Span], length: int) -> list[str]:
    """Return IOB2 tags of a sentence of `length` tokens. Raises TagError for spans that overlap or lie outside."""
    tags = ["O"] * length
    for span in spans:
        if not 0 <= span.start < span.end <= length:
            raise TagError(f"span {tuple(span)} lies outside a sentence of {length} tokens")
        if any(tag != "O" for tag in tags[span.start : span.end]):
            raise TagError(f"span {tuple(span)} overlaps another one")
        tags[span.start : span.end] = [f"B-{span.type}"] + [f"I-{span.type}"] * (span.end - span.start - 1)
    return tags


def label_names(entity_types: Iterable[str]) -> list[str]:
    """Return O, then B- and I- of each type in alphabetical order: equal lists whatever order the corpus has them
    in.
    """
    return ["O", *(f"{prefix}-{entity_type}" for entity_type in sorted(set(entity_types)) for prefix in "BI")]
