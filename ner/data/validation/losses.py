"""Annotated entities that reading could not keep, as `ingest` lists them in problems.csv."""

import csv
from pathlib import Path
from typing import Any, NamedTuple

from ner.data.prepared import PROBLEMS, unreadable
from ner.data.sources.type_map import LEFT_OUT
from ner.errors import NerError


class Losses(NamedTuple):
    """Annotated entities of a split. listed: place and reason of each that reading could not keep; kept: how many were,
    or are left out by the catalogue.
    """

    kept: int
    listed: list[tuple[str, str]]


def read_losses(folder: Path, manifest: dict[str, Any]) -> dict[str, Losses]:
    """Return the losses of each split that the manifest's reading describes; of divided files they are train's.

    Raises NerError where problems.csv is missing, or lists another number of entities than the manifest.
    """
    reading = {key: about for key, about in (manifest.get("reading") or {}).items() if about.get("entities_in")}
    if not reading:
        return {}
    listed: dict[str, list[tuple[str, str]]] = {key: [] for key in reading}
    path = folder / PROBLEMS
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                if row["kind"] == "entity" and row["split"] in listed:
                    listed[row["split"]].append((f"{row['file']}, {row['place']}", row["reason"]))
    except (OSError, KeyError) as error:
        raise unreadable(path, error) from None
    losses: dict[str, Losses] = {}
    for key, about in reading.items():
        rows, lost = listed[key], about["entities_in"] - about["entities"]
        if len(rows) != lost:
            raise NerError(
                f"{path} lists {len(rows):,} entities of {key}, the manifest says {lost:,}: "
                "run `dvc repro ingest`, which makes both again."
            )
        name = key.rpartition("/")[2]  # of a join CORPUS/SPLIT
        split = name if name in manifest["splits"] else "train"
        before, after = losses.get(split, Losses(0, [])), [row for row in rows if LEFT_OUT not in row[1]]
        kept = before.kept + about["entities_in"] - len(after)
        losses[split] = Losses(kept, before.listed + after)
    return losses
