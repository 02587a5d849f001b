"""A sentence in CoNLL-2003's terms: tokens, IOB2 tags, its document, its line. ner.data.formats.columns reads the
files."""

from typing import NamedTuple

DOCSTART = "-DOCSTART-"


class Sentence(NamedTuple):
    """One annotated sentence. document_id counts from 0 in its split; line is where it starts in the file, from 1.

    place: file and record, where its tokens have no lines of their own; empty for columns.
    """

    document_id: int
    tokens: list[str]
    tags: list[str]
    line: int
    place: str = ""
