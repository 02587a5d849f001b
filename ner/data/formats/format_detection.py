"""Detects the format of an annotated file or folder, and reads it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ner.data.formats.brat import brat_form, read_brat
from ner.data.formats.columns import read_columns
from ner.data.formats.columns_detection import columns_form, scan_columns, with_header
from ner.data.formats.containers.markup import READERS
from ner.data.formats.data_files import ALL, OTHER, UNLABELLED, data_files, unpacked
from ner.data.formats.docbin import docbin_form, read_docbin
from ner.data.formats.document import Document, Report
from ner.data.formats.format import OPTIONS, Format, Recognised, Unrecognised
from ner.data.formats.notation import canonical, detect_notation
from ner.data.formats.record_files import CSV, JSON, PYTHON, WEBANNO, container
from ner.data.formats.records_detection import has_known_header, records_form, token_rows_form
from ner.data.formats.scheme_detection import Transitions, detect_scheme
from ner.data.formats.span_records import read_spans, unit_of
from ner.data.formats.text_files import Progress, head, over_all
from ner.data.formats.token_records import read_rows, read_tokens, scan_rows, scan_tokens
from ner.data.formats.token_spans import unit_of_tokens
from ner.errors import CorpusError, TagError

Sniff = Callable[[Path, dict[str, Any]], tuple[Format, list[str]]]
Read = Callable[[Path, Format, Report, Progress | None], Iterator[Document]]


class Family(NamedTuple):
    """How a format is recognised and read; about: its name in messages."""

    sniff: Sniff
    read: Read
    about: str


FORMATS = {
    "conll": Family(columns_form, read_columns, "columns of tokens and tags, a blank line after each sentence"),
    "conllu": Family(columns_form, read_columns, "CoNLL-U with tags in its last column"),
    "tokens": Family(
        records_form, read_tokens, "JSON lines, JSON, parquet, Arrow or CSV with lists of tokens and tags"
    ),
    "token-rows": Family(token_rows_form, read_rows, "CSV with a token a row"),
    "prodigy": Family(records_form, read_spans, "Prodigy's JSON lines"),
    "doccano": Family(records_form, read_spans, "doccano's JSON lines"),
    "label-studio": Family(records_form, read_spans, "Label Studio's JSON or JSON-MIN"),
    "spans": Family(records_form, read_spans, "any records of a text and character spans"),
    "texts": Family(records_form, read_spans, "records of texts that are not annotated"),
    "brat": Family(brat_form, read_brat, "BRAT standoff, .txt beside .ann"),
    "docbin": Family(docbin_form, read_docbin, "spaCy's DocBin"),
}
BESIDE = (PYTHON, WEBANNO)  # kinds of files in which there may be nothing, whatever split their names say
LINES = {"conll", "conllu", "token-rows"}  # a token each
TAGGED = {"conll", "conllu", "tokens", "token-rows"}
SPANNED = {"prodigy", "doccano", "label-studio", "spans", "texts"}
PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


def recognise(path: Path, name: str | None = None, progress: Progress | None = None, **options: Any) -> Recognised:
    """Return the format of a file, or of all data files in a folder or a zip archive, detected from their content.

    name: one of FORMATS, where it is not to be found out. options: what is known already (OPTIONS: encoding, scheme,
    tag_column, labels …); it wins over what is seen. The tags of whole files are read to tell the scheme. Raises
    CorpusError, one sentence with what was seen and what to name, where no format or more than one fits.
    """
    path, root = Path(path), unpacked(Path(path))
    options = _checked(name, options)
    files, skipped = data_files(root) if root.is_dir() else ({ALL: [root]}, [])
    forms: dict[str, dict[Path, tuple[Format, list[str]]]] = {}
    for split, paths in files.items():
        for file in paths:
            try:
                forms.setdefault(split, {})[file] = _sniff(file, name, options)
            except Unrecognised as error:
                if not root.is_dir() or (split not in (ALL, OTHER) and container(file) not in BESIDE):
                    raise _unknown(error, path / file.parent.relative_to(root) if root.is_dir() else None) from None
                skipped.append((file, str(error)))
    return _together(path, forms, skipped, options, progress)


def _checked(name: str | None, options: dict[str, Any]) -> dict[str, Any]:
    if name is not None and name not in FORMATS:
        raise CorpusError(f"{name!r} is no format known here: use one of {_known()}.")
    unknown = set(options) - OPTIONS
    if unknown:
        raise CorpusError(f"no such option: {', '.join(sorted(unknown))}; there are {', '.join(sorted(OPTIONS))}.")
    options = {key: value for key, value in options.items() if value is not None}
    checked = Format(name or "conll", **options)
    return {key: getattr(checked, key) for key in options}


def _sniff(path: Path, name: str | None, options: dict[str, Any]) -> tuple[Format, list[str]]:
    start = head(path, 6)
    packed = next((what for mark, what in PACKED.items() if start.startswith(mark)), None)
    if packed:
        raise CorpusError(f"{path.name} is {packed}: unpack it first.")
    if not start.strip() and path.suffix != ".ann":  # where it says that nothing was found
        raise Unrecognised(f"{path.name} is empty")
    if name is None:
        return _first_that_fits(path, options)
    form, seen = FORMATS[name].sniff(path, options)
    if form.name == name:
        return form, seen
    if {form.name, name} <= SPANNED and "label-studio" not in (form.name, name):
        spans_field = None if name == "texts" else form.spans_field
        return replace(form, name=name, spans_field=spans_field), seen
    raise Unrecognised(f"{path.name} is no {name} ({FORMATS[name].about}): it reads as {form.name} ({'; '.join(seen)})")


def _first_that_fits(path: Path, options: dict[str, Any]) -> tuple[Format, list[str]]:
    """Try the formats that the name and the first bytes allow, the most specific first."""
    reasons = []
    for sniff in _candidates(path, options):
        try:
            return sniff(path, options)
        except Unrecognised as error:
            reasons.append(str(error))
    raise Unrecognised("; ".join(dict.fromkeys(reasons)))


def _candidates(path: Path, options: dict[str, Any]) -> list[Sniff]:
    suffix = path.suffix.lower()
    if suffix == ".spacy":
        return [docbin_form]
    if suffix == ".ann" or (suffix == ".txt" and path.with_suffix(".ann").is_file()):
        return [brat_form]
    kind = container(path)
    if kind in READERS:  # of markup, which a file of columns may hold
        return [columns_form, records_form]
    if kind not in (JSON, CSV) or suffix in (".json", ".jsonl", ".ndjson", ".manifest", ".csv"):
        return [records_form]
    if has_known_header(path, options.get("encoding", "utf-8")):
        return [token_rows_form, columns_form, records_form]
    if kind == CSV:
        return [columns_form, records_form]
    if head(path, 1 << 12).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return [_json_or_not, columns_form]
    return [columns_form]


def _json_or_not(path: Path, options: dict[str, Any]) -> tuple[Format, list[str]]:
    """Return the format of records; a file that is not JSON is Unrecognised, so that the next format is tried."""
    try:
        return records_form(path, options)
    except Unrecognised:
        raise
    except CorpusError as error:
        raise Unrecognised(str(error).rstrip(".")) from None


def _unknown(error: Unrecognised, folder: Path | None = None) -> CorpusError:
    return Unrecognised(
        f"{f'{folder}: ' if folder else ''}{error}. The formats known here are {_known()}; name one if it is meant "
        "(format: conll)."
    )


def _known() -> str:
    return ", ".join(FORMATS)


def _together(
    path: Path,
    forms: dict[str, dict[Path, tuple[Format, list[str]]]],
    skipped: list[tuple[Path, str]],
    options: dict[str, Any],
    progress: Progress | None,
) -> Recognised:
    """Return one format for all files; files of texts without annotations are listed apart."""
    flat = [(split, file, *recognised) for split, group in forms.items() for file, recognised in group.items()]
    labelled = [row for row in flat if row[2].name != "texts"] or flat
    if not labelled:
        reasons = "; ".join(r if p.name in r else f"{p.name}: {r}" for p, r in skipped[:5]) or "it is empty"
        raise _unknown(Unrecognised(f"{path}: nothing in it is recognised: {reasons}"))
    if {row[2].name for row in labelled} == {"conll", "token-rows"}:  # a header of known names in some of them
        labelled = _as_columns(labelled, options)
    _, first, form, seen = min(labelled, key=lambda row: row[0] != "train")  # the first file of train, if there is one
    for _, file, other, _ in labelled:
        if _layout(other) != _layout(form) and not _is_bare(other, form):
            raise CorpusError(
                f"{path}: {first.name} is {_shown(form)}, but {file.name} is {_shown(other)}: one source has one "
                "format, so put them in folders of their own."
            )
    tagged = [row[1] for row in labelled]
    files: dict[str, list[Path]] = {}
    for split, file, *_ in flat:
        files.setdefault(split if file in set(tagged) else UNLABELLED, []).append(file)
    if len({row[2].header for row in labelled}) > 1:
        form, seen = replace(form, header=None), [*seen, "a line that names the columns in some of the files"]
    form, more = _by_content(tagged, form, options, progress)
    unlabelled = next((row[2] for row in flat if row[1] not in tagged), None)
    return Recognised(form, files, seen + more, skipped, unlabelled)


def _by_content(
    paths: Sequence[Path], form: Format, options: dict[str, Any], progress: Progress | None
) -> tuple[Format, list[str]]:
    """Return the format with what only the content of all files tells: scheme of tags, unit of offsets."""
    if form.name == "tokens" and form.spans_field:
        if len(paths) > 1 and container(paths[0]) == WEBANNO:
            form = replace(form, documents="files")
        unit, why = (form.offsets, "") if form.offsets else unit_of_tokens(paths, form)
        return replace(form, offsets=unit), [why] if why else []
    if form.name in TAGGED:
        return _with_scheme(paths, form, options, progress)
    if form.name in SPANNED and form.spans_field and not form.offsets and (unit := unit_of(paths, form)):
        return replace(form, offsets=unit), [f"offsets that count {unit}, by what stands at them"]
    return form, []


def _as_columns(rows: list[Any], options: dict[str, Any]) -> list[Any]:
    """Return the files as columns with or without a header, where they can be read as such."""
    try:
        return [(split, file, *columns_form(file, options)) for split, file, *_ in rows]
    except CorpusError:
        return rows


def _layout(form: Format) -> tuple[Any, ...]:
    return (
        form.name, form.separator, form.columns, form.token_column, form.tag_column, form.prefix,
        form.misc_key, form.tokens_field, form.tags_field, form.text_field, form.spans_field, form.labels,
    )  # fmt: skip


def _is_bare(other: Format, form: Format) -> bool:
    """Return whether spans look as several tools write them, where a file has too few to tell."""
    return {other.name, form.name} <= SPANNED - {"label-studio"} and other.spans_field == form.spans_field


def _shown(form: Format) -> str:
    settings = ", ".join(f"{k} {v}" for k, v in form.settings().items() if k not in ("name", "scheme", "documents"))
    return f"{form.name} ({settings})"


def _with_scheme(
    paths: Sequence[Path], form: Format, options: dict[str, Any], progress: Progress | None
) -> tuple[Format, list[str]]:
    report_progress = over_all(paths, progress)
    seen: list[str] = []
    if form.name in ("conll", "conllu"):
        tags, documents, seen = scan_columns(paths, form, report_progress)
        form = form if "documents" in options else replace(form, documents=documents)
    else:
        scan: Callable[..., Transitions] = scan_tokens if form.name == "tokens" else scan_rows
        tags = scan(paths, form, report_progress)
    form, tags, more = _with_notation(form, tags)
    seen += more
    if form.scheme:
        return form, [*seen, f"scheme {form.scheme}, as it was named"]
    try:
        detected = detect_scheme(tags, form.default_type)
    except TagError as error:
        where = str(paths[0].parent) if len(paths) > 1 else paths[0].name
        raise TagError(str(error) if str(error).startswith(where) else f"{where}: {error}") from None
    return replace(form, scheme=detected.scheme), [*seen, f"scheme {detected.scheme}: {detected.reason}"]


def _with_notation(form: Format, tags: Transitions) -> tuple[Format, Transitions, list[str]]:
    """Return the format with how its tags are written, the tags as O and B-PER, and what was understood."""
    totals = tags.totals()
    outside, order = detect_notation({tag: seen.times for tag, seen in totals.items()}, form.scheme)
    outside = form.outside or outside
    if form.notation is None and order:
        form = replace(form, notation=order)
    if outside not in (None, "O"):
        form = replace(form, outside=outside)
    written = {tag: canonical(tag, outside, form.notation) for tag in totals}
    every, notes = sum(seen.times for seen in totals.values()), []
    if other := {tag: seen for tag, seen in totals.items() if written[tag] != tag}:
        notes = [
            f"{tag!r} is read as {written[tag]}: {seen.times:,} of {every:,} tokens, first {seen.place}"
            + ("; --set outside=O if it is a type" if written[tag] == "O" else "; --set scheme=PLAIN if it is a type")
            for tag, seen in sorted(other.items(), key=lambda item: written[item[0]] != "O")[:3]
        ]
    return form, tags.rewritten(lambda tag: written.get(tag, tag)), notes


def read(
    paths: Path | Sequence[Path], form: Format, report: Report | None = None, progress: Progress | None = None
) -> Iterator[Document]:
    """Yield the documents of files in a format that `recognise` gave, or that was named; numbered through all of them.

    report: takes the account; complete when the last document was taken. Raises CorpusError or TagError, with file and
    line, for what cannot be read.
    """
    if form.name not in FORMATS:
        raise CorpusError(f"{form.name!r} is no format known here: use one of {_known()}.")
    paths = [Path(paths)] if isinstance(paths, str | Path) else list(paths)
    report = Report() if report is None else report
    advance = over_all(paths, progress)
    number = 0
    for path in paths:
        for document in FORMATS[form.name].read(path, with_header(path, form), report, advance):
            place = "" if form.name in LINES else document.place_in(path)
            rows = [row._replace(document_id=number, place=place) for row in document.sentences]
            yield replace(document, sentences=rows)
            number += 1
