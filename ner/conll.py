"""Read CoNLL-2003 columns: a token a line, its IOB2 tag last, a blank line after each sentence.

Format: https://www.clips.uantwerpen.be/conll2003/ner/ (columns split by single spaces; `-DOCSTART-` opens a document).
"""

from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, NamedTuple

from ner.errors import CorpusError, TagError
from ner.tags import first_orphan, split_tag

DOCSTART = "-DOCSTART-"
BLOCK = 1 << 20  # bytes of a file that are in memory at a time


class Sentence(NamedTuple):
    """One annotated sentence. document_id counts from 0 in its split; line is where it starts in the file, from 1."""

    document_id: int
    tokens: list[str]
    tags: list[str]
    line: int


def parse_conll(content: bytes | BinaryIO, where: str) -> Iterator[Sentence]:
    """Yield the sentences of one file, in order.

    content: the bytes of the file, or the file, of which a block is in memory at a time; where: its name, for messages.
    A file without `-DOCSTART-` lines is one document. The number of columns must be that of the first token line, 2 or
    more. Raises CorpusError with file and line for bytes that are not UTF-8, NUL bytes, a wrong column count, an empty
    token or an unfinished last line, and TagError for a tag or a sequence of tags that is not IOB2.
    """
    stream = BytesIO(content) if isinstance(content, bytes) else content
    document_id, columns, start = -1, 0, 1
    tokens: list[str] = []
    tags: list[str] = []
    number = 0
    for number, line in enumerate(_lines(stream, where), start=1):
        line = line.removesuffix("\r")
        if not line.strip() or line.startswith(DOCSTART):
            if tokens:
                document_id = max(document_id, 0)  # sentences before the first -DOCSTART- are a document of their own
                yield _sentence(document_id, tokens, tags, start, where)
                tokens, tags = [], []
            if line.startswith(DOCSTART):
                document_id += 1
            continue
        fields = line.split("\t" if "\t" in line else " ")
        columns = columns or len(fields)
        if len(fields) != columns or columns < 2 or not fields[0] or not fields[-1]:
            raise CorpusError(
                f"{where}, line {number}: {len(fields)} columns in {line!r}, expected "
                f"{max(columns, 2)} as on the first line, none of them empty; one space or tab separates them."
            )
        if not tokens:
            start = number
        tokens.append(fields[0])
        tags.append(fields[-1])
    if tokens:
        raise CorpusError(
            f"{where}, line {number}: the file ends inside a sentence (no blank line after {tokens[-1]!r}), so it is "
            "probably cut short: get it again, or end it with a blank line."
        )


def _lines(stream: BinaryIO, where: str) -> Iterator[str]:
    """What stands before, between and after the LFs of a file in UTF-8."""
    rest, number = b"", 1
    while block := stream.read(BLOCK):
        cut = block.rfind(b"\n") + 1
        if not cut:
            rest += block
            continue
        content, rest = rest + block[:cut], block[cut:]
        lines = _decode(content, where, number).split("\n")
        lines.pop()  # what comes after the last LF is in `rest`
        number += len(lines)
        yield from lines
    yield _decode(rest, where, number)


def _decode(content: bytes, where: str, first: int) -> str:
    """Whole lines as text; first: the number of the first of them."""
    nul = content.find(b"\0")
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + first
        raise CorpusError(f"{where}, line {line}: a NUL byte; annotated text has none, so get the file again.")
    try:
        return content.decode("utf-8-sig" if first == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + first
        raise CorpusError(
            f"{where}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8 (Latin-1, perhaps): "
            "convert the file with `iconv -f latin1 -t utf-8`."
        ) from None


def _sentence(document_id: int, tokens: list[str], tags: list[str], start: int, where: str) -> Sentence:
    for offset, tag in enumerate(tags):
        try:
            split_tag(tag)
        except TagError as error:
            raise TagError(f"{where}, line {start + offset}: {error}.") from None
    orphan = first_orphan(tags)
    if orphan is not None:
        previous = repr(tags[orphan - 1]) if orphan else "the start of the sentence"
        raise TagError(
            f"{where}, line {start + orphan}: tag {tags[orphan]!r} of {tokens[orphan]!r} follows {previous}, so it "
            f"continues no entity. IOB2 starts every entity with B-: write 'B-{tags[orphan][2:]}'."
        )
    return Sentence(document_id, tokens, tags, start)
