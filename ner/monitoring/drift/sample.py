"""Observations of many texts as arrays, and their values by block of so many tokens, which texts of any length have.

sample = Sample.of(columns, types=["LOC", "PER"])     # columns: a list for each key of ner.inference.observation
blocks = sample.blocks(100)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# What a block of text has of each, a token: the sum of this column over it, divided by its tokens.
RATES = {
    "unseen words": "unseen",
    "capitals": "capitals",
    "subwords": "subwords",
    "letters": "letters",
    "token confidence": "confidence",
    "unsure tokens": "unsure",
    "entities": "entities",
}
SCORES, TYPES = "entity confidence", "entity types"
VALUES = (*RATES, SCORES)  # of a block; the last one is the mean over its entities
OTHER = "other"


@dataclass(frozen=True)
class Blocks:
    """values: [n_blocks, len(VALUES)], NaN where one is unknown, or of no entity; groups: of the first text of each."""

    values: np.ndarray
    groups: np.ndarray


@dataclass(frozen=True)
class Sample:
    """Texts in order, those without a token left out.

    tokens, groups: [n]; sums: [n, len(RATES)], over the tokens of a text; scores: of all entities, and scored: the text
    of each; counts: [n, n_types], entities by type. group: the document that a text is of, where that is known.
    """

    tokens: np.ndarray
    groups: np.ndarray
    sums: np.ndarray
    scores: np.ndarray
    scored: np.ndarray
    counts: np.ndarray
    types: tuple[str, ...]

    @classmethod
    def of(cls, columns: Mapping[str, Sequence[Any]], types: Sequence[str]) -> "Sample":
        """Return the sample of these rows. types: those of the model; an entity of another one counts as OTHER."""
        indices = [index for index, tokens in enumerate(columns["tokens"]) if tokens]
        names = (*types, OTHER)
        place = {name: index for index, name in enumerate(names)}
        tokens = np.array([columns["tokens"][index] for index in indices], float)
        scores = [columns["scores"][index] for index in indices]
        counts = np.zeros((len(indices), len(names)))
        for row, index in enumerate(indices):
            for name, count in columns["types"][index].items():
                counts[row, place.get(name, place[OTHER])] += count
        sums = np.full((len(indices), len(RATES)), np.nan)
        for column, key in enumerate(RATES.values()):
            values = (
                [len(text_scores) for text_scores in scores]
                if key == "entities"
                else [columns[key][index] for index in indices]
            )
            sums[:, column] = np.array(values, float) * (tokens if key == "confidence" else 1)
        groups = np.array([columns["group"][i] for i in indices] if "group" in columns else range(len(indices)), int)
        scored = np.repeat(np.arange(len(indices)), [len(text_scores) for text_scores in scores])
        flat = np.array([score for text_scores in scores for score in text_scores], float)
        return cls(tokens, groups, sums, flat, scored, counts, names)

    def __len__(self) -> int:
        return len(self.tokens)

    def blocks(self, size: int) -> Blocks:
        """Return neighbouring texts in blocks of `size` tokens; a last block counts if at least half full.

        What is left at the end is a block where it has half.
        """
        ends = np.cumsum(self.tokens)
        starts: list[int] = []
        start, done = 0, 0.0
        while start < len(self) and (ends[-1] - done >= size / 2 or not starts):
            starts.append(start)
            start = int(np.searchsorted(ends, done + size)) + 1
            done = ends[min(start, len(self)) - 1]
        if not starts:
            return Blocks(np.empty((0, len(VALUES))), np.empty(0, int))
        scores = np.bincount(self.scored, self.scores, len(self))
        sums = np.column_stack([self.sums, scores])[:start]
        numbers = np.column_stack([*[self.tokens] * len(RATES), np.bincount(self.scored, minlength=len(self))])[:start]
        total, of = np.add.reduceat(sums, starts), np.add.reduceat(numbers, starts)
        values = np.divide(total, of, out=np.full_like(total, np.nan), where=of > 0)
        return Blocks(values, self.groups[starts])


def nearer_unit(reference: Mapping[str, Sample], window: Sample) -> str:
    """Return the reference's unit, `sentence` or `document`, whose texts are nearer in length to the window's."""
    length = np.median(window.tokens)
    return min(reference, key=lambda unit: abs(np.log(np.median(reference[unit].tokens) / length)))
