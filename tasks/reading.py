"""Files of a corpus to sentences in splits, with the account of everything that came in.

    corpus = load(fetch_corpus(source, catalogue, scratch), source)      # corpus.rows["train"], corpus.reading

Files without a `format` are held to every rule (ner.conll, tasks.parquet_corpus); those with one are read by
ner.readers, where in = kept + listed. Then come the catalogue's `types`, and the splits that are missing. Sentences are
on the disk (tasks/rows.py): in memory are the names of documents, what is listed, and a chunk of sentences.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ner.conll import DOCSTART, Sentence, parse_conll
from ner.corpus import SPLITS
from ner.errors import CorpusError
from ner.readers import Document, Format, Problem, Report, read
from ner.readers.lines import Progress
from ner.tags import Span
from tasks.about import Origin, about, check_expected, expected_of, file_names, origin_of
from tasks.catalog import ALL, UNLABELLED, AnyCorpus, Corpus, HubCorpus, Shares, Typed
from tasks.entity_types import LEFT_OUT, check_types, map_types
from tasks.parquet_corpus import read_parquet
from tasks.progress import printing
from tasks.rows import DerivedRows, Rows, StoredRows
from tasks.sources import FetchedCorpus
from tasks.splits import make_splits


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
    """Read every file, rename types, make the missing splits.

    typed: the types that a join asks for, after those of the entry itself. scratch: the folder on whose disk sentences
    are kept; None: where the system has its temporary files. Raises CorpusError or TagError for what
    cannot be read or divided, CatalogError for types that there are not.
    """
    found = {key: _read(fetched, key, paths, scratch) for key, paths in fetched.files.items()}
    told = about(fetched, source, _has_documents(fetched))
    labelled = {key: one for key, one in found.items() if key != UNLABELLED}
    extra = _format_told(fetched) | _map_all(labelled, [fetched.entry, typed], source)
    rows: dict[str, Rows] = {key: one.rows for key, one in labelled.items()}
    expected = expected_of(fetched.entry)
    if set(rows) != set(SPLITS):
        check_expected(expected, {key: one.report for key, one in labelled.items()})
        expected = {key: counts for key, counts in (expected or {}).items() if key in SPLITS[1:]} or None
        shares = getattr(fetched.entry, "split", None) or Shares()
        rows, extra["split"] = make_splits(rows, shares, told["document_boundaries"], scratch)
        told["in_order"] = told["in_order"] and told["document_boundaries"]
    boundaries, in_order = told["document_boundaries"], told["in_order"]
    whole = fetched.files.get(ALL) or fetched.files.get("train") or []
    unlabelled = found.get(UNLABELLED)
    return LoadedCorpus(
        about=told,
        rows={split: _with_documents(rows[split], boundaries, in_order) for split in SPLITS},
        origins={split: origin_of(fetched.files.get(split, whole)) for split in SPLITS},
        expected=expected,
        reading={key: _balanced(one, key) for key, one in found.items()},
        extra=extra,
        unlabelled=unlabelled.rows if unlabelled else None,
        unlabelled_origin=origin_of(fetched.files[UNLABELLED]) if unlabelled else None,
    )


def _format_told(fetched: FetchedCorpus) -> dict[str, Any]:
    if fetched.format is None:
        return {}
    told: dict[str, Any] = {"format": _language(fetched.format, fetched.entry).settings()}
    return told | ({"left_out_files": fetched.left_out} if fetched.left_out else {})


# ---- files to rows


def _read(fetched: FetchedCorpus, key: str, paths: list[Path], scratch: Path | None) -> _Read:
    form = fetched.unlabelled if key == UNLABELLED else fetched.format
    found = _Read(StoredRows(scratch), Report())
    if form is None:
        _strictly(found, paths, fetched.entry)
    else:
        _by_readers(found, paths, _language(form, fetched.entry), key)
    if not found.rows:
        raise CorpusError(f"{file_names(paths)} holds no sentence.")
    return found


def _strictly(found: _Read, paths: list[Path], entry: AnyCorpus | None) -> None:
    if all(path.suffix == ".parquet" for path in paths):
        columns = (entry.tokens_column, entry.tags_column, entry.labels) if isinstance(entry, HubCorpus) else ()
        sentences = read_parquet(paths, *columns)
    else:
        sentences = _conll(paths)
    report, files = found.report, file_names(paths)
    for row in sentences:
        if not found.names or row.document_id != found.rows.documents - 1:
            found.names[row.document_id] = (files, str(row.document_id + 1))
        found.rows.add(row)
        report.tokens += len(row.tokens)
        report.types.update(tag[2:] for tag in row.tags if tag.startswith("B-"))  # the tags are valid IOB2
    report.sentences, report.documents_in, report.documents = len(found.rows), len(found.names), len(found.names)
    report.entities_in = report.entities = report.types.total()


def _conll(paths: list[Path]) -> Iterator[Sentence]:
    """The sentences of all files, documents counted through them."""
    first = 0
    for path in paths:
        row = None
        with path.open("rb") as stream:
            for row in parse_conll(stream, path.name):
                yield row._replace(document_id=row.document_id + first) if first else row
        first += row.document_id + 1 if row else 0


def _by_readers(found: _Read, paths: list[Path], form: Format, key: str) -> None:
    number = 0
    for path, progress in _with_progress(paths, key):
        for document in read(path, form, found.report, progress):
            rows = _usable(document, key, path)
            if not rows:
                found.report.notes["document without a token, which has no row"] += 1
                continue
            found.names[number] = (path.name, document.name)
            for row in rows:
                found.rows.add(row._replace(document_id=number))
            number += 1


def _with_progress(paths: list[Path], key: str) -> Iterator[tuple[Path, Progress]]:
    """Each file with a callback that counts through all of them."""
    say, before = printing(f"reading {key}"), 0
    total = sum(path.stat().st_size for path in paths)
    for path in paths:
        yield path, lambda done, _, before=before: say(before + done, total)
        before += path.stat().st_size


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
    """The format with the language of the entry, if it says none: the tokenizer of prediction is that of the corpus."""
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
    """Rename the types as each entry says, one after the other; what the manifest says of it."""
    told = []
    for entry in entries:
        if isinstance(entry, Typed) and entry.types:
            check_types(entry.types, {name for found in splits.values() for name in found.report.types}, source)
            for found in splits.values():
                _map_types(found, entry.types, entry.other_types)
            told.append({"types": entry.types, "other_types": entry.other_types})
    return {"types": told[0] if len(told) == 1 else told} if told else {}


def _map_types(found: _Read, types: dict[str, str | None], other_types: str) -> None:
    def left_out(row: Sentence, span: Span) -> None:
        file, name = found.names[row.document_id]
        place = f"line {row.line}" if row.line else "no line"  # parquet has none
        text = " ".join(row.tokens[span.start : span.end])
        found.report.listed.append(Problem("entity", file, place, name, text, span.type, LEFT_OUT))
        found.report.entities -= 1

    kept: Counter[str] = Counter()
    rows = StoredRows(found.rows.folder)
    for row in found.rows:
        mapped = map_types(row, types, other_types, left_out)
        kept.update(tag[2:] for tag in mapped.tags if tag.startswith("B-"))
        rows.add(mapped)
    found.rows, found.report.types = rows, kept


# ---- accounts


def _with_documents(rows: Rows, boundaries: bool, in_order: bool) -> Rows:
    """document_id as the file has it; without boundaries one document in all, or each sentence its own."""
    if boundaries:
        return rows

    def numbered() -> Iterator[Sentence]:
        return (row._replace(document_id=0 if in_order else index) for index, row in enumerate(rows))

    return DerivedRows(numbered, [rows], 1 if in_order else len(rows))


def _balanced(found: _Read, key: str) -> Report:
    """Its account. Raises CorpusError where it does not come out even, which is a mistake in this program."""
    report = found.report
    kept = found.rows.entities
    if not report.is_balanced() or kept != report.entities:
        raise CorpusError(
            f"{key}: {report.entities_in:,} entities came in, {kept:,} are kept and "
            f"{len(report.listed):,} things listed, which does not add up: please report this with the file."
        )
    return report
