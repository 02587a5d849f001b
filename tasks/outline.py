"""What the scoring of a split has to know before its first part, read once, a part in memory at a time.

outline = read_outline(Path("reports/predictions"), "validation")
known, shared = read_training(Path("data/prepared"), {"validation": outline.distinct})
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ner.corpus import distinct_sentences
from ner.entities import entity_table, unit_numbers
from ner.slices import Mentions, known_mentions, positions
from tasks.predictions import read_about, read_columns
from tasks.prepared import read_manifest, read_parts, to_lists, to_tags


class Outline(NamedTuple):
    """What is known of a whole split before its parts are scored; arrays have a value a sentence."""

    document_ids: np.ndarray
    units: np.ndarray  # of the bootstrap (ner.entities.unit_numbers)
    unit: str
    places: np.ndarray | None  # of sentences in documents; None where the split has no documents
    distinct: set[bytes]  # ner.corpus.distinct_sentences
    labels: list[str]
    context: str
    fingerprint: str

    @property
    def n_units(self) -> int:
        return int(self.units.max(initial=-1)) + 1


def read_outline(folder: Path, split: str) -> Outline:
    """One pass over the stored predictions. Raises what tasks.predictions.read_predictions raises."""
    about, ids, distinct = read_about(folder, split), [], set()
    for table in read_columns(folder, split, ("document_id", "tokens")):
        ids.append(table["document_id"].to_numpy())
        distinct |= distinct_sentences(to_lists(table["tokens"]))
    document_ids = np.concatenate(ids)
    units, unit = unit_numbers(document_ids)
    places = positions(document_ids) if unit == "document" else None
    return Outline(document_ids, units, unit, places, distinct, **about)


def read_training(prepared: Path, distinct: Mapping[str, set[bytes]]) -> tuple[Mentions, dict[str, float]]:
    """The mentions of the training split with their types, and the share, 0 to 1, of sentences that are in it too.

    distinct: those of each split (ner.corpus.distinct_sentences); 0 of none.
    """
    labels, known = read_manifest(prepared)["labels"], {}
    shared: dict[str, set[bytes]] = {name: set() for name in distinct}
    for part in read_parts(prepared, "train"):
        known_mentions(part.tokens, entity_table(to_tags(part.tag_ids, labels)), known)
        seen = distinct_sentences(part.tokens)
        for name, own in distinct.items():
            shared[name] |= own & seen
    return known, {name: len(shared[name]) / len(own) if own else 0.0 for name, own in distinct.items()}
