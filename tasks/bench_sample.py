"""A part of the prepared corpus for the benchmarks: whole documents, drawn by a seed, that have about so many words."""

from collections.abc import Mapping
from pathlib import Path

from ner.entities import unit_numbers
from ner.params import Params
from tasks.prepared import read_manifest, read_split
from tasks.sweep_data import part_of


def part_by_words(prepared: Path, folder: Path, words: Mapping[str, int], params: Params, seed: int) -> Path:
    """A folder like data/prepared. words: about how many of train and of validation; one that is not named stays whole.

    Gives `prepared` itself where all is wanted.
    """
    wanted = {}
    for split, most in words.items():
        documents = int(unit_numbers(read_split(prepared, split).document_ids)[0].max(initial=0)) + 1
        share = most / read_manifest(prepared)["splits"][split]["tokens"]
        wanted[f"{split}_documents"] = max(1, min(documents, round(documents * share)))
    nothing = {"train_documents": None, "validation_documents": None}
    return part_of(prepared, folder, params.sweep.model_copy(update={**nothing, **wanted, "seed": seed}))
