"""What the manifest says of a corpus before anything of its text: licence, origin, files, and what it must hold."""

from pathlib import Path
from typing import Any, NamedTuple

from ner.conll import DOCSTART
from ner.errors import CorpusError
from ner.readers import Report
from tasks.catalog import AnyCorpus, Corpus
from tasks.sources import FetchedCorpus, sha256_of

MANY = 20  # files; more are not listed by name


class Origin(NamedTuple):
    """Where a split comes from: names of its files, and their sha256."""

    file: str
    sha256: str


def about(fetched: FetchedCorpus, source: str, has_documents: bool) -> dict[str, Any]:
    """Raises CorpusError where the entry promises documents that the files do not mark."""
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
    """What each given split must hold; of several files the sum, where each says it."""
    found = {}
    for split, group in entry.files().items() if isinstance(entry, Corpus) else ():
        told = [about.expected.model_dump(exclude_none=True) for about in group if about.expected]
        if len(told) == len(group):
            found[split] = {key: sum(one[key] for one in told) for key in told[0] if all(key in one for one in told)}
    return found or None


def check_expected(expected: dict[str, dict[str, int]] | None, reports: dict[str, Report]) -> None:
    """Of files that the project divides nothing is left to check later. Raises CorpusError."""
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
