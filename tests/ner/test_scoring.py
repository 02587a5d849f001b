"""Entity scores: the cases where the default mode and strict IOB2 part, and the counting of every gold entity."""

import pytest

from ner.scoring import micro_scores, score


def f1s(gold, predicted):
    result = score([gold.split()], [predicted.split()])
    return result["f1"], result["f1_strict"]


@pytest.mark.parametrize(
    ("gold", "predicted", "default", "strict"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", 1.0, 1.0),
        ("B-PER I-PER O", "I-PER I-PER O", 1.0, 0.0),  # I- first: conlleval reads an entity, strict IOB2 does not
        ("B-PER I-PER O", "B-PER I-LOC O", 0.0, 0.0),
        ("B-PER I-PER O", "B-PER B-PER O", 0.0, 0.0),
    ],
)
def test_default_mode_is_conllevals_and_strict_stands_beside_it(gold, predicted, default, strict):
    assert f1s(gold, predicted) == (default, strict)


def test_scores_of_each_type_carry_their_support_and_missed_types_count():
    gold = [["B-PER", "O", "B-LOC"], ["B-LOC", "I-LOC", "O"]]
    predicted = [["B-PER", "O", "B-LOC"], ["B-LOC", "O", "O"]]
    result = score(gold, predicted)
    assert result["support"] == 3
    assert result["per_type"]["PER"] == {"precision": 1, "recall": 1, "f1": 1, "f1_strict": 1, "support": 1}
    assert result["per_type"]["LOC"]["f1"] == 0.5
    assert result["f1"] == pytest.approx(2 / 3) and result["f1_macro"] == pytest.approx(0.75)
    assert result["accuracy"] == pytest.approx(5 / 6)
    assert micro_scores(gold, predicted)["f1"] == pytest.approx(result["f1"])


def test_a_model_that_finds_nothing_scores_zero_without_a_warning(recwarn):
    result = score([["B-PER", "O"]], [["O", "O"]])
    assert (result["precision"], result["recall"], result["f1"]) == (0, 0, 0)
    assert not recwarn.list
