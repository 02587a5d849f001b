"""Intervals and paired differences, against what can be computed by hand or one resample at a time."""

import numpy as np
import pytest

from ner.evaluation.bootstrap import difference, draws, f1, interval, intervals, precision, recall, resampled

COUNTS = np.array([[3, 4, 5], [0, 0, 0], [2, 2, 2], [7, 9, 8], [1, 3, 4]])  # correct, predicted, gold by document


def test_scores_of_counts_are_those_of_the_definition_and_zero_where_there_is_nothing():
    assert (precision(COUNTS)[0], recall(COUNTS)[0], f1(COUNTS)[0]) == (0.75, 0.6, pytest.approx(2 / 3))
    assert (precision(COUNTS)[1], recall(COUNTS)[1], f1(COUNTS)[1]) == (0, 0, 0)


def test_the_vectorised_resamples_are_those_that_a_loop_would_draw():
    drawn = draws(len(COUNTS), resamples=200, seed=7)
    assert (drawn.sum(1) == len(COUNTS)).all()
    by_hand = []
    for row in drawn:
        documents = [COUNTS[unit] for unit, times in enumerate(row) for _ in range(times)]
        correct, predicted, gold = np.sum(documents, axis=0)
        by_hand.append(2 * correct / (predicted + gold))
    assert f1(drawn @ COUNTS) == pytest.approx(by_hand)
    assert intervals(drawn @ COUNTS, 0.9)["f1"] == pytest.approx(list(np.quantile(by_hand, [0.05, 0.95])))


@pytest.mark.parametrize("block", [8, 300, 8_000_000])
def test_resamples_a_few_at_a_time_are_those_of_all_draws(monkeypatch, block):
    monkeypatch.setattr("ner.evaluation.bootstrap.BLOCK", block)
    counts = np.random.default_rng(2).integers(0, 90, (31, 4, 3))
    expected = np.einsum("ru,uvc->rvc", draws(31, 25, 7), counts)
    assert (resampled(counts, 25, 7) == expected).all()


def test_the_interval_holds_the_score_and_shrinks_with_more_documents():
    few, many = COUNTS, np.tile(COUNTS, (50, 1))
    (low, high), (low_many, high_many) = (intervals(resampled(counts, 1000, 1), 0.95)["f1"] for counts in (few, many))
    assert low < float(f1(COUNTS.sum(0))) < high
    assert high_many - low_many < (high - low) / 4


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    chance = np.random.default_rng(0)
    truth, held = 0.9, 0
    for trial in range(200):
        gold = chance.integers(5, 30, size=150)
        correct = chance.binomial(gold, truth)
        counts = np.stack([correct, gold, gold], -1)
        low, high = intervals(resampled(counts, 400, trial), 0.95)["f1"]
        held += low <= truth <= high
    assert 0.89 <= held / 200 <= 1.0


def test_the_same_model_differs_from_itself_by_exactly_nothing():
    said = difference(COUNTS, COUNTS, draws(5, 500, 3), 0.95)
    assert (said["difference"], said["interval"], said["p_worse"]) == (0, [0, 0], 0)


def test_pairing_sees_a_small_but_steady_loss_that_two_intervals_would_hide():
    ours = np.tile([[8, 10, 10]], (100, 1)) + np.random.default_rng(1).integers(0, 3, (100, 1))
    theirs = ours.copy()
    ours[::4, 0] -= 1  # one entity less in every fourth document
    drawn = draws(100, 1000, 5)
    alone = intervals(drawn @ ours, 0.95)["f1"]
    said = difference(ours, theirs, drawn, 0.95)
    assert said["interval"][1] < 0 and said["p_worse"] > 0.99
    assert alone[1] > said["f1"] and said["difference"] == pytest.approx(said["f1"] - said["other_f1"])


def test_models_of_other_documents_cannot_be_paired():
    with pytest.raises(ValueError, match="5 and 4 units"):
        difference(COUNTS, COUNTS[:4], draws(5, 100, 1), 0.95)


def test_no_documents_at_all_give_zeros_rather_than_an_error():
    empty = np.zeros((0, 3), int)
    assert intervals(resampled(empty, 100, 1), 0.95) == {name: [0, 0] for name in ("precision", "recall", "f1")}


def test_the_same_seed_draws_the_same():
    assert (draws(9, 50, 4) == draws(9, 50, 4)).all() and (draws(9, 50, 4) != draws(9, 50, 5)).any()
    assert interval(np.arange(101.0), 0.9) == pytest.approx([5, 95])
