"""Scores on slices of a split: kinds of entities, sentences and documents that the model is good or bad at.

    gold, predicted = (add_features(table, tokens, positions(document_ids), known) for table in (gold, predicted))
    add_slices(counts, gold, predicted, units)                          # of each part of the split
    table = slice_scores(counts.sum(0), resampled(counts, resamples, seed), confidence)     # a row a slice and value

An entity belongs to a slice by what it is itself: a gold one by its own length, a predicted one by its own.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ner.data.entities import CORRECT, GOLD, KEY, PREDICTED, add_counts
from ner.evaluation.bootstrap import f1, interval, precision, recall, resampled

ENTITY_LENGTHS = ((1, "1 token"), (2, "2 tokens"), (3, "3 tokens"), (None, "4 tokens or more"))
SENTENCE_LENGTHS = ((5, "up to 5"), (10, "6 to 10"), (20, "11 to 20"), (40, "21 to 40"), (None, "over 40"))
POSITIONS = ((1, "sentence 1"), (5, "sentences 2 to 5"), (15, "sentences 6 to 15"), (None, "later"))
SEEN, OTHER_TYPE, UNSEEN = "seen", "seen as another type", "unseen"
ORDER = {
    "entity length": [name for _, name in ENTITY_LENGTHS],
    "mention in training": [SEEN, OTHER_TYPE, UNSEEN],
    "sentence length": [name for _, name in SENTENCE_LENGTHS],
    "all capitals": ["yes", "no"],
    "position in document": [name for _, name in POSITIONS],
}
VALUES = [(name, value) for name, values in ORDER.items() for value in values]
COLUMNS = ["slice", "value", "precision", "recall", "f1", "f1_low", "f1_high", "correct", "predicted", "support"]

Mentions = dict[str, frozenset[str]]


def known_mentions(sentences: Sequence[Sequence[str]], table: pd.DataFrame, known: Mentions | None = None) -> Mentions:
    """Return the types that each mention of the training split has. table: its gold entities
    (ner.data.entities.entity_table).

    known: those of parts before it, to which these are added.
    """
    known = {} if known is None else known
    shared = {types: types for types in known.values()}  # mentions are many, sets of types are few
    for sentence, start, end, name in zip(*(table[column].tolist() for column in KEY), strict=True):
        text = " ".join(sentences[sentence][start:end])
        types = known.get(text, frozenset()) | {name}
        known[text] = shared.setdefault(types, types)
    return known


def add_features(
    table: pd.DataFrame, sentences: Sequence[Sequence[str]], places: np.ndarray | None, known: Mentions
) -> pd.DataFrame:
    """Return a copy of an entity table with `text` and a column for each slice of ORDER.

    places: of each sentence in its document (positions); None where the corpus has no documents.
    """
    table = table.copy()
    index = table["sentence"].to_numpy(int)
    lengths = np.array([len(tokens) for tokens in sentences], int)
    capitals = np.array([is_all_capitals(tokens) for tokens in sentences], bool)
    table["text"] = [" ".join(sentences[i][a:b]) for i, a, b in zip(index, table["start"], table["end"], strict=True)]
    table["entity length"] = _bins(table["end"] - table["start"], ENTITY_LENGTHS)
    table["mention in training"] = [
        _seen(known.get(text), kind) for text, kind in zip(table["text"], table["type"], strict=True)
    ]
    table["sentence length"] = _bins(lengths[index], SENTENCE_LENGTHS)
    table["all capitals"] = np.where(capitals[index], "yes", "no")
    if places is not None:
        table["position in document"] = _bins(places[index], POSITIONS)
    return table


def is_all_capitals(tokens: Sequence[str]) -> bool:
    """Whether a sentence has letters in at least two tokens and no small one: headlines, in newswire."""
    written = [token for token in tokens if any(c.isalpha() for c in token)]
    return len(written) > 1 and all(token == token.upper() and token != token.lower() for token in written)


def positions(document_ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the place of each sentence in its document, from 1."""
    ids = np.asarray(document_ids, int)
    order = np.argsort(ids, kind="stable")
    _, starts, sizes = np.unique(ids[order], return_index=True, return_counts=True)
    places = np.empty(len(ids), int)
    places[order] = np.arange(1, len(ids) + 1) - np.repeat(starts, sizes)
    return places


def add_slices(counts: np.ndarray, gold: pd.DataFrame, predicted: pd.DataFrame, units: np.ndarray) -> None:
    """Add to counts [n_units, len(VALUES), 3]. gold, predicted: marked tables with features; units: see `count`."""
    for name, values in ORDER.items():
        if name in gold:
            first = VALUES.index((name, values[0]))
            add_counts(counts[:, first : first + len(values)], gold, predicted, units, name, values)


def slice_scores(total: np.ndarray, sums: np.ndarray, confidence: float) -> pd.DataFrame:
    """Return a row per slice and value that has entities, in the order of ORDER, with COLUMNS.

    total: [len(VALUES), 3], all units together; sums: [resamples, len(VALUES), 3], of
    ner.evaluation.bootstrap.resampled.
    """
    rows = [
        [*VALUES[index], *_scores(total[index], sums[:, index], confidence)]
        for index in range(len(VALUES))
        if total[index, [PREDICTED, GOLD]].any()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def document_scores(
    counts: np.ndarray, document_ids: Sequence[int] | np.ndarray, resamples: int, seed: int, confidence: float
) -> pd.DataFrame:
    """Return a row per document, most wrong entities first; the intervals draw sentences, as a document is one unit.

    counts: [n_sentences, 3] (ner.data.entities.sentence_counts). Columns: document_id, sentences, then those of COLUMNS
    from
    precision on.
    """
    ids = np.asarray(document_ids, int)
    rows = []
    order = np.argsort(ids, kind="stable")
    documents, starts = np.unique(ids[order], return_index=True)
    for document, own in zip(documents, np.split(counts[order], starts[1:]), strict=False):
        scores = _scores(own.sum(0), resampled(own, resamples, seed), confidence)
        rows.append([int(document), len(own), *scores])
    table = pd.DataFrame(rows, columns=["document_id", "sentences", *COLUMNS[2:]])
    wrong = table["predicted"] + table["support"] - 2 * table["correct"]
    return table.iloc[np.lexsort([table["document_id"], -wrong])].reset_index(drop=True)


def _scores(total: np.ndarray, sums: np.ndarray, confidence: float) -> list[float | int]:
    low, high = interval(f1(sums), confidence)
    counts = [int(total[column]) for column in (CORRECT, PREDICTED, GOLD)]
    return [float(precision(total)), float(recall(total)), float(f1(total)), low, high, *counts]


def _bins(numbers: Sequence[int] | np.ndarray, bins: Sequence[tuple[int | None, str]]) -> np.ndarray:
    limits = [limit for limit, _ in bins if limit is not None]
    return np.array([name for _, name in bins], dtype=object)[np.searchsorted(limits, numbers)]


def _seen(types: frozenset[str] | None, entity_type: str) -> str:
    if types is None:
        return UNSEEN
    return SEEN if entity_type in types else OTHER_TYPE
