"""Divide a corpus into training, validation and test: whole documents, every entity type in its share, by a seed.

    parts = divide(documents, {"validation": 0.1, "test": 0.1}, seed=42)     # parts.split[i]: of documents[i]

Documents that are equal, or share a sentence that is no chance, stay on one side: no leakage. How the types are kept in
proportion follows the iterative stratification of Sechidis, Tsoumakas and Vlahavas, "On the Stratification of
Multi-Label Data" (ECML PKDD 2011), with groups of documents for examples and counts of entities for labels. Of each
document there are in memory a hash a sentence and its counts, not its text.
"""

import random
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ner.data.conll import Sentence
from ner.data.fingerprint import COMPARED_TOKENS
from ner.data.sources.catalog_entries import ALL, Shares
from ner.data.sources.sentence_store import Rows, StoredRows
from ner.errors import CorpusError
from ner.tags import split_tag

TRAIN = "train"
SPREADS = (None, 100, 50, 25, 10, 5, 2)  # documents that a sentence may stand in and still tie them together
DOCUMENT, TOKENS = "", " "  # beside the entity types: every document counts as one, and its tokens

Document = Sequence[Sentence]
Counts = tuple[tuple[str, int], ...]  # entities by type, the documents themselves, and their tokens


class Division(NamedTuple):
    """The split of each document. cut_ties: how many sentences occur in too many documents to tie them together."""

    split: list[str]
    cut_ties: int


