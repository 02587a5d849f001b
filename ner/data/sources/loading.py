"""Reads the files of a corpus to sentences in splits, with the counts of what was read, kept and left out.

    corpus = load(fetch_corpus(source, catalogue, scratch), source)      # corpus.rows["train"], corpus.reading

Files without a `format` are CoNLL-2003's columns or the hub's parquet and held to every rule; of those with one
in = kept + listed. Then come the catalogue's `types`, and the splits that are missing. Sentences are
on the disk (ner/data/sources/sentence_store.py): in memory are the names of documents, what is listed, and a chunk of
sentences.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ner.common.progress import on_progress
from ner.data.conll import DOCSTART, Sentence
from ner.data.fingerprint import SPLITS
from ner.data.formats import Document, Format, Problem, Report, read
from ner.data.formats.columns import read_strict
from ner.data.formats.text_files import Progress
from ner.data.formats.token_records import read_hub_form
from ner.data.sources.catalog_entries import ALL, UNLABELLED, AnyCorpus, Corpus, HubCorpus, Shares, Typed
from ner.data.sources.corpora import FetchedCorpus
from ner.data.sources.manifest import Origin, check_expected, describe, expected_of, file_names, origin_of
from ner.data.sources.sentence_store import DerivedRows, Rows, StoredRows
from ner.data.sources.splits import make_splits
from ner.data.sources.type_map import LEFT_OUT, check_types, map_types
from ner.errors import CorpusError
from ner.tags import Span


@dataclass
class LoadedCorpus:
    """A corpus before it is written.

    about: what the manifest says of it first. rows: the sentences of each of SPLITS, document_id from 0 in each.
    reading: the account of each split as it was read. extra: the keys of the manifest that only a corpus with a format,
    types, made splits or several sources has.
    """

    about: dict[str, Any]
    rows: dict[str, Rows]
    origins: dict[str, Origin]
    expected: dict[str, dict[str, int]] | None
    reading: dict[str, Report]
    extra: dict[str, Any]
    unlabelled: Rows | None = None
    unlabelled_origin: Origin | None = None


@dataclass
class _Read:
    """One split as it was read."""

    rows: StoredRows
    report: Report
    names: dict[int, tuple[str, str]] = field(default_factory=dict)  # file and name of each document, by its number


def load(fetched: FetchedCorpus, source: str, typed: Typed | None = None, scratch: Path | None = None) -> LoadedCorpus:
    """Read every file, rename types, make the missing splits, and return the corpus.

    typed: the types that a join asks for, after those of the entry itself. scratch: the folder on whose disk sentences
    are kept; None: where the system has its temporary files. Raises CorpusError or TagError for what
    cannot be read or divided, CatalogError for types that there are not.
    """
    splits = {key: _read(fetched, key, paths, scratch) for key, paths in fetched.files.items()}
    about = describe(fetched, source, _has_documents(fetched))
    labelled = {key: part for key, part in splits.items() if key != UNLABELLED}
    extra = _format_keys(fetched) | _map_all(labelled, [fetched.entry, typed], source)
    rows: dict[str, Rows] = {key: part.rows for key, part in labelled.items()}
    expected = expected_of(fetched.entry)
    if set(rows) != set(SPLITS):
        check_expected(expected, {key: part.report for key, part in labelled.items()})
        expected = {key: counts for key, counts in (expected or {}).items() if key in SPLITS[1:]} or None
        shares = getattr(fetched.entry, "split", None) or Shares()
        rows, extra["split"] = make_splits(rows, shares, about["document_boundaries"], scratch)
        about["in_order"] = about["in_order"] and about["document_boundaries"]
    boundaries, in_order = about["document_boundaries"], about["in_order"]
    whole = fetched.files.get(ALL) or fetched.files.get("train") or []
    unlabelled = splits.get(UNLABELLED)
    return LoadedCorpus(
        about=about,
        rows={split: _with_documents(rows[split], boundaries, in_order) for split in SPLITS},
        origins={split: origin_of(fetched.files.get(split, whole)) for split in SPLITS},
        expected=expected,
        reading={key: _balanced(part, key) for key, part in splits.items()},
        extra=extra,
        unlabelled=unlabelled.rows if unlabelled else None,
        unlabelled_origin=origin_of(fetched.files[UNLABELLED]) if unlabelled else None,
    )


def _format_keys(fetched: FetchedCorpus) -> dict[str, Any]:
    if fetched.format is None:
        return {}
    keys: dict[str, Any] = {"format": _language(fetched.format, fetched.entry).settings()}
    return keys | ({"left_out_files": fetched.left_out} if fetched.left_out else {})


# ---- files to rows


def _read(fetched: FetchedCorpus, key: str, paths: list[Path], scratch: Path | None) -> _Read:
    form = fetched.unlabelled if key == UNLABELLED else fetched.format
    split = _Read(StoredRows(scratch), Report())
    if form is None:
        _strictly(split, paths, fetched.entry, key)
    else:
        _by_readers(split, paths, _language(form, fetched.entry), key)
    if not split.rows:
        raise CorpusError(f"{file_names(paths)} holds no sentence.")
    return split


def _strictly(split: _Read, paths: list[Path], entry: AnyCorpus | None, key: str) -> None:
    """Read CoNLL-2003's columns or the hub's parquet without repair; documents are counted through all files."""
    report = split.report
    for path, progress in _with_progress(paths, key):
        first = split.rows.documents
        for row in _strict_sentences(path, entry, report, progress):
            number = first + row.document_id
            split.names.setdefault(number, (path.name, str(number + 1)))
            split.rows.add(row._replace(document_id=number))
    report.documents_in = report.documents = len(split.names)


def _strict_sentences(path: Path, entry: AnyCorpus | None, report: Report, progress: Progress) -> Iterator[Sentence]:
    if path.suffix != ".parquet":
        return read_strict(path, report, progress)
    if isinstance(entry, HubCorpus):
        return read_hub_form(path, entry.tokens_column, entry.tags_column, entry.labels, report, progress)
    return read_hub_form(path, "tokens", "ner_tags", None, report, progress)


def _by_readers(split: _Read, paths: list[Path], form: Format, key: str) -> None:
    number = 0
    for path, progress in _with_progress(paths, key):
        for document in read(path, form, split.report, progress):
            rows = _usable(document, key, path)
            if not rows:
                split.report.notes["document without a token, which has no row"] += 1
                continue
            split.names[number] = (path.name, document.name)
            for row in rows:
                split.rows.add(row._replace(document_id=number))
            number += 1


def _with_progress(paths: list[Path], key: str) -> Iterator[tuple[Path, Progress]]:
    """Yield each file with a callback that counts through all of them."""
    say, before = on_progress(f"reading {key}"), 0
    total = sum(path.stat().st_size for path in paths)
    for path in paths:
        yield path, partial(_count_on, say, before, total)
        before += path.stat().st_size


def _count_on(say: Progress, before: int, total: int, done: int, size: int) -> None:
    """`done` of one file, as a part of all files."""
    say(before + done, total)


def _usable(document: Document, key: str, path: Path) -> list[Sentence]:
    if key == UNLABELLED:
        return [row._replace(tags=["O"] * len(row.tokens)) for row in document.sentences]
    if not document.labelled:
        raise CorpusError(
            f"{path.name} ({key}) holds texts that nobody annotated: name the field of the annotations "
            f"(spans_field) in its format, or carry it along as the split `{UNLABELLED}`."
        )
    return document.sentences


def _language(form: Format, entry: AnyCorpus | None) -> Format:
    """Return the format with the language of the entry, if it has none: prediction tokenizes like the corpus."""
    language = entry.language if isinstance(entry, Corpus) else None
    return replace(form, language=language) if form.language is None and language else form


def _has_documents(fetched: FetchedCorpus) -> bool:
    if fetched.format is not None:
        return fetched.format.documents is not None
    return all(_marks_documents(path) for key, paths in fetched.files.items() for path in paths if key != UNLABELLED)


def _marks_documents(path: Path) -> bool:
    if path.suffix == ".parquet":
        return False
    with path.open("rb") as stream:
        return any(line.startswith(DOCSTART.encode()) for line in stream)


# ---- types


def _map_all(splits: dict[str, _Read], entries: list[Any], source: str) -> dict[str, Any]:
    """Rename the types by each entry, one after the other, and return the manifest's record of that."""
    maps = []
    for entry in entries:
        if isinstance(entry, Typed) and entry.types:
            check_types(entry.types, {name for split in splits.values() for name in split.report.types}, source)
            for split in splits.values():
                _map_types(split, entry.types, entry.other_types)
            maps.append({"types": entry.types, "other_types": entry.other_types})
    return {"types": maps[0] if len(maps) == 1 else maps} if maps else {}


