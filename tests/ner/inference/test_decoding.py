"""The best valid sequence of tags: never an orphan I-, never worse than any other valid one."""

from itertools import product

import numpy as np
import pytest

from ner.inference.decoding import best_tags
from ner.tags import first_orphan

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def names(ids):
    return [LABELS[index] for index in ids]


@pytest.mark.parametrize("seed", range(60))
def test_it_is_the_valid_sequence_with_the_largest_sum(seed):
    scores = np.random.default_rng(seed).normal(size=(4, len(LABELS)))
    valid = [ids for ids in product(range(len(LABELS)), repeat=4) if first_orphan(names(ids)) is None]
    best = max(valid, key=lambda ids: sum(scores[token, label] for token, label in enumerate(ids)))
    assert best_tags(scores, LABELS) == list(best)
    shifted = scores / 0.7 + np.arange(4)[:, None]  # a temperature, and what is added to all scores of a token
    assert best_tags(shifted, LABELS) == list(best)


def test_a_valid_sequence_of_best_tags_stays():
    tags = [3, 4, 4, 0, 1, 1, 2]
    assert best_tags(np.eye(len(LABELS))[tags], LABELS) == tags


def test_an_orphan_takes_the_likelier_of_beginning_and_being_none():
    begins = np.array([[2.0, 0, 0, 0, 0], [0, 1.5, 2.0, 0, 0]])
    assert names(best_tags(begins, LABELS)) == ["O", "B-LOC"]
    none = np.array([[2.0, 0, 0, 0, 0], [1.5, 0, 2.0, 0, 0]])
    assert names(best_tags(none, LABELS)) == ["O", "O"]
    joins = np.array([[0, 1.0, 0, 1.5, 0], [0, 0, 3.0, 0, 0]])
    assert names(best_tags(joins, LABELS)) == ["B-LOC", "I-LOC"]


def test_no_tokens_and_labels_without_entities_are_fine():
    assert best_tags(np.empty((0, 5)), LABELS) == []
    assert best_tags(np.ones((3, 1)), ["O"]) == [0, 0, 0]
    assert best_tags(np.array([[0.0, 1.0]]), ["O", "I-ODD"]) == [1]  # it has no beginning that could be asked for
