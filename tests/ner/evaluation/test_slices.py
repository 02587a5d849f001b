"""An entity is in the slice of what it is itself; slices and documents add up to the whole."""

import numpy as np
import pytest

from ner.data.entities import entity_table, mark_correct, sentence_counts, unit_numbers
from ner.evaluation.bootstrap import resampled
from ner.evaluation.slices import (
    VALUES,
    add_features,
    add_slices,
    document_scores,
    is_all_capitals,
    known_mentions,
    positions,
    slice_scores,
)

TRAINING = [["Tamm", "won", "in", "Oslo"], ["Reuters", "Oslo"]]
TRAINING_TAGS = [["B-PER", "O", "O", "B-LOC"], ["B-ORG", "B-LOC"]]
SENTENCES = [["OSLO", "WINS"], ["Tamm", "left", "Reuters", "in", "Oslo"], ["Ilse", "Tamm", "won"]]
GOLD = [["B-LOC", "O"], ["B-PER", "O", "B-PER", "O", "B-LOC"], ["B-PER", "I-PER", "O"]]
FOUND = [["B-LOC", "O"], ["B-PER", "O", "B-ORG", "O", "O"], ["O", "B-PER", "O"]]
DOCUMENTS = [0, 0, 7]


def tables(documents=DOCUMENTS):
    known = known_mentions(TRAINING, entity_table(TRAINING_TAGS))
    gold, found = entity_table(GOLD), entity_table(FOUND)
    mark_correct(gold, found)
    places = None if documents is None else positions(documents)
    return [add_features(table, SENTENCES, places, known) for table in (gold, found)]


def scores(gold, found, units):
    counts = np.zeros((max(units) + 1, len(VALUES), 3), int)
    add_slices(counts, gold, found, units)
    return slice_scores(counts.sum(0), resampled(counts, 100, 1), 0.95)


def test_a_mention_is_seen_seen_as_another_type_or_unseen():
    gold, _ = tables()
    assert dict(zip(gold["text"] + "/" + gold["type"], gold["mention in training"], strict=True)) == {
        "OSLO/LOC": "unseen",
        "Tamm/PER": "seen",
        "Reuters/PER": "seen as another type",
        "Oslo/LOC": "seen",
        "Ilse Tamm/PER": "unseen",
    }


def test_gold_and_predicted_entities_are_sliced_by_their_own_length():
    units, _ = unit_numbers(DOCUMENTS)
    table = scores(*tables(), units).set_index(["slice", "value"])
    one, two = table.loc[("entity length", "1 token")], table.loc[("entity length", "2 tokens")]
    assert (one["correct"], one["predicted"], one["support"]) == (2, 4, 4)
    assert (two["correct"], two["predicted"], two["support"]) == (0, 0, 1)


def test_every_slice_adds_up_to_the_whole_and_empty_values_are_left_out():
    units, _ = unit_numbers(DOCUMENTS)
    table = scores(*tables(), units)
    for _, rows in table.groupby("slice"):
        assert (rows["support"].sum(), rows["predicted"].sum(), rows["correct"].sum()) == (5, 4, 2)
    assert "over 40" not in set(table["value"])
    assert ((table["f1_low"] <= table["f1"]) & (table["f1"] <= table["f1_high"])).all()


def test_without_documents_there_is_no_place_in_them():
    gold, found = tables(documents=None)
    table = scores(gold, found, np.arange(3))
    assert "position in document" not in set(table["slice"])


def test_documents_come_with_the_most_wrong_entities_first():
    gold, found = tables()
    table = document_scores(sentence_counts(gold, found, 3), DOCUMENTS, 100, 1, 0.95)
    assert table["document_id"].tolist() == [0, 7] and table["sentences"].tolist() == [2, 1]
    assert table["support"].tolist() == [4, 1]


@pytest.mark.parametrize(
    ("tokens", "is_headline"),
    [
        (["OSLO", "WINS"], True),
        (["SOCCER", "-", "RESULTS", "3-1"], True),
        (["Oslo", "WINS"], False),
        (["NATO"], False),
        (["1996", "-", "3"], False),
        (["東京", "大阪"], False),
    ],
)
def test_headlines_are_sentences_of_capitals(tokens, is_headline):
    assert is_all_capitals(tokens) is is_headline


def test_places_count_from_one_in_each_document():
    assert positions([0, 0, 5, 5, 5, 0]).tolist() == [1, 2, 1, 2, 3, 3]


def test_units_are_documents_and_sentences_where_there_are_none():
    assert [part if isinstance(part, str) else part.tolist() for part in unit_numbers([4, 4, 9])] == [
        [0, 0, 1],
        "document",
    ]
    assert unit_numbers([0, 0, 0])[1] == unit_numbers([1, 2, 3])[1] == "sentence"