def _map_types(split: _Read, types: dict[str, str | None], other_types: str) -> None:
    def left_out(row: Sentence, span: Span) -> None:
        file, name = split.names[row.document_id]
        place = f"line {row.line}" if row.line else "no line"  # parquet has none
        text = " ".join(row.tokens[span.start : span.end])
        split.report.listed.append(Problem("entity", file, place, name, text, span.type, LEFT_OUT))
        split.report.entities -= 1

    counts: Counter[str] = Counter()
    rows = StoredRows(split.rows.folder)
    for row in split.rows:
        mapped = map_types(row, types, other_types, left_out)
        counts.update(tag[2:] for tag in mapped.tags if tag.startswith("B-"))
        rows.add(mapped)
    split.rows, split.report.types = rows, counts


# ---- accounts


def _with_documents(rows: Rows, boundaries: bool, in_order: bool) -> Rows:
    """Return the document_id of the file; without boundaries one document in all, or each sentence its own."""
    if boundaries:
        return rows

    def numbered() -> Iterator[Sentence]:
        return (row._replace(document_id=0 if in_order else index) for index, row in enumerate(rows))

    return DerivedRows(numbered, [rows], 1 if in_order else len(rows))


def _balanced(split: _Read, key: str) -> Report:
    """Return the counts of a split. Raises CorpusError where they do not add up, which is a mistake in this program."""
    report = split.report
    entities = split.rows.entities
    if not report.is_balanced() or entities != report.entities:
        raise CorpusError(
            f"{key}: {report.entities_in:,} entities came in, {entities:,} are kept and "
            f"{len(report.listed):,} things listed, which does not add up: please report this with the file."
        )
    return report
