"""Documents that differ from each other: the best by score, none that nearly equals one chosen before it.

    chosen = most_varied(candidates, 100)        # in the order of their choice

Two texts are as similar as the share of their runs of RUN characters that both have. A document counts less the more it
resembles one that is chosen, and by half for each time that its entities are in documents chosen already.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from tempfile import TemporaryFile
from zlib import crc32

import numpy as np
from pydantic import TypeAdapter
from scipy.sparse import csr_matrix

from ner.annotation.selection import Chosen, shown_names
from ner.common.progress import watched

CHOICE = TypeAdapter(Chosen)
NEARLY_EQUAL = 0.5  # similarity; of ten words one or two differ
RUN = 4  # characters
SKETCH = 128  # runs of a text that are compared: those whose hashes are the smallest, the same ones in equal texts


def most_varied(candidates: Iterable[Chosen], number: int) -> list[Chosen]:
    """Return up to `number` documents, best first, each with how many others nearly equal it (`alike`).

    What is not chosen lies in a temporary file meanwhile; in memory are the scores, and hashes of text and entities.
    """
    scores, texts, names, places = [], [], [], []
    with TemporaryFile() as store:
        for choice in (candidate for candidate in candidates if candidate.tokens):
            places.append(store.tell())
            store.write(CHOICE.dump_json(choice) + b"\n")
            scores.append(choice.score)
            texts.append(_hashes(_runs(choice.document.with_text()[0]))[:SKETCH])
            names.append(_hashes(shown_names(choice)))
        chosen = []
        for index, alike in watched(_varied(np.array(scores), texts, names, number), "choosing documents"):
            store.seek(places[index])
            chosen.append(replace(CHOICE.validate_json(store.readline()), alike=alike))
    return chosen


def _varied(
    scores: np.ndarray, texts: Sequence[np.ndarray], names: Sequence[np.ndarray], number: int
) -> Iterator[tuple[int, int]]:
    """Yield the index of each document chosen, and how many of those left are nearly equal to it."""
    runs, entities = _rows(texts), _rows(names)
    by_run, sizes, counts = runs.T.tocsr(), runs.getnnz(axis=1), entities.getnnz(axis=1)
    nearest, weights = np.zeros(len(scores)), np.ones(entities.shape[1])  # to any chosen; of each entity
    for _ in range(min(number, len(scores))):
        novelty = np.where(counts > 0, entities @ weights / np.maximum(counts, 1), 1.0)
        best = int(np.where(nearest < NEARLY_EQUAL, scores * novelty * (1 - nearest), -1.0).argmax())
        if nearest[best] >= NEARLY_EQUAL:
            return
        shared = (runs[best] @ by_run).toarray()[0]
        before = np.count_nonzero(nearest >= NEARLY_EQUAL)
        nearest = np.maximum(nearest, shared / (sizes + sizes[best] - shared))
        weights[entities[best].indices] /= 2
        yield best, int(np.count_nonzero(nearest >= NEARLY_EQUAL) - before - 1)


def _runs(text: str) -> set[str]:
    text = " ".join(text.casefold().split())
    return {text[at : at + RUN] for at in range(max(1, len(text) - RUN + 1))}


def _hashes(strings: Iterable[str]) -> np.ndarray:
    return np.unique(np.array([crc32(string.encode("utf-8", "replace")) for string in strings], np.uint32))


def _rows(hashes: Sequence[np.ndarray]) -> csr_matrix:
    """Return a matrix with a row for each document and a 1 for each of its hashes."""
    ends = np.cumsum([0, *map(len, hashes)])
    values, columns = np.unique(np.concatenate(hashes or [np.empty(0, np.uint32)]), return_inverse=True)
    return csr_matrix((np.ones(len(columns), np.float32), columns, ends), shape=(len(hashes), max(1, len(values))))
