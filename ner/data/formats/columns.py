"""Reader of column files: a token per line, with its tag, and a blank line after each sentence.

CoNLL-2003 and its many relatives: two columns or more, separated by a tab, a space or blanks, the tag in any of them,
`-DOCSTART-` or `# newdoc` lines, comments, token numbers in the first column, a language prefix (WikiANN's `en:`).
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from ner.data.conll import DOCSTART, Sentence
from ner.data.formats.column_lines import (
    NEWDOC_MARK,
    Row,
    Start,
    document_start,
    first_rows,
    is_blank,
    misc_value,
    splitter,
)
from ner.data.formats.document import Document, Problem, Report
from ner.data.formats.format import BLANKS, SEPARATORS, SPACE, TAB, Format
from ner.data.formats.notation import canonical, may_be_prefixed
from ner.data.formats.schemes import BadTag, decode
from ner.data.formats.text_files import Progress, has_last_line_end, lines
from ner.errors import CorpusError, TagError
from ner.tags import spans_to_tags

LONGEST_SENTENCE = 50_000  # tokens; more is a file without blank lines, which would be read into memory whole
SUSPICIOUS = 1_000  # tokens
UNUSUAL = ("", "-", "#", " ", "\t", "\r")  # how lines begin that may be no token
_NUMBER = re.compile(r"(?P<first>\d+)(?P<more>[-.]\d+)?")


def blocks(
    path: Path, form: Format, report: Report | None = None, progress: Progress | None = None, strict: bool = False
) -> Iterator[Start | list[Row]]:
    """Yield the sentences of a file, each a list of rows, and the document lines between them, in order.

    strict: a line that begins with # is a token, and the last line has an end. Raises CorpusError, with file
    and line, for a wrong number of columns, an empty token or tag, a token without the prefix, a sentence without an
    end.
    """
    cells = _Cells(path.name, form)
    rows: list[Row] = []
    marks = "-" if strict else "-#"
    header = form.header
    plain = not (form.numbered or form.prefix or form.name == "conllu")
    split, columns, token_at, tag_at, known = cells.split, cells.columns, cells.token_at, cells.tag_at, cells.tags
    for number, line in lines(path, form.encoding, progress):
        if plain and 0 < len(rows) < LONGEST_SENTENCE and line[:1] not in UNUSUAL:  # nothing special, as nearly all
            fields = split(line)
            if len(fields) == columns and fields[token_at] and fields[tag_at]:
                rows.append(Row(number, fields[token_at], fields[tag_at]))
                known.add(fields[tag_at])
                continue
        blank = not line or is_blank(line)
        name = document_start(line) if not blank and line[0] in marks else None
        if blank or name is not None:
            if rows:
                yield rows
                rows = []
            cells.expected = None
            if name is not None:
                yield Start(DOCSTART if line.startswith(DOCSTART) else NEWDOC_MARK, name)
            continue
        if line.startswith("#") and not strict and not rows and cells.is_comment(line):
            if report is not None:
                report.ignored["comment"] += 1
            continue
        if header:
            header = False
            if report is not None:
                report.ignored["header line"] += 1
            continue
        row = cells.row(number, line, report)
        if row is None:
            continue
        rows.append(row)
        if len(rows) > LONGEST_SENTENCE:
            raise CorpusError(
                f"{path.name}, line {rows[0].line}: over {LONGEST_SENTENCE:,} tokens without a blank line: are the "
                "blank lines between sentences lost?"
            )
    if rows:
        if strict:
            _check_end(path, rows[-1], report)
        yield rows


def _check_end(path: Path, last: Row, report: Report | None) -> None:
    """Raise CorpusError where a file whose last sentence ends without a blank line ends inside of a line, too."""
    if not has_last_line_end(path):
        raise CorpusError(
            f"{path.name}, line {last.line}: the file ends inside the line of {last.token!r}, so it is "
            "probably cut short: get it again, or end it with a line break."
        )
    if report is not None:
        report.notes["file without a blank line after its last sentence (is it cut short?)"] += 1


class _Cells:
    """Converts lines to rows; remembers the tags seen and the number that the next token has."""

    def __init__(self, where: str, form: Format) -> None:
        self.where, self.form = where, form
        self.split = splitter(form.separator or "space")
        self.columns = form.columns or 2
        self.token_at, self.tag_at = (form.token_column or 1) - 1, (form.tag_column or self.columns) - 1
        self.tags = {"O", form.outside}
        self.expected: int | None = None

    def is_comment(self, line: str) -> bool:
        fields = self.split(line)
        if len(fields) != self.columns:
            return True
        tag = fields[self.tag_at]
        return self.form.name == "conllu" or not (tag in self.tags or may_be_prefixed(tag))

    def row(self, number: int, line: str, report: Report | None) -> Row | None:
        fields = self.split(line)
        if len(fields) != self.columns:
            raise CorpusError(self._wrong_count(number, line, len(fields)))
        if self.form.numbered and not self._is_word(fields[0], number, fields, report):
            return None
        token, tag = fields[self.token_at], fields[self.tag_at]
        if self.form.name == "conllu":
            tag = misc_value(tag, self.form.misc_key or "NER") or "O"
        if self.form.prefix:
            if not token.startswith(self.form.prefix):
                raise CorpusError(
                    f"{self.where}, line {number}: {token!r} does not begin with {self.form.prefix!r} as the others "
                    "do: name the prefix ('' for none) if they do not all have one."
                )
            token = token.removeprefix(self.form.prefix)
        if not token or not tag:
            raise CorpusError(f"{self.where}, line {number}: an empty {'tag' if token else 'token'} in {line!r}.")
        self.tags.add(tag)
        return Row(number, token, tag)

    def _wrong_count(self, number: int, line: str, count: int) -> str:
        shown = line if len(line) < 80 else f"{line[:77]}..."
        separator = self.form.separator
        hint = ""
        if separator != BLANKS and len(splitter(BLANKS)(line)) == self.columns:
            hint = f" Name the separator {BLANKS} if any number of spaces and tabs is one."
        return (
            f"{self.where}, line {number}: {count} columns in {shown!r}, expected {self.columns} separated by "
            f"{'spaces or tabs' if separator == BLANKS else f'one {separator}'}.{hint}"
        )

    def _is_word(self, cell: str, number: int, fields: Sequence[str], report: Report | None) -> bool:
        """Whether the line is a token of its own; a range (3-4) or an empty node (3.1) of CoNLL-U is none."""
        match = _NUMBER.fullmatch(cell)
        if not match:
            raise CorpusError(f"{self.where}, line {number}: {cell!r} is no token number as in the lines before.")
        if match["more"]:
            if report is not None:
                self._leave_out(number, fields, report)
            return False
        first = int(match["first"][:9])
        if self.expected is not None and first != self.expected:
            lost = " Is the blank line before it lost?" if first <= 1 else ""
            raise CorpusError(
                f"{self.where}, line {number}: token number {first} follows {self.expected - 1}, expected "
                f"{self.expected}.{lost}"
            )
        self.expected = first + 1
        return True

    def _leave_out(self, number: int, fields: Sequence[str], report: Report) -> None:
        report.ignored["multiword token or empty node (its words are read)"] += 1
        cell = fields[self.tag_at]
        tag = misc_value(cell, self.form.misc_key or "NER") if self.form.name == "conllu" else cell
        if tag and tag not in ("O", "_"):
            report.entities_in += 1
            reason = f"multiword token or empty node: tag {tag!r} is on it, and only its words are read"
            report.listed.append(
                Problem("entity", self.where, f"line {number}", "", fields[self.token_at], tag, reason)
            )


def read_columns(path: Path, form: Format, report: Report, progress: Progress | None = None) -> Iterator[Document]:
    """Yield the documents of a file; without document boundaries each sentence is one, named by its line.

    Raises CorpusError as `blocks` does, and TagError for tags that the scheme does not allow, with file and line.
    """
    name, ordinal = "", 0
    sentences: list[Sentence] = []
    for block in blocks(path, form, report, progress):
        if isinstance(block, Start):
            if form.documents != block.mark:
                continue
            if sentences:
                yield _document(name or str(ordinal), sentences, report)
            name, sentences, ordinal = block.name, [], ordinal + 1
            continue
        here = name or (str(ordinal) if form.documents else f"line {block[0].line}")
        sentences.append(sentence(block, path.name, here, form, report))
        if form.documents is None:
            yield _document(here, sentences, report)
            sentences = []
    if sentences:
        yield _document(name or str(ordinal), sentences, report)


def read_strict(path: Path, report: Report | None = None, progress: Progress | None = None) -> Iterator[Sentence]:
    """Yield the sentences of a file in CoNLL-2003's columns (token first, IOB2 tag last), without any repair.

    document_id counts from 0: a file without `-DOCSTART-` lines is one document. Separator (a space or a tab) and
    number of columns are those of the first token line. Raises CorpusError and TagError as `read_columns` does, and
    CorpusError for a last line without an end: the file may be cut short.
    """
    form, account = _strict_form(path), Report() if report is None else report
    number = -1
    for block in blocks(path, form, account, progress, strict=True):
        if isinstance(block, Start):
            number += 1
            continue
        number = max(number, 0)  # sentences before the first -DOCSTART- are a document of their own
        row = sentence(block, path.name, str(number + 1), form, account)._replace(document_id=number)
        yield _document(str(number + 1), [row], account).sentences[0]


def _strict_form(path: Path) -> Format:
    line = next((line for _, line in first_rows(path, "utf-8", 1)), "")
    separator = TAB if SEPARATORS[TAB] in line else SPACE
    columns = max(2, len(splitter(separator)(line)))
    return Format("conll", scheme="IOB2", separator=separator, columns=columns, documents=DOCSTART)


def _document(name: str, sentences: list[Sentence], report: Report) -> Document:
    report.documents_in += 1
    return report.keep(Document(name, sentences))


def sentence(rows: Sequence[Row], where: str, document: str, form: Format, report: Report) -> Sentence:
    """Return one sentence in IOB2. Raises TagError, with file and line, for tags that the scheme does not allow."""
    tags = [row.tag for row in rows]
    places = [f"line {row.line}" for row in rows]
    tokens = [row.token for row in rows]
    converted = convert(tokens, tags, places, where, document, form, report)
    if len(rows) > SUSPICIOUS:
        report.notes[f"sentence of over {SUSPICIOUS:,} tokens (is a blank line lost?)"] += 1
    return Sentence(0, tokens, converted, rows[0].line)


def convert(
    tokens: Sequence[str], tags: Sequence[str], places: Sequence[str], where: str, document: str, form: Format,
    report: Report,
) -> list[str]:  # fmt: skip
    """Convert tags of any scheme to IOB2, counted in the report. places: of each token, for messages.

    Raises TagError for a tag that the scheme does not have, and for a sequence that it forbids unless form.repair.
    """
    scheme = form.scheme or "IOB2"
    if form.outside or form.notation:
        tags = [canonical(tag, form.outside or "O", form.notation) for tag in tags]
    try:
        spans, faults = decode(tags, scheme, form.default_type)
    except BadTag as error:
        raise TagError(f"{where}, {places[error.index]}, {error}.") from None
    for wrong in faults:
        if not form.repair:
            other = " Scheme IOB1 reads it as the start of an entity." if scheme == "IOB2" else ""
            raise TagError(
                f"{where}, {places[wrong.at]}, token {tokens[wrong.at]!r}: {wrong.reason}, or set repair: true "
                f"to read all such places as conlleval does, each listed.{other}"
            )
        kind = tags[wrong.at].partition("-")[2]
        problem = Problem("entity", where, places[wrong.at], document, tokens[wrong.at], kind, wrong.reason)
        report.repaired.append(problem)
    report.entities_in += len(spans)
    return spans_to_tags(spans, len(tokens))
