"""Annotations that are probably wrong: where the model confidently contradicts them on text that it was not trained on.

table = find_label_issues("validation", predictions, temperature)      # a row a suspected span, COLUMNS

Found by cleanlab's confident learning on calibrated probabilities. Source: Wang and Mueller, "Detecting Label Errors in
Token Classification Data" (2022, arXiv 2210.03920).
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ner.data.predictions import Predictions
from ner.tags import spans_to_tags, tags_to_spans

COLUMNS = [
    "rank", "split", "document_id", "sentence_id", "line", "text", "annotated", "suggested", "confidence", "sentence",
]  # fmt: skip
PLACE = ["start", "end"]  # in tokens of the sentence, half-open: beside COLUMNS in the tables here, not in the CSV


def find_label_issues(split: str, predictions: Predictions, temperature: float) -> pd.DataFrame:
    """Return a row per suspected span, the most confidently contradicted first: COLUMNS, then PLACE.

    Adjacent tokens that are suspected make one span. annotated, suggested: its tags as given and as the model reads it,
    in valid IOB2; confidence: mean probability of what the model chose there; line: of the span's first token in the
    file of the corpus.
    """
    probabilities = predictions.probabilities(temperature)
    confidences = predictions.by_sentence(probabilities.max(-1))
    suspects = suspected(predictions, probabilities)
    read = predictions.tags(probabilities)
    rows = []
    for index in np.unique([sentence for sentence, _ in suspects]).astype(int):
        suggested = spans_to_tags(tags_to_spans(read[index]), len(read[index]))
        # A model's I- where B- belongs reads as the same entity: that contradicts nothing.
        wrong = [tag != annotated for tag, annotated in zip(suggested, predictions.gold[index], strict=True)]
        for start, end in _runs([(index, place) in suspects and wrong[place] for place in range(len(wrong))]):
            rows.append(
                {
                    "split": split,
                    "document_id": predictions.document_ids[index],
                    "sentence_id": predictions.sentence_ids[index],
                    "line": line_of(predictions, index, start),
                    "text": " ".join(predictions.tokens[index][start:end]),
                    "annotated": " ".join(predictions.gold[index][start:end]),
                    "suggested": " ".join(suggested[start:end]),
                    "confidence": round(float(confidences[index][start:end].mean()), 6),
                    "sentence": " ".join(predictions.tokens[index]),
                    "start": start,
                    "end": end,
                }
            )
    return ranked(pd.DataFrame(rows, columns=[*COLUMNS, *PLACE]))


def suspected(predictions: Predictions, probabilities: np.ndarray) -> set[tuple[int, int]]:
    """Return the tokens that cleanlab suspects, each as (sentence index, token index).

    probabilities: [n_tokens, n_labels].
    """
    ids = predictions.gold_ids()
    if len(np.unique(ids)) < 2:  # cleanlab compares classes, so it wants two at least
        return set()
    from cleanlab.token_classification.filter import find_label_issues as cleanlab_issues

    tags = [part.tolist() for part in predictions.by_sentence(ids)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="May not flag all label issues in class")  # a rare tag
        issues = cleanlab_issues(tags, predictions.by_sentence(probabilities), n_jobs=1)
    return {(int(sentence), int(token)) for sentence, token in issues}


def line_of(predictions: Predictions, sentence: int, token: int) -> int:
    """Return the line of a token in the file that the corpus came from; 0 where that is not a file of lines."""
    first = predictions.lines[sentence]
    return first + token if first else 0


def ranked(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table sorted by confidence, ties as they stand, and numbered from 1."""
    table = table.sort_values("confidence", ascending=False, kind="stable", ignore_index=True)
    return table.assign(rank=np.arange(1, len(table) + 1))


def _runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Return start and end, half-open, of each run of true values."""
    edges = np.flatnonzero(np.diff(np.array([False, *flags, False], int)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
