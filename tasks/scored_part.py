"""What one part of a split adds to its scores, entities by document aside (tasks.scored_split).

gold, found = marked(part, tags, temperature)
sums = part_sums(part, tags, gold, found, temperature) + part_sums(…)      # of the next part
"""

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from ner.calibration import Loss, bin_sums
from ner.entities import entity_scores, entity_table, mark_correct
from ner.mistakes import confusion, mistakes
from ner.tally import Tally, tally
from ner.three_ways import LISTED, differences
from tasks.predictions import Predictions

THRESHOLDS = np.round(np.linspace(0, 1, 101), 2)
Tags = list[list[str]]


@dataclass(frozen=True)
class Sums:
    """Every field adds up over parts."""

    document: Tally  # sentences read with their neighbours
    sentence: Tally  # each by itself
    disagreements: int  # sentences in which the ways of scoring part
    differing: list[dict[str, Any]]  # the first LISTED of them
    kept: np.ndarray  # kept_counts
    fitted: np.ndarray  # ner.calibration.bin_sums of the scores with the temperature,
    unfitted: np.ndarray  # and without it
    mistakes: Counter[str]  # by category
    confusion: Counter[tuple[str, str]]  # by gold and predicted type
    loss: Loss
    loss_before: Loss  # without the temperature
    words: int
    predicted_words: int

    def __add__(self, other: "Sums") -> "Sums":
        sums = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)}
        return Sums(**sums | {"differing": sums["differing"][:LISTED]})


def marked(part: Predictions, tags: Tags, temperature: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The gold and the predicted entities (marked tables of ner.entities). tags: those of part.logits."""
    gold = entity_table(part.gold)
    found = entity_table(tags, part.by_sentence(part.probabilities(temperature)), part.labels)
    mark_correct(gold, found)
    return gold, found


def part_sums(
    part: Predictions, tags: Tags, gold: pd.DataFrame, found: pd.DataFrame, temperature: float, first: int = 0
) -> Sums:
    """gold, found: of `marked`; first: the index in the split of the part's first sentence."""
    wrong, ids = mistakes(gold, found), part.gold_ids()
    parted = differences(part.gold, tags, part.tokens, first=first)
    unfitted = entity_scores(found, part.by_sentence(part.probabilities(1.0)), part.labels)
    return Sums(
        **tallies(part, tags),
        disagreements=parted["sentences"],
        differing=parted["listed"],
        kept=kept_counts(found, len(gold)),
        fitted=bin_sums(found["score"], found["correct"]),
        unfitted=bin_sums(unfitted, found["correct"]),
        mistakes=Counter(wrong["category"]),
        confusion=Counter({(row.gold, row.predicted): row.entities for row in confusion(gold, wrong).itertuples()}),
        loss=Loss.of(part.logits, ids, temperature),
        loss_before=Loss.of(part.logits, ids),
        words=part.words,
        predicted_words=sum(map(len, tags)),
    )


def tallies(part: Predictions, tags: Tags) -> dict[str, Tally]:
    """The entities of both readings; tags: of the one that the model is judged by."""
    main, found = tally(part.gold, tags), {}
    for name, logits in (("document", part.logits_document), ("sentence", part.logits_alone)):
        is_main = name == part.context or np.array_equal(logits, part.logits)
        found[name] = main if is_main else tally(part.gold, part.tags(logits))
    return found


def kept_counts(found: pd.DataFrame, gold: int) -> np.ndarray:
    """Correct, predicted and gold entities where only those of at least that score are kept: [len(THRESHOLDS), 3]."""
    kept = found["score"].to_numpy()[:, None] >= THRESHOLDS
    right = found["correct"].to_numpy(bool)
    return np.stack([kept[right].sum(0), kept.sum(0), np.full(len(THRESHOLDS), gold)], -1)
