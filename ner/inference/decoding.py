"""Decoding: the best valid IOB2 sequence by the scores of tags (Viterbi).

    tags = best_tags(logits, labels)        # label ids, one a token

A tag I-X only ever follows B-X or I-X. The tags are scored apart from each other, so the best valid sequence is the one
with the largest sum of scores, found by dynamic programming (Viterbi, 1967). Where the best tag of each token already
makes a valid sequence, which is nearly always, it is that one.
"""

from collections.abc import Sequence

import numpy as np


def best_tags(scores: np.ndarray, labels: Sequence[str]) -> list[int]:
    """Return label ids [n_tokens] of the best valid sequence.

    scores: [n_tokens, n_labels], logits or logarithms of probabilities: what is added to all scores of a token, or a
    temperature that all are divided by, changes nothing. Of equal sequences it is the one with the smaller ids.
    """
    if not len(scores):
        return []
    before = opened_by(labels)
    inside = [label for label, own in enumerate(before) if own]
    best = scores.argmax(-1)
    if is_valid(best, before):
        return best.tolist()
    total = scores[0].astype(np.float64)
    total[inside] = -np.inf
    back = np.empty((len(scores), len(labels)), int)
    begins = np.array([before[label][0] for label in inside], int)
    for token in range(1, len(scores)):
        back[token] = total.argmax()
        following = np.full(len(labels), total.max())
        goes_on = total[inside] > total[begins]
        back[token, inside] = np.where(goes_on, inside, begins)
        following[inside] = np.where(goes_on, total[inside], total[begins])
        total = following + scores[token]
    path = [int(total.argmax())]
    for token in range(len(scores) - 1, 0, -1):
        path.append(int(back[token, path[-1]]))
    return path[::-1]


def opened_by(labels: Sequence[str]) -> list[tuple[int, ...]]:
    """Return for each label the ids that it may follow: B-X and itself for I-X, none for a label that may follow any.

    An I-X without a B-X in the list may follow any.
    """
    ids = {label: index for index, label in enumerate(labels)}
    openers: list[tuple[int, ...]] = []
    for label, index in ids.items():
        begin = ids.get(f"B-{label[2:]}") if label.startswith("I-") else None
        openers.append(() if begin is None else (begin, index))
    return openers


def is_valid(tags: np.ndarray, before: Sequence[tuple[int, ...]]) -> bool:
    """Whether each I-X in a sequence of label ids follows B-X or I-X."""
    table = np.ones((len(before) + 1, len(before)), bool)  # the last row: the start of the sequence
    for label, own in enumerate(before):
        if own:
            table[:, label] = False
            table[list(own), label] = True
    return bool(table[np.concatenate([[len(before)], tags[:-1]]), tags].all())
