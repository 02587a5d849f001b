"""What came in, what was kept and what was not: the manifest's `reading`, problems.csv, and lines for a person."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ner.readers import Report

COLUMNS = ("split", "kind", "file", "place", "document", "text", "type", "reason")
REPAIRED = "repaired"
SHOWN = 10  # causes of a split that are printed


def account_of(report: Report) -> dict[str, Any]:
    """One split of `reading`: in = kept + listed, for documents and for entities."""
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
    """Everything that was listed or repaired, a row each; the header alone where there is nothing."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for split, report in reading.items():
            rows.writerows((split, *problem) for problem in report.listed)
            rows.writerows((split, REPAIRED, *problem[1:]) for problem in report.repaired)


def told(manifest: dict[str, Any]) -> Iterator[str]:
    """What a person wants to know of a reading, a line a fact; nothing where the manifest has none."""
    if split := manifest.get("split"):
        shares = ", ".join(f"{name} {split[name]:g}" for name in split["made"])
        yield f"made by the project: {shares} of the {split['by']}s, seed {split['seed']}"
    if unlabelled := manifest.get("unlabelled"):
        yield f"unlabelled: {unlabelled['documents']:,} documents, {unlabelled['tokens']:,} tokens, carried along"
    for key, one in manifest.get("reading", {}).items():
        lost = {name: one[f"{name}_in"] - one[name] for name in ("documents", "entities")}
        shown = [n for n in lost if n == "entities" or lost[n] or manifest["document_boundaries"]]
        counts = (f"{one[f'{n}_in']:,} {n} in = {one[n]:,} kept + {lost[n]:,} listed" for n in shown)
        yield f"{key}: {'; '.join(counts)}"
        for cause, count in list(one["listed"].items())[:SHOWN]:
            yield f"  not kept, {cause}: {count:,}"
        if one["repaired"]:
            yield f"  repaired: {one['repaired']:,}"
        yield from (f"  ignored, {kind}: {count:,}" for kind, count in one["ignored"].items())
        yield from (f"  note, {text}: {count:,}" for text, count in one["notes"].items())
    if any(one["listed"] or one["repaired"] for one in manifest.get("reading", {}).values()):
        yield "each of them with its document and its text: data/prepared/problems.csv"
