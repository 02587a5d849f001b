"""The same score on parts of a split: which kinds of entities, sentences and documents the model is good and bad at.

    gold, found = (add_features(table, tokens, document_ids, known) for table in (gold, found))
    table = slice_scores(gold, found, units, drawn, confidence)     # a row a slice and value

An entity belongs to a slice by what it is itself: a gold one by its own length, a predicted one by its own.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ner.bootstrap import draws, f1, interval, precision, recall
from ner.entities import CORRECT, GOLD, PREDICTED, count

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
COLUMNS = ["slice", "value", "precision", "recall", "f1", "f1_low", "f1_high", "correct", "predicted", "support"]

Mentions = dict[str, set[str]]


def known_mentions(sentences: Sequence[Sequence[str]], table: pd.DataFrame, known: Mentions | None = None) -> Mentions:
    """The types that each mention of the training split has. table: its gold entities (ner.entities.entity_table).

    known: those of parts before it, to which these are added.
    """
    known = {} if known is None else known
    for row in table.itertuples():
        known.setdefault(" ".join(sentences[row.sentence][row.start : row.end]), set()).add(row.type)
    return known


def add_features(
    table: pd.DataFrame, sentences: Sequence[Sequence[str]], document_ids: Sequence[int] | None, known: Mentions
) -> pd.DataFrame:
    """A copy of an entity table with `text` and a column for each slice of ORDER.

    document_ids: one a sentence; None where the corpus has no documents, and then there is no position in them.
    """
    table = table.copy()
    index = table["sentence"].to_numpy(int)
    lengths = np.array([len(tokens) for tokens in sentences])
    capitals = np.array([is_all_capitals(tokens) for tokens in sentences], bool)
    table["text"] = [" ".join(sentences[i][a:b]) for i, a, b in zip(index, table["start"], table["end"], strict=True)]
    table["entity length"] = [_bin(n, ENTITY_LENGTHS) for n in table["end"] - table["start"]]
    table["mention in training"] = [
        _seen(known.get(text), kind) for text, kind in zip(table["text"], table["type"], strict=True)
    ]
    table["sentence length"] = [_bin(n, SENTENCE_LENGTHS) for n in lengths[index]]
    table["all capitals"] = np.where(capitals[index], "yes", "no")
    if document_ids is not None:
        table["position in document"] = [_bin(n, POSITIONS) for n in positions(document_ids)[index]]
    return table


def is_all_capitals(tokens: Sequence[str]) -> bool:
    """Whether a sentence has letters in at least two tokens and no small one: headlines, in newswire."""
    written = [token for token in tokens if any(c.isalpha() for c in token)]
    return len(written) > 1 and all(token == token.upper() and token != token.lower() for token in written)


def positions(document_ids: Sequence[int]) -> np.ndarray:
    """The place of each sentence in its document, from 1."""
    seen: dict[int, int] = {}
    places = []
    for document in document_ids:
        seen[document] = seen.get(document, 0) + 1
        places.append(seen[document])
    return np.array(places, int)


def slice_scores(
    gold: pd.DataFrame, found: pd.DataFrame, units: np.ndarray, drawn: np.ndarray, confidence: float
) -> pd.DataFrame:
    """A row a slice and value, in the order of ORDER, with COLUMNS. gold, found: marked tables with features."""
    rows = []
    for name, values in ORDER.items():
        if name not in gold:
            continue
        for value in values:
            counts = _counts(gold[gold[name] == value], found[found[name] == value], units)
            if counts[:, 1:].sum():
                rows.append([name, value, *_scores(counts, drawn, confidence)])
    return pd.DataFrame(rows, columns=COLUMNS)


def document_scores(
    gold: pd.DataFrame, found: pd.DataFrame, document_ids: Sequence[int], resamples: int, seed: int, confidence: float
) -> pd.DataFrame:
    """A row a document, most wrong entities first; the intervals draw sentences, as a document is one unit.

    Columns: document_id, sentences, then those of COLUMNS from precision on.
    """
    ids = np.asarray(document_ids, int)
    counts = _counts(gold, found, np.arange(len(ids)))
    rows = []
    order = np.argsort(ids, kind="stable")
    documents, starts = np.unique(ids[order], return_index=True)
    for document, own in zip(documents, np.split(counts[order], starts[1:]), strict=False):
        rows.append([int(document), len(own), *_scores(own, draws(len(own), resamples, seed), confidence)])
    table = pd.DataFrame(rows, columns=["document_id", "sentences", *COLUMNS[2:]])
    wrong = table["predicted"] + table["support"] - 2 * table["correct"]
    return table.iloc[np.lexsort([table["document_id"], -wrong])].reset_index(drop=True)


def _counts(gold: pd.DataFrame, found: pd.DataFrame, units: np.ndarray) -> np.ndarray:
    one_type = {"type": "any"}
    return count(gold.assign(**one_type), found.assign(**one_type), units, ["any"])[:, 0]


def _scores(counts: np.ndarray, drawn: np.ndarray, confidence: float) -> list[float | int]:
    total = counts.sum(0)
    low, high = interval(f1(drawn @ counts), confidence)
    sums = [int(total[column]) for column in (CORRECT, PREDICTED, GOLD)]
    return [float(precision(total)), float(recall(total)), float(f1(total)), low, high, *sums]


def _bin(number: int, bins: Iterable[tuple[int | None, str]]) -> str:
    return next(name for limit, name in bins if limit is None or number <= limit)


def _seen(types: set[str] | None, entity_type: str) -> str:
    if types is None:
        return UNSEEN
    return SEEN if entity_type in types else OTHER_TYPE
