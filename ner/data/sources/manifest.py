"""The manifest of a corpus: licence, origin, files, expected sizes, and counts of what was read and kept."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ner.data.conll import DOCSTART
from ner.data.formats import Report
from ner.data.sources.catalog_entries import AnyCorpus, Corpus
from ner.data.sources.corpora import FetchedCorpus, sha256_of
from ner.errors import CorpusError

MANY = 20  # files; more are not listed by name
COLUMNS = ("split", "kind", "file", "place", "document", "text", "type", "reason")
REPAIRED = "repaired"
SHOWN = 10  # causes of a split that are printed


class Origin(NamedTuple):
    """The origin of a split: names of its files, and their sha256."""

    file: str
    sha256: str


def describe(fetched: FetchedCorpus, source: str, has_documents: bool) -> dict[str, Any]:
    """Return the manifest's first keys: name, origin, licence, boundaries.

    Raises CorpusError where the entry promises documents that the files do not mark.
    """
    entry = fetched.entry
    known = entry if isinstance(entry, Corpus) else None
    if known and known.document_boundaries and not has_documents:
        lines = f"not every file has {DOCSTART} lines" if known.format is None else "the format knows none (documents)"
        raise CorpusError(f"{source}: catalog.yaml says document_boundaries: true, but {lines}.")
    boundaries, in_order = (getattr(known, name, None) for name in ("document_boundaries", "in_order"))
    return {
        "source": source,
        "kind": entry.kind if entry else "files",
        "origin": fetched.origin,
        "revision": fetched.revision,
        "license": known.license if known else "unknown",
        "description": known.description if known else source,
        "citation": known.citation if known else None,
        "url": known.url if known else None,
        "language": known.language if known else "unknown",
        "document_boundaries": has_documents if boundaries is None else boundaries,
        "in_order": has_documents if in_order is None else in_order,
    }


def expected_of(entry: AnyCorpus | None) -> dict[str, dict[str, int]] | None:
    """Return the expected size of each given split; of several files the sum, where each has one."""
    sums = {}
    for split, group in entry.files().items() if isinstance(entry, Corpus) else ():
        sizes = [about.expected.model_dump(exclude_none=True) for about in group if about.expected]
        if len(sizes) == len(group):
            sums[split] = {
                key: sum(size[key] for size in sizes) for key in sizes[0] if all(key in size for size in sizes)
            }
    return sums or None


def check_expected(expected: dict[str, dict[str, int]] | None, reports: dict[str, Report]) -> None:
    """Raise CorpusError where files that the project divides, which nothing checks later, have another size."""
    for key, report in reports.items():
        counts = {name: getattr(report, name) for name in ("documents", "sentences", "tokens")}
        for name, count in (expected or {}).get(key, {}).items():
            if counts[name] != count:
                raise CorpusError(
                    f"{key}: {counts[name]:,} {name}, catalog.yaml expects {count:,}: it is another file, or cut short."
                )


def origin_of(paths: list[Path]) -> Origin:
    return Origin(file_names(paths), sha256_of(paths))


def file_names(paths: list[Path]) -> str:
    shown = [path.name for path in paths]
    return ", ".join(shown) if len(shown) < MANY else f"{shown[0]} and {len(shown) - 1:,} more"


def account_of(report: Report) -> dict[str, Any]:
    """Return the counts of one split of `reading`: in = kept + listed, for documents and for entities."""
    listed: dict[str, int] = {}
    for (_, cause), count in report.causes().items():
        listed[cause] = listed.get(cause, 0) + count
    return {
        "documents_in": report.documents_in,
        "documents": report.documents,
        "entities_in": report.entities_in,
        "entities": report.entities,
        "listed": listed,
        "repaired": len(report.repaired),
        "ignored": dict(sorted(report.ignored.items())),
        "notes": dict(sorted(report.notes.items())),
    }


def write_problems(path: Path, reading: dict[str, Report]) -> None:
    """Write everything that was left out or repaired, one per row; the header alone where there is nothing."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for split, report in reading.items():
            rows.writerows((split, *problem) for problem in report.listed)
            rows.writerows((split, REPAIRED, *problem[1:]) for problem in report.repaired)


def reading_lines(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield the counts of reading as lines to print, one per fact; none where the manifest has no such counts."""
    if split := manifest.get("split"):
        shares = ", ".join(f"{name} {split[name]:g}" for name in split["made"])
        yield f"made by the project: {shares} of the {split['by']}s, seed {split['seed']}"
    if unlabelled := manifest.get("unlabelled"):
        yield f"unlabelled: {unlabelled['documents']:,} documents, {unlabelled['tokens']:,} tokens, carried along"
    for key, account in manifest.get("reading", {}).items():
        lost = {name: account[f"{name}_in"] - account[name] for name in ("documents", "entities")}
        shown = [n for n in lost if n == "entities" or lost[n] or manifest["document_boundaries"]]
        counts = (f"{account[f'{n}_in']:,} {n} in = {account[n]:,} kept + {lost[n]:,} listed" for n in shown)
        yield f"{key}: {'; '.join(counts)}"
        for cause, count in list(account["listed"].items())[:SHOWN]:
            yield f"  not kept, {cause}: {count:,}"
        if account["repaired"]:
            yield f"  repaired: {account['repaired']:,}"
        yield from (f"  ignored, {kind}: {count:,}" for kind, count in account["ignored"].items())
        yield from (f"  note, {text}: {count:,}" for text, count in account["notes"].items())
    if any(account["listed"] or account["repaired"] for account in manifest.get("reading", {}).values()):
        yield "each of them with its document and its text: data/prepared/problems.csv"
