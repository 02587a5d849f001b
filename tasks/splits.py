"""Divide a corpus into training, validation and test: whole documents, every entity type in its share, by a seed.

    parts = divide(documents, {"validation": 0.1, "test": 0.1}, seed=42)     # parts.split[i]: of documents[i]

Documents that are equal, or share a sentence that is no chance, stay on one side: no leakage. How the types are kept in
proportion follows the iterative stratification of Sechidis, Tsoumakas and Vlahavas, "On the Stratification of
Multi-Label Data" (ECML PKDD 2011), with groups of documents for examples and counts of entities for labels.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ner.conll import Sentence
from ner.corpus import COMPARED_TOKENS
from ner.errors import CorpusError
from ner.tags import split_tag
from tasks.catalog import ALL, Shares

TRAIN = "train"
SPREADS = (None, 100, 50, 25, 10, 5, 2)  # documents that a sentence may stand in and still tie them together
DOCUMENT = ""  # beside the entity types: every document counts as one

Document = Sequence[Sentence]
Rows = dict[str, list[Sentence]]  # of each split


class Division(NamedTuple):
    """split: of each document; cut_ties: how many sentences stand in so many documents that they tie none together."""

    split: list[str]
    cut_ties: int


def divide(documents: Sequence[Document], shares: dict[str, float], seed: int) -> Division:
    """Which split each document goes into. shares: of all documents, of each split but training.

    The same documents and the same seed give the same division. Raises CorpusError where there are too few documents
    that have nothing in common.
    """
    for spread in SPREADS:
        groups, cut_ties = _groups(documents, spread)
        if _are_enough(groups, shares, len(documents)):
            return Division(_assign(documents, groups, {TRAIN: 1 - sum(shares.values()), **shares}, seed), cut_ties)
    raise CorpusError(
        f"{len(documents):,} documents cannot be divided into training, {' and '.join(shares)}: too few of them have "
        "no sentence in common with others. Bring more, or name the files of each split in catalog.yaml."
    )


def make_splits(rows: Rows, shares: Shares, boundaries: bool) -> tuple[Rows, dict[str, Any]]:
    """Training, validation and test, those that are missing taken out of `all` or `train`; and what was done.

    boundaries: whether document_id says what belongs together; else each sentence is divided by itself.
    """
    made = [split for split in ("validation", "test") if split not in rows]
    whole = rows.pop(ALL, None) or rows.pop(TRAIN)
    documents = (
        [list(g) for _, g in groupby(whole, key=lambda row: row.document_id)] if boundaries else [[r] for r in whole]
    )
    division = divide(documents, {split: getattr(shares, split) for split in made}, shares.seed)
    found: Rows = {split: [] for split in (TRAIN, *made)}
    counts = dict.fromkeys(found, 0)
    for document, split in zip(documents, division.split, strict=True):
        found[split] += [row._replace(document_id=counts[split]) for row in document]
        counts[split] += 1
    told: dict[str, Any] = {**shares.model_dump(), "made": made, "by": "document" if boundaries else "sentence"}
    if division.cut_ties:
        told["sentences_in_many_documents"] = division.cut_ties
    return {**rows, **found}, told


def _are_enough(groups: Sequence[Sequence[int]], shares: dict[str, float], count: int) -> bool:
    """Whether the documents outside the largest group can fill the splits to be made, a group for each at the least."""
    beside = count - max(map(len, groups), default=0)
    return len(groups) > len(shares) and beside >= sum(shares.values()) * count * 0.9


def _groups(documents: Sequence[Document], spread: int | None) -> tuple[list[list[int]], int]:
    """Documents that have to stay together, in the order of the first of each; and how many sentences tie none."""
    where: dict[int, list[int]] = defaultdict(list)  # by hash: a pair of unequal texts that it joins does no harm
    for index, document in enumerate(documents):
        own = {hash(tuple(row.tokens)) for row in document if len(row.tokens) >= COMPARED_TOKENS}
        for digest in own:
            where[digest].append(index)
    together = _Union(len(documents))
    cut_ties = 0
    for places in where.values():
        if spread is not None and len(places) > spread:
            cut_ties += 1
            continue
        for other in places[1:]:
            together.join(places[0], other)
    for equal in _equal(documents).values():
        for other in equal[1:]:
            together.join(equal[0], other)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(documents)):
        groups[together.root(index)].append(index)
    return list(groups.values()), cut_ties


def _equal(documents: Sequence[Document]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for index, document in enumerate(documents):
        found[hash(tuple(tuple(row.tokens) for row in document))].append(index)
    return found


class _Union:
    """Sets of numbers that only grow together."""

    def __init__(self, count: int) -> None:
        self.above = list(range(count))

    def root(self, index: int) -> int:
        while self.above[index] != index:
            self.above[index] = self.above[self.above[index]]
            index = self.above[index]
        return index

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.root(one), self.root(other)))
        self.above[second] = first


def _assign(documents: Sequence[Document], groups: list[list[int]], shares: dict[str, float], seed: int) -> list[str]:
    """The groups with most of anything first, each to the split that lacks most, by share, of what the group has."""
    counts = [_counts(documents[index] for index in group) for group in groups]
    totals = sum(counts, Counter())
    lacking = {split: dict.fromkeys(totals, 1.0) for split in shares}  # of what it is to get, by kind
    weights = [{kind: count / totals[kind] for kind, count in own.items()} for own in counts]
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)
    chosen = {}
    for group in sorted(order, key=lambda g: -max(weights[g].values())):
        own = weights[group]
        split = max(shares, key=lambda s: sum(weight * lacking[s][kind] for kind, weight in own.items()))
        chosen[group] = split
        for kind, weight in own.items():
            lacking[split][kind] -= weight / shares[split]
    _leave_none_empty(groups, chosen, shares)
    split_of = {index: chosen[number] for number, group in enumerate(groups) for index in group}
    return [split_of[index] for index in range(len(documents))]


def _leave_none_empty(groups: list[list[int]], chosen: dict[int, str], shares: dict[str, float]) -> None:
    """Of a few documents a small share may be none: then the smallest group of the fullest split is moved."""
    for split in shares:
        if split in chosen.values():
            continue
        fullest = Counter(chosen.values()).most_common(1)[0][0]
        smallest = min((g for g in chosen if chosen[g] == fullest), key=lambda g: (len(groups[g]), g))
        chosen[smallest] = split


def _counts(documents: Iterable[Document]) -> Counter[str]:
    """Entities by type, and the documents themselves."""
    found: Counter[str] = Counter()
    for document in documents:
        found[DOCUMENT] += 1
        for row in document:
            found.update(kind for prefix, kind in map(split_tag, row.tags) if prefix == "B")
    return found
