"""Several corpora as one: the kind `join` of catalog.yaml, split by split, each with its own map of entity types.

corpus = load_source("both", read_catalog(), scratch)      # a join, or any other name that data.source takes
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ner.data.conll import Sentence
from ner.data.fingerprint import SPLITS
from ner.data.sources.catalog import Catalog, resolve_corpus
from ner.data.sources.catalog_entries import JoinCorpus, Part
from ner.data.sources.corpora import fetch_corpus, sha256_of_digests
from ner.data.sources.loading import LoadedCorpus, load
from ner.data.sources.manifest import Origin
from ner.data.sources.sentence_store import DerivedRows, Rows

ANY_LANGUAGE = "xx"  # spaCy's name for text in several languages


def load_source(source: str, names: Catalog, scratch: Path) -> LoadedCorpus:
    """Fetch and read what data.source names. Raises what fetch_corpus and load raise."""
    entry = resolve_corpus(source, names)
    if not isinstance(entry, JoinCorpus):
        return load(fetch_corpus(source, names, scratch), source, scratch=scratch)
    parts = [_load_part(source, part, names, scratch / str(number)) for number, part in enumerate(entry.corpora)]
    return join(source, entry, parts)


def _load_part(source: str, part: Part, names: Catalog, scratch: Path) -> LoadedCorpus:
    resolve_corpus(part.corpus, names, f"catalog.yaml, corpora.{source}")
    scratch.mkdir(parents=True)
    return load(fetch_corpus(part.corpus, names, scratch), part.corpus, part, scratch)


def join(source: str, entry: JoinCorpus, parts: list[LoadedCorpus]) -> LoadedCorpus:
    """Return the sentences of the parts one after another, split by split; document ids go on counting."""
    unlabelled = [part for part in parts if part.unlabelled is not None]
    return LoadedCorpus(
        about=_about(source, entry, parts),
        rows={split: _after_one_another([part.rows[split] for part in parts]) for split in SPLITS},
        origins={split: _origin([part.origins[split] for part in parts]) for split in SPLITS},
        expected=_expected(parts),
        reading={f"{part.about['source']}/{key}": report for part in parts for key, report in part.reading.items()},
        extra={"corpora": [_manifest_of(part) for part in parts]},
        unlabelled=_after_one_another([p.unlabelled for p in unlabelled if p.unlabelled is not None])
        if unlabelled
        else None,
        unlabelled_origin=_origin([p.unlabelled_origin for p in unlabelled if p.unlabelled_origin])
        if unlabelled
        else None,
    )


def _after_one_another(groups: list[Rows]) -> Rows:
    def joined() -> Iterator[Sentence]:
        first = 0
        for group in groups:
            yield from (row._replace(document_id=row.document_id + first) for row in group)
            first += group.documents

    return DerivedRows(joined, groups, sum(group.documents for group in groups))


def _origin(origins: list[Origin]) -> Origin:
    return Origin(
        ", ".join(origin.file for origin in origins), sha256_of_digests([origin.sha256 for origin in origins])
    )


def _expected(parts: list[LoadedCorpus]) -> dict[str, dict[str, int]] | None:
    """Return the sum of the expected sizes, where every part gives them."""
    sums = {}
    for split in SPLITS:
        sizes = [(part.expected or {}).get(split) for part in parts]
        if all(sizes):
            counts = [size for size in sizes if size]
            sums[split] = {key: sum(size[key] for size in counts) for key in counts[0] if all(key in c for c in counts)}
    return sums or None


def _about(source: str, entry: JoinCorpus, parts: list[LoadedCorpus]) -> dict[str, Any]:
    languages = {part.about["language"] for part in parts}
    citations = list(dict.fromkeys(part.about["citation"] for part in parts if part.about["citation"]))
    return {
        "source": source,
        "kind": entry.kind,
        "origin": " + ".join(part.about["origin"] for part in parts),
        "revision": None,
        "license": entry.license or "; ".join(dict.fromkeys(part.about["license"] for part in parts)),
        "description": entry.description,
        "citation": entry.citation or "; ".join(citations) or None,
        "url": entry.url,
        "language": languages.pop() if len(languages) == 1 else ANY_LANGUAGE,
        "document_boundaries": all(part.about["document_boundaries"] for part in parts),
        "in_order": all(part.about["in_order"] for part in parts),
    }


def _manifest_of(part: LoadedCorpus) -> dict[str, Any]:
    names = ("source", "origin", "revision", "license", "language", "document_boundaries", "in_order")
    return {name: part.about[name] for name in names} | part.extra
