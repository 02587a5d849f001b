"""Each wrong entity is in one category and in one row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.data.entities import count, entity_table, mark_correct, unit_numbers
from ner.evaluation.error_analysis import BOTH_SIDES, GOLD_ONLY, NONE, PREDICTED_ONLY, confusion, mistakes
from ner.evaluation.scoring import score


def tables(gold, predicted):
    ours, theirs = entity_table(gold), entity_table(predicted, [np.full((len(tags), 1), 0.5) for tags in predicted])
    mark_correct(ours, theirs)
    return ours, theirs


def found(gold, predicted):
    return mistakes(*tables([gold.split()], [predicted.split()]))


@pytest.mark.parametrize(
    ("gold", "predicted", "category"),
    [
        ("B-PER I-PER O O", "B-PER O O O", "boundary"),
        ("B-PER I-PER O O", "B-PER I-PER I-PER O", "boundary"),
        ("B-LOC I-LOC O O", "B-ORG I-ORG O O", "type"),
        ("B-LOC I-LOC O O", "O B-ORG I-ORG O", "both"),
        ("B-LOC I-LOC O O", "O O O O", "missed"),
        ("O O O O", "O O B-MISC O", "invented"),
    ],
)
def test_a_wrong_entity_is_sorted_by_what_is_wrong(gold, predicted, category):
    table = found(gold, predicted)
    assert table["category"].tolist() == [category]


def test_right_entities_are_no_mistakes():
    assert found("B-PER I-PER O B-LOC", "B-PER I-PER O B-LOC").empty


def test_one_gold_entity_read_as_two_is_one_pair_and_one_leftover_beside_it():
    table = found("B-ORG I-ORG I-ORG O", "B-ORG I-ORG B-PER O")
    assert table["wrong"].tolist() == [BOTH_SIDES, PREDICTED_ONLY]
    assert table["category"].tolist() == ["boundary", "both"]
    assert table["gold_start"].tolist() == [0, 0] and table["predicted_type"].tolist() == ["ORG", "PER"]


def test_two_gold_entities_read_as_one_are_one_pair_and_one_leftover():
    table = found("B-PER B-PER I-PER O", "B-PER I-PER I-PER O")
    assert table["wrong"].tolist() == [BOTH_SIDES, GOLD_ONLY]
    assert table["gold_start"].tolist() == [1, 0] and table["category"].tolist() == ["boundary", "boundary"]


def test_of_several_overlaps_the_largest_is_the_pair():
    table = found("B-ORG B-ORG I-ORG I-ORG", "B-LOC I-LOC I-LOC I-LOC")
    pair = table[table["wrong"] == BOTH_SIDES].iloc[0]
    assert (pair["gold_start"], pair["category"]) == (1, "both")


def test_confusion_has_every_gold_entity_once_and_nothing_for_those_not_there():
    gold = ["B-LOC O B-PER I-PER O B-LOC".split(), "O B-MISC O".split()]
    predicted = ["B-ORG O B-PER I-PER O O".split(), "B-PER O O".split()]
    ours, theirs = tables(gold, predicted)
    pairs = confusion(ours, mistakes(ours, theirs)).set_index(["gold", "predicted"])["entities"].to_dict()
    assert pairs == {
        ("LOC", "ORG"): 1,
        ("PER", "PER"): 1,
        ("LOC", NONE): 1,
        ("MISC", NONE): 1,
        (NONE, "PER"): 1,
    }


TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
PAIRS = st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=9), min_size=1, max_size=6)


@given(PAIRS)
def test_the_rows_are_exactly_what_precision_and_recall_lack(pairs):
    gold = [[a for a, _ in sentence] for sentence in pairs]
    predicted = [[b for _, b in sentence] for sentence in pairs]
    ours, theirs = tables(gold, predicted)
    table = mistakes(ours, theirs)
    assert (table["wrong"] != PREDICTED_ONLY).sum() == (~ours["correct"]).sum()
    assert (table["wrong"] != GOLD_ONLY).sum() == (~theirs["correct"]).sum()
    counts = count(ours, theirs, *[unit_numbers([0] * len(gold))[0]], ["LOC", "PER"]).sum((0, 1))
    scores = score(gold, predicted)
    assert counts[2] == scores["support"]
    assert scores["recall"] == pytest.approx(counts[0] / counts[2] if counts[2] else 0)
    assert scores["precision"] == pytest.approx(counts[0] / counts[1] if counts[1] else 0)
