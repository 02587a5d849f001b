"""Entities of a whole split as a table, which of them are right, and their counts by document: what all scores are of.

    gold, predicted = entity_table(gold_tags), entity_table(predicted_tags, probabilities, labels)
    mark_correct(gold, predicted)
    counts = count(gold, predicted, unit_of_sentence, types)         # [units, types, (correct, predicted, gold)]

The reading of tags is conlleval's (ner.tags.tags_to_spans), as is seqeval's default mode.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ner.inference.probability import span_score
from ner.tags import tags_to_spans

KEY = ["sentence", "start", "end", "type"]
CORRECT, PREDICTED, GOLD = 0, 1, 2  # the last axis of counts


def entity_table(
    tags: Sequence[Sequence[str]], probabilities: Sequence[np.ndarray] | None = None, labels: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a row per entity: sentence (its index), start, end (half-open, in tokens), type, and its score.

    tags: the most probable ones of each sentence. probabilities: [n_tokens, n_labels] of each sentence, for the score
    (ner.inference.probability.span_score), which without them is NaN.
    """
    rows = [(i, *span) for i, sentence in enumerate(tags) for span in tags_to_spans(sentence)]
    table = pd.DataFrame(rows, columns=KEY).astype({"sentence": int, "start": int, "end": int, "type": object})
    return table.assign(score=np.nan if probabilities is None else entity_scores(table, probabilities, labels))


def entity_scores(table: pd.DataFrame, probabilities: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Return the score of each entity of a table, float64 [n_entities]. probabilities: as entity_table takes them."""
    rows = zip(*(table[name].tolist() for name in KEY), strict=True)
    return np.array([span_score(probabilities[i], start, end, name, labels) for i, start, end, name in rows], float)


def mark_correct(gold: pd.DataFrame, predicted: pd.DataFrame) -> None:
    """Add the column `correct` to both tables: true where the other table has an entity of the same span and type."""
    ours, theirs = (pd.MultiIndex.from_frame(table[KEY]) for table in (gold, predicted))
    gold["correct"], predicted["correct"] = ours.isin(theirs), theirs.isin(ours)


def count(gold: pd.DataFrame, predicted: pd.DataFrame, units: np.ndarray, types: Sequence[str]) -> np.ndarray:
    """Return entity counts by unit and type: an int array [n_units, n_types, 3] of correct, predicted and gold.

    gold, predicted: marked tables, or rows of them. units: [n_sentences], the number (from 0) of the document of each.
    """
    counts = np.zeros((int(units.max(initial=-1)) + 1, len(types), 3), int)
    add_counts(counts, gold, predicted, units, "type", types)
    return counts


def add_counts(
    counts: np.ndarray,
    gold: pd.DataFrame,
    predicted: pd.DataFrame,
    units: np.ndarray,
    column: str,
    values: Sequence[str],
) -> None:
    """Add entities to counts [n_units, n_values, 3] by unit and by their value in a column, which is one of `values`.

    The other arguments are those of `count`.
    """
    place = {name: index for index, name in enumerate(values)}
    for table, kind in ((predicted[predicted["correct"]], CORRECT), (predicted, PREDICTED), (gold, GOLD)):
        where = units[table["sentence"].to_numpy(int)], table[column].map(place).to_numpy(int)
        np.add.at(counts, (*where, kind), 1)


def sentence_counts(gold: pd.DataFrame, predicted: pd.DataFrame, sentences: int) -> np.ndarray:
    """Return entity counts of all types by sentence: an int32 array [sentences, 3] of correct, predicted and gold."""
    tables = predicted[predicted["correct"]], predicted, gold
    return np.stack([np.bincount(table["sentence"], minlength=sentences) for table in tables], -1).astype(np.int32)


def unit_numbers(document_ids: Sequence[int] | np.ndarray) -> tuple[np.ndarray, str]:
    """Return the unit of each sentence, numbered from 0, and the unit's name: `document`, or `sentence` where there are
    no documents.

    Sentences of a document depend on each other, so whole documents are drawn by the bootstrap.
    """
    ids, numbers = np.unique(np.asarray(document_ids, int), return_inverse=True)
    if len(ids) < 2:
        return np.arange(len(document_ids)), "sentence"
    return numbers, "sentence" if len(ids) == len(document_ids) else "document"
