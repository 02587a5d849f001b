"""What two models get right on the same sentences, counted by hand."""

import pytest

from ner.evaluation.comparison import (
    BETTER,
    SAME,
    UNDECIDED,
    WORSE,
    one_line,
    only_one_right,
    outcome,
    p_value,
    right_sentences,
    sides,
    sign_test,
    verdict,
)

TOKENS = [["Marta", "Okafor", "left"], ["Rotterdam", "won"], ["It", "rained"], ["Helvion", "Steel"]]
GOLD = [["B-PER", "I-PER", "O"], ["B-LOC", "O"], ["O", "O"], ["B-ORG", "I-ORG"]]
CHALLENGER = [["B-PER", "I-PER", "O"], ["B-ORG", "O"], ["O", "O"], ["B-ORG", "O"]]  # boundary and type wrong
CHAMPION = [["B-PER", "O", "O"], ["B-LOC", "O"], ["B-MISC", "O"], ["B-LOC", "I-LOC"]]


def test_a_sentence_is_right_where_its_entities_are_exactly_the_annotated_ones():
    assert right_sentences(GOLD, GOLD).all()
    assert right_sentences(GOLD, CHALLENGER).tolist() == [True, False, True, False]
    assert right_sentences(GOLD, CHAMPION).tolist() == [False, True, False, False]  # the third has one that is invented
    assert right_sentences([], []).tolist() == []


def test_every_sentence_is_counted_on_one_of_four_sides():
    counts = sides(right_sentences(GOLD, CHALLENGER), right_sentences(GOLD, CHAMPION))
    assert counts == {"both": 0, "challenger": 2, "champion": 1, "neither": 1}


def test_the_sign_test_is_the_exact_one():
    assert sign_test(0, 0) == sign_test(3, 3) == 1
    assert sign_test(9, 1) == sign_test(1, 9) == pytest.approx(2 * (1 + 10) / 2**10)


def test_the_sentences_that_only_one_gets_right_have_both_readings_those_of_the_champion_first():
    rows = only_one_right(TOKENS, GOLD, CHALLENGER, CHAMPION)
    assert [(row["sentence"], row["right"]) for row in rows] == [(1, "champion"), (0, "challenger"), (2, "challenger")]
    assert rows[1]["gold"] == [{"type": "PER", "start": 0, "end": 2, "text": "Marta Okafor"}]
    assert rows[1]["challenger"] == rows[1]["gold"] and rows[1]["champion"][0]["text"] == "Marta"
    assert rows[2]["champion"] == [{"type": "MISC", "start": 0, "end": 1, "text": "It"}] and rows[2]["gold"] == []


def test_no_p_is_zero():
    assert [p_value(p) for p in (1.0, 0.0123, 1e-4, 3e-9, 0.0)] == ["= 1", "= 0.0123", "= 0.0001"] + ["< 0.0001"] * 2


@pytest.mark.parametrize(
    ("interval", "is_same", "said"),
    [
        ([0.001, 0.02], False, BETTER),
        ([-0.02, -0.001], False, WORSE),
        ([-0.01, 0.01], False, UNDECIDED),
        ([0.0, 0.0], False, UNDECIDED),
        ([0.0, 0.0], True, SAME),
    ],
)
def test_the_verdict_is_what_the_interval_allows(interval, is_same, said):
    overall = {"f1": 0.94, "other_f1": 0.93, "difference": 0.01, "interval": interval, "p_worse": 0.1}
    counts = {"both": 1, "challenger": 1234, "champion": 5, "neither": 0}
    numbers = {"overall": overall, "outcome": outcome(overall, is_same), "sentences": counts, "p_sign": 0.0123}
    assert numbers["outcome"] == said
    words = {BETTER: "is better than", WORSE: "is worse than", UNDECIDED: "does not tell", SAME: "the same tags"}
    sentence = verdict(("ner version 3", "ner version 2"), "validation", numbers, 0.95)
    assert words[said] in sentence and "ner version 3" in sentence and "ner version 2" in sentence
    assert sentence.count(".") and "\n" not in one_line("ner version 2", "validation", numbers, 0.95)
    if said != SAME:
        assert "0.9400 against 0.9300" in sentence and "1,234 sentences only the challenger" in sentence
        assert "95 % interval" in sentence and "p = 0.0123" in sentence
