"""When drift starts a training: so many windows with drift in a row, and enough documents labelled since.

rule = decide(params.monitor, drifts=[True, True, True], trained_on=fingerprint, prepared=Path("data/prepared"))
rule["retrain"], rule["sentence"]
"""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from ner.data.prepared import MANIFEST, read_manifest, read_split, to_tags
from ner.params import MonitorParams


def decide(params: MonitorParams, drifts: Sequence[bool], trained_on: str | None, prepared: Path) -> dict[str, Any]:
    """Return `retrain` (whether to), `sentence` (why or why not), `source` and `fingerprint` of the labelled data.

    drifts: whether each window had drift, oldest first; trained_on: fingerprint of the version's data. Raises NerError
    where the labelled data cannot be read.
    """
    in_a_row = sum(1 for _ in takewhile(bool, reversed(drifts)))
    decision: dict[str, Any] = {"retrain": False, "windows_in_a_row": in_a_row, "source": params.labelled}
    row = f"windows with drift in a row: {in_a_row} of {params.windows_in_a_row}"
    if in_a_row < params.windows_in_a_row:
        return decision | {"sentence": f"no ({row})"}
    if params.labelled is None:
        return decision | {"sentence": f"no ({row}; params.yaml, monitor.labelled names no new data)"}
    new, fingerprint = new_documents(params.labelled, prepared)
    decision |= {"fingerprint": fingerprint, "new_documents": new}
    if fingerprint == trained_on:
        return decision | {"sentence": f"no ({row}; the version was trained on {params.labelled} as it is now)"}
    row += f"; new labelled documents in {params.labelled}: {new:,} of {params.min_new_documents:,}"
    due = new >= params.min_new_documents
    return decision | {"retrain": due, "sentence": f"{'yes' if due else 'no'} ({row})"}


def new_documents(source: str, prepared: Path) -> tuple[int, str]:
    """Return how many documents of a source are not in the prepared corpus, and the source's content fingerprint."""
    from ner.data.sources.prepared_writer import ingest

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "prepared"
        fingerprint = ingest(source, folder)["fingerprint"]
        known = digests(prepared) if (prepared / MANIFEST).exists() else set()
        return len(digests(folder) - known), fingerprint


def digests(prepared: Path) -> set[str]:
    """Return a digest of the tokens and tags of each document."""
    manifest, hashes = read_manifest(prepared), set()
    for name in manifest["splits"]:
        split = read_split(prepared, name)
        documents: dict[int, list[Any]] = {}
        for document, tokens, tags in zip(
            split.document_ids, split.tokens, to_tags(split.tag_ids, manifest["labels"]), strict=True
        ):
            documents.setdefault(document, []).append([tokens, tags])
        hashes |= {hashlib.sha256(json.dumps(sentences).encode()).hexdigest() for sentences in documents.values()}
    return hashes