class Facts:
    """What a division is made by: of each document its counts and the hash of its text; of each longer sentence its
    documents.

    By hash, whose rare collisions keep together what need not be.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        texts, sentences, owners = array("q"), array("q"), array("q")
        self.counts: list[Counts] = []
        alike: dict[Counts, Counts] = {}  # most documents have the counts of many others
        for index, document in enumerate(documents):
            texts.append(hash(tuple(tuple(row.tokens) for row in document)))
            own = {hash(tuple(row.tokens)) for row in document if len(row.tokens) >= COMPARED_TOKENS}
            sentences.extend(own)
            owners.extend([index] * len(own))
            counts = tuple(_counts(document).items())
            self.counts.append(alike.setdefault(counts, counts))
        order = np.lexsort((np.frombuffer(owners, np.int64), np.frombuffer(sentences, np.int64)))
        self._sentences = np.frombuffer(sentences, np.int64)[order]
        self._owners = np.frombuffer(owners, np.int64)[order]
        self._order = np.argsort(np.frombuffer(texts, np.int64), kind="stable")
        self._texts = np.frombuffer(texts, np.int64)[self._order]

    def __len__(self) -> int:
        return len(self.counts)

    def of_sentences(self) -> Iterator[list[int]]:
        """Return the documents of each sentence that occurs in several."""
        return _together(self._sentences, self._owners)

    def of_equal_texts(self) -> Iterator[list[int]]:
        return _together(self._texts, self._order)


def _together(keys: np.ndarray, members: np.ndarray) -> Iterator[list[int]]:
    """Yield the members of each key that has two or more. keys: sorted."""
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1], [True]])) if len(keys) else np.zeros(1, int)
    several = np.flatnonzero(np.diff(starts) > 1)
    for first, last in zip(starts[several].tolist(), starts[several + 1].tolist(), strict=True):
        yield members[first:last].tolist()


def divide(documents: Iterable[Document], shares: dict[str, float], seed: int) -> Division:
    """Return the split of each document. shares: of all documents, of each split but training.

    The same documents and the same seed give the same division. Raises CorpusError where there are too few documents
    that have nothing in common.
    """
    facts = Facts(documents)
    for spread in SPREADS:
        groups, cut_ties = _groups(facts, spread)
        if _are_enough(groups, shares, len(facts)):
            return Division(_assign(facts, groups, {TRAIN: 1 - sum(shares.values()), **shares}, seed), cut_ties)
    raise CorpusError(
        f"{len(facts):,} documents cannot be divided into training, {' and '.join(shares)}: too few of them have "
        "no sentence in common with others. Bring more, or name the files of each split in catalog.yaml."
    )


def divide_in_folds(documents: Iterable[Document], folds: int, seed: int) -> list[int]:
    """Return the fold of each document, from 0: every entity type in its share, and in two folds where two documents
    that have nothing in common have it, so that each part to train on has it too.

    The same documents and the same seed give the same folds. Raises CorpusError where there are too few documents.
    """
    facts = Facts(documents)
    if folds > len(facts):
        raise CorpusError(
            f"params.yaml, split.folds: {folds} is more than the {len(facts):,} documents of training and validation "
            "(sentences, where there are no documents): lower it, or write 0."
        )
    shares = {str(fold): 1 / folds for fold in range(folds)}
    for spread in SPREADS:
        groups, _ = _groups(facts, spread)
        if _are_enough(groups, dict(list(shares.items())[1:]), len(facts)):
            return [int(fold) for fold in _assign(facts, groups, shares, seed)]
    raise CorpusError(
        f"params.yaml, split.folds: {len(facts):,} documents cannot be divided into {folds} folds, since too few of "
        "them have no sentence in common with others: lower it, or write 0."
    )


def make_splits(
    rows: dict[str, Rows], shares: Shares, boundaries: bool, scratch: Path | None = None
) -> tuple[dict[str, Rows], dict[str, Any]]:
    """Return training, validation and test, the missing ones taken out of `all` or `train`; and a record of what was
    done.

    boundaries: whether document_id says what belongs together; else each sentence is divided by itself. scratch: the
    folder on whose disk the sentences are kept.
    """
    made = [split for split in ("validation", "test") if split not in rows]
    whole = rows.pop(ALL, None) or rows.pop(TRAIN)
    division = divide(_documents(whole, boundaries), {split: getattr(shares, split) for split in made}, shares.seed)
    parts = {split: StoredRows(scratch) for split in (TRAIN, *made)}
    counts = dict.fromkeys(parts, 0)
    for document, split in zip(_documents(whole, boundaries), division.split, strict=True):
        for row in document:
            parts[split].add(row._replace(document_id=counts[split]))
        counts[split] += 1
    record: dict[str, Any] = {**shares.model_dump(), "made": made, "by": "document" if boundaries else "sentence"}
    if division.cut_ties:
        record["sentences_in_many_documents"] = division.cut_ties
    return {**rows, **parts}, record


def _documents(rows: Rows, boundaries: bool) -> Iterator[Document]:
    if not boundaries:
        return ([row] for row in rows)
    return (list(group) for _, group in groupby(rows, key=lambda row: row.document_id))


def _are_enough(groups: Sequence[Sequence[int]], shares: dict[str, float], count: int) -> bool:
    """Whether the documents outside the largest group can fill the splits to be made, a group for each at the least."""
    beside = count - max(map(len, groups), default=0)
    return len(groups) > len(shares) and beside >= sum(shares.values()) * count * 0.9


def _groups(facts: Facts, spread: int | None) -> tuple[list[list[int]], int]:
    """Return documents that have to stay together, by first document; and how many sentences tie none together."""
    together = _Union(len(facts))
    cut_ties = 0
    for places in facts.of_sentences():
        if spread is not None and len(places) > spread:
            cut_ties += 1
            continue
        for other in places[1:]:
            together.join(places[0], other)
    for equal in facts.of_equal_texts():
        for other in equal[1:]:
            together.join(equal[0], other)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(facts)):
        groups[together.root(index)].append(index)
    return list(groups.values()), cut_ties


class _Union:
    """Sets of numbers that are only ever merged (union-find)."""

    def __init__(self, count: int) -> None:
        self.above = list(range(count))

    def root(self, index: int) -> int:
        while self.above[index] != index:
            self.above[index] = self.above[self.above[index]]
            index = self.above[index]
        return index

    def join(self, number: int, other: int) -> None:
        first, second = sorted((self.root(number), self.root(other)))
        self.above[second] = first


def _assign(facts: Facts, groups: list[list[int]], shares: dict[str, float], seed: int) -> list[str]:
    """Return the split, or the fold, of each document, such that training has every entity type, where that can be.

    Tokens are kept in proportion where documents and entities alone would leave a split far from its share of them.
    """
    counts = [_sum(facts.counts[index] for index in group) for group in groups]
    order = list(range(len(groups)))
    random.Random(seed).shuffle(order)
    chosen = _by_share([_without_tokens(own) for own in counts], order, shares, set())
    if _is_uneven(counts, chosen, shares):
        chosen = _by_share(counts, order, shares, set())
    if TRAIN not in shares:
        _spread_types(counts, chosen)
    elif _missing(counts, chosen) and len(groups) - len(pinned := _cover(counts)) >= len(shares) - 1:
        chosen = _by_share(counts, order, shares, pinned)
    split_of = {index: chosen[number] for number, group in enumerate(groups) for index in group}
    return [split_of[index] for index in range(len(facts))]


def _by_share(counts: list[Counts], order: Sequence[int], shares: dict[str, float], pinned: set[int]) -> dict[int, str]:
    """Assign the largest groups first, each to the split that lacks most, by share, of what the group has; those of
    `pinned` to training before all others.
    """
    totals = dict(_sum(counts))
    lacking = {split: dict.fromkeys(totals, 1.0) for split in shares}  # of what it is to get, by kind
    weights = {own: {kind: count / (totals[kind] or 1) for kind, count in own} for own in set(counts)}
    heaviest = {own: -max(weight.values()) for own, weight in weights.items()}
    chosen = {}
    for group in sorted(order, key=lambda g: (g not in pinned, heaviest[counts[g]])):
        own = weights[counts[group]]
        split = max(shares, key=lambda s: sum(weight * lacking[s][kind] for kind, weight in own.items()))
        chosen[group] = split = TRAIN if group in pinned else split
        for kind, weight in own.items():
            lacking[split][kind] -= weight / shares[split]
    _leave_none_empty(counts, chosen, shares, pinned)
    return chosen


def _without_tokens(own: Counts) -> Counts:
    return tuple((kind, count) for kind, count in own if kind != TOKENS)


def _is_uneven(counts: list[Counts], chosen: dict[int, str], shares: dict[str, float]) -> bool:
    """Return whether a split has less than half, or more than twice, of its share of the tokens."""
    tokens: Counter[str] = Counter()
    for group, split in chosen.items():
        tokens[split] += dict(counts[group])[TOKENS]
    return any(not share / 2 <= tokens[split] / (tokens.total() or 1) <= 2 * share for split, share in shares.items())


def _missing(counts: list[Counts], chosen: dict[int, str]) -> set[str]:
    """Return the kinds that training has none of."""
    taught = {kind for group, split in chosen.items() if split == TRAIN for kind, _ in counts[group]}
    return {kind for own in counts for kind, _ in own} - taught


def _cover(counts: list[Counts]) -> set[int]:
    """Return few groups that together have every kind: always the one with most of those that are missing, of equals
    the smallest.
    """
    kinds = [{kind for kind, _ in own} for own in counts]
    sizes = [dict(own)[TOKENS] for own in counts]
    missing, cover = set().union(*kinds), set()
    while missing:
        best = max(range(len(counts)), key=lambda group: (len(kinds[group] & missing), -sizes[group]))
        cover.add(best)
        missing -= kinds[best]
    return cover


def _spread_types(counts: list[Counts], chosen: dict[int, str]) -> None:
    """Move small groups to small folds until no type that several groups have is in one fold alone, where that can
    be.
    """
    owners: dict[str, list[int]] = defaultdict(list)
    for group, own in enumerate(counts):
        for kind, _ in own:
            owners[kind].append(group)
    tokens = [dict(own)[TOKENS] for own in counts]
    for _ in counts:
        alone = (own for own in owners.values() if len(own) > 1 and len({chosen[group] for group in own}) == 1)
        if not (together := next(alone, None)):
            return
        smallest = min(together, key=lambda group: tokens[group])
        sizes = Counter({fold: 0 for fold in chosen.values() if fold != chosen[smallest]})
        for group, fold in chosen.items():
            sizes[fold] += tokens[group] if fold in sizes else 0
        chosen[smallest] = min(sizes, key=lambda fold: (sizes[fold], fold))


def _leave_none_empty(counts: list[Counts], chosen: dict[int, str], shares: dict[str, float], pinned: set[int]) -> None:
    """Move the smallest group of the fullest split to a split that would be empty; none of `pinned`."""
    for split in shares:
        if split in chosen.values():
            continue
        sizes = Counter(chosen.values())
        movable = [g for g in chosen if g not in pinned and sizes[chosen[g]] > 1]
        fullest = Counter(chosen[g] for g in movable).most_common(1)[0][0]
        smallest = min((g for g in movable if chosen[g] == fullest), key=lambda g: (dict(counts[g])[DOCUMENT], g))
        chosen[smallest] = split


def _sum(counts: Iterable[Counts]) -> Counts:
    sums: dict[str, int] = {}
    for own in counts:
        for kind, count in own:
            sums[kind] = sums.get(kind, 0) + count
    return tuple(sums.items())


def _counts(document: Document) -> Counter[str]:
    """Return entities by type, the document itself, and its tokens, as counts."""
    counts = Counter({DOCUMENT: 1, TOKENS: sum(len(row.tokens) for row in document)})
    for row in document:
        counts.update(kind for prefix, kind in map(split_tag, row.tags) if prefix == "B")
    return counts
