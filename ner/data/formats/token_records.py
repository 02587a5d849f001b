"""Reader of records with a list of tokens and a list of tags, a sentence each; and of CSV files with a token per
row.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from ner.data.conll import Sentence
from ner.data.formats.column_lines import Row, row_place
from ner.data.formats.columns import LONGEST_SENTENCE, convert, sentence
from ner.data.formats.containers.arrow_tables import is_parquet, label_names
from ner.data.formats.containers.csv_files import csv_rows
from ner.data.formats.document import Document, Report
from ner.data.formats.format import Format
from ner.data.formats.record_files import records
from ner.data.formats.scheme_detection import Transitions
from ner.data.formats.text_files import Progress
from ner.data.formats.token_spans import read_token_spans
from ner.errors import CorpusError, TagError


def token_sentences(
    path: Path, form: Format, progress: Progress | None = None
) -> Iterator[tuple[str, str | None, list[str], list[str]]]:
    """Yield place, document, tokens and tags, as they are written, of each record.

    document: None where the records name none. Raises CorpusError or TagError, with file and place, for a record
    without the two lists, lists of different length, an empty token, a tag id without a label.
    """
    for place, record in records(path, form.encoding, form.separator, progress):
        where = f"{path.name}, {place}"
        if not isinstance(record, dict):
            raise CorpusError(f"{where}: {str(record)[:60]!r} is no object with {form.tokens_field}.")
        tokens = _strings(record, form.tokens_field or "tokens", where)
        tags = _tags(record, form, where)
        if len(tokens) != len(tags):
            raise CorpusError(
                f"{where}: {len(tokens)} tokens in {form.tokens_field!r}, {len(tags)} tags in {form.tags_field!r}; "
                "each token needs one."
            )
        if not all(tokens):
            raise CorpusError(f"{where}: token {tokens.index('') + 1} is empty: take it out together with its tag.")
        document = record.get(form.document_field) if form.document_field else None
        yield place, None if document is None else str(document), tokens, tags


def _list(record: dict[str, Any], field: str, where: str) -> list[Any]:
    value = record.get(field)
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list):
        has = ", ".join(map(str, record))[:200]
        raise CorpusError(f"{where}: no list in {field!r} (it has {has or 'nothing'}); name the field.")
    return value


def _strings(record: dict[str, Any], field: str, where: str) -> list[str]:
    values = _list(record, field, where)
    wrong = [value for value in values if not isinstance(value, str)]
    if wrong:
        raise CorpusError(f"{where}: {str(wrong[0])[:60]!r} in {field!r} is no text.")
    return values


def _tags(record: dict[str, Any], form: Format, where: str) -> list[str]:
    field = form.tags_field or "tags"
    values = _list(record, field, where)
    if not any(_is_id(value) for value in values):
        return _strings(record, field, where)
    labels = form.labels
    if labels is None:
        raise CorpusError(
            f"{where}: the tags in {field!r} are numbers ({', '.join(map(str, values[:8]))}): list what they stand for "
            "as labels, the one of 0 first."
        )
    for value in values:
        if not _is_id(value) or not 0 <= value < len(labels):
            raise TagError(f"{where}: tag {value!r} is no id of the {len(labels)} labels, 0 to {len(labels) - 1}.")
    return [labels[value] for value in values]


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def scan_tokens(paths: Sequence[Path], form: Format, progress: Progress | None = None) -> Transitions:
    """Return the tags of whole files. Raises CorpusError as reading them does."""
    seen = Transitions()
    for path in paths:
        for place, _, _, tags in token_sentences(path, form, progress):
            if tags:
                seen.add(tags, partial(_token_place, f"{path.name}, {place}"))
    return seen


def _token_place(where: str, index: int) -> str:
    return f"{where}, token {index + 1}"


def read_tokens(path: Path, form: Format, report: Report, progress: Progress | None = None) -> Iterator[Document]:
    """Yield the documents of a file; neighbours that name one document are in one, else each record is one.

    A record without tokens is a sentence of none: it is counted in the notes and left out, there is nothing in it.
    """
    if form.spans_field:
        yield from read_token_spans(path, form, report, progress)
        return
    current = ""
    sentences: list[Sentence] = []
    for place, named, tokens, tags in token_sentences(path, form, progress):
        if sentences and (named is None or named != current):
            yield _document(current, sentences, report)
            sentences = []
        if not tokens:
            report.notes["record without tokens"] += 1
            continue
        current = named if named is not None else place
        places = [f"{place}, token {index + 1}" for index in range(len(tokens))]
        converted = convert(tokens, tags, places, path.name, current, form, report)
        sentences.append(Sentence(0, tokens, converted, int(place.split()[1])))
    if sentences:
        yield _document(current, sentences, report)


def is_hub_form(path: Path) -> bool:
    """Whether a file is parquet as the hub keeps it: lists `tokens` and `ner_tags`, and ids that name IOB2 tags."""
    names = label_names(path, "ner_tags") if is_parquet(path) else None
    return (
        bool(names)
        and all(name == "O" or name[:2] in ("B-", "I-") for name in names or ())
        and any(isinstance(row, dict) and isinstance(row.get("tokens"), list) for _, row in islice(records(path), 1))
    )


def read_hub_form(
    path: Path,
    tokens_field: str,
    tags_field: str,
    labels: Sequence[str] | None = None,
    report: Report | None = None,
    progress: Progress | None = None,
) -> Iterator[Sentence]:
    """Yield the sentences of parquet as the hub keeps it, which must be IOB2; document_id and line are 0, it has
    neither.

    labels: what the tag ids stand for, where the file does not say it itself. Raises CorpusError for a file that cannot
    be read, lacks a field or says other labels, TagError for tags that are not IOB2; with the file and the row.
    """
    own = label_names(path, tags_field)
    if own and labels and own != tuple(labels):
        raise CorpusError(f"{path.name} says that its labels are {own}, the entry in catalog.yaml says {labels}.")
    names = own or (tuple(labels) if labels else None)
    form = Format("tokens", scheme="IOB2", tokens_field=tokens_field, tags_field=tags_field, labels=names)
    for document in read_tokens(path, form, Report() if report is None else report, progress):
        yield from (row._replace(line=0) for row in document.sentences)


def _document(name: str | None, sentences: list[Sentence], report: Report) -> Document:
    report.documents_in += 1
    return report.keep(Document(str(name), sentences))


def token_rows(path: Path, form: Format, progress: Progress | None = None) -> Iterator[tuple[str | None, list[Row]]]:
    """Yield document and rows of each sentence of a CSV file with a token per row.

    A sentence ends at an empty row, where the sentence column has another value (in files that fill it in on the first
    token alone, any value), and where the document column has. Raises CorpusError, with file and line, for a missing
    column, a tag without a token, a token without a tag.
    """
    rows: list[Row] = []
    current: tuple[str, str] = ("", "")
    for number, cells in csv_rows(path, form.encoding, form.separator or "comma", progress, form.quotes):
        token, tag = _cell(cells, form.tokens_field, path), _cell(cells, form.tags_field, path)
        key = _key(cells, form, current)
        if rows and (key != current or not (token or tag)):
            yield _named(current, form), rows
            rows = []
        current = key
        if not token and not tag:
            continue
        if not token or not tag:
            raise CorpusError(f"{path.name}, line {number}: an empty {'tag' if token else 'token'}.")
        if "\n" in token or "\n" in tag:
            raise CorpusError(
                f"{path.name}, line {number}: a line break inside {(token + tag)[:40]!r}: a quotation mark that is a "
                "token opened a cell over several lines; say quotes: false."
            )
        rows.append(Row(number, token, tag))
        if len(rows) > LONGEST_SENTENCE:
            raise CorpusError(
                f"{path.name}, line {rows[0].line}: over {LONGEST_SENTENCE:,} tokens in one sentence: name the column "
                "that tells sentences apart (sentence_field)."
            )
    if rows:
        yield _named(current, form), rows


def _cell(cells: dict[str, str], field: str | None, path: Path) -> str:
    if field not in cells:
        raise CorpusError(f"{path.name}, line 1: no column {field!r}, it has {', '.join(cells)[:200]}.")
    return cells[field]


def _key(cells: dict[str, str], form: Format, before: tuple[str, str]) -> tuple[str, str]:
    names = [cells.get(field or "", "").strip() for field in (form.document_field, form.sentence_field)]
    return names[0] or before[0], names[1] or before[1]


def _named(key: tuple[str, str], form: Format) -> str | None:
    return key[0] if form.document_field else None


def scan_rows(paths: Sequence[Path], form: Format, progress: Progress | None = None) -> Transitions:
    """Return the tags of whole CSV files with a token per row."""
    seen = Transitions()
    for path in paths:
        for _, rows in token_rows(path, form, progress):
            seen.add([row.tag for row in rows], partial(row_place, path, rows))
    return seen


def read_rows(path: Path, form: Format, report: Report, progress: Progress | None = None) -> Iterator[Document]:
    """Yield the documents of a CSV file with a token per row; without a document column each sentence is one."""
    current = ""
    sentences: list[Sentence] = []
    for named, rows in token_rows(path, form, progress):
        if sentences and (named is None or named != current):
            yield _document(current, sentences, report)
            sentences = []
        current = named if named is not None else f"line {rows[0].line}"
        sentences.append(sentence(rows, path.name, current, form, report))
    if sentences:
        yield _document(current, sentences, report)
