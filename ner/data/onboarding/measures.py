"""Measures of new data by which parameters are proposed: one pass over each split, a chunk of sentences at a time.

measures = {split: measure(own) for split, own in split_tables(prepared, manifest, profile).items()}
"""

import re
from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from ner.common.escaping import CONTROL, is_visible
from ner.data.validation.flat_tables import SplitTables, Tables
from ner.tags import split_tag

SHOWN = 5  # examples


@dataclass
class Measures:
    """What one split holds.

    longest: of `sentence_tokens` and `token_chars`, with the place. unreadable: tokens that print nothing or hold
    control characters. tags: how many tokens have each. shared: share of its distinct sentences that each other split
    has. split: the row of the table `split`, with what a profile compares.
    """

    tokens: int = 0
    sentences: int = 0
    longest: dict[str, tuple[int, str]] = field(default_factory=dict)
    unreadable: int = 0
    examples: list[str] = field(default_factory=list)
    tags: Counter[str] = field(default_factory=Counter)
    shared: dict[str, float] = field(default_factory=dict)
    copied: float = 0.0
    not_kept: float = 0.0
    split: dict[str, float] = field(default_factory=dict)

    def entities(self) -> Counter[str]:
        """Return the number of entities of each type."""
        return Counter({kind: n for tag, n in self.tags.items() for letter, kind in [split_tag(tag)] if letter == "B"})


def measure(own: SplitTables) -> Measures:
    """Return the measures of a split."""
    measures = Measures(tokens=own.sizes["tokens"], sentences=own.sizes["sentences"])
    also: Counter[str] = Counter()
    readable: dict[str, bool] = {}
    for tables in own.chunks():
        _add(measures, tables, readable)
        columns = [name for name in tables["texts"] if name.startswith("also_in_")]
        also.update({name: int(tables["texts"][name].notna().sum()) for name in columns})
    measures.shared = {name.removeprefix("also_in_"): n / max(1, own.sizes["texts"]) for name, n in also.items()}
    documents, lost = own.small["documents"]["copy_of"], own.small.get("annotations")
    measures.copied = float(documents.notna().mean()) if len(documents) else 0.0
    measures.not_kept = float(lost["not_kept"].notna().mean()) if lost is not None and len(lost) else 0.0
    measures.split = own.small["split"].drop(columns=["place", "parquet_sha256"]).iloc[0].to_dict()
    return measures


def _add(measures: Measures, tables: Tables, readable: dict[str, bool]) -> None:
    tokens = tables["tokens"]
    measures.tags.update(tokens["tag"].value_counts().to_dict())
    for table, column in (("sentences", "sentence_tokens"), ("tokens", "token_chars")):
        if len(rows := tables[table]):
            longest = rows.loc[rows[column].idxmax()]
            measures.longest[column] = max(
                measures.longest.get(column, (0, "")),
                (int(longest[column]), longest["place"]),
                key=lambda pair: pair[0],
            )
    for token in tokens["token"].unique():
        if token not in readable:
            readable[token] = is_visible(token) and not re.search(CONTROL, token)
    broken: pd.DataFrame = tokens[~tokens["token"].map(readable).astype(bool)]
    measures.unreadable += len(broken)
    for row in broken.head(SHOWN - len(measures.examples)).itertuples():
        measures.examples.append(f"{row.place}: {row.token!r}")
