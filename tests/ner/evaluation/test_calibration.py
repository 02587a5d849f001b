"""The temperature recovers what made the model too sure, and the calibration error is that of its definition."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from ner.evaluation.calibration import (
    Loss,
    bin_sums,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from ner.inference.probability import log_loss, softmax, span_score


def sampled(temperature, n=4000, seed=0):
    """Logits whose true temperature is known: the gold tags are drawn from it."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(0, 4, (n, 5)).astype(np.float32)
    chances = softmax(logits, temperature)
    gold = (chances.cumsum(1) < chance.random((n, 1))).sum(1).clip(0, 4)
    return logits, gold


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_tags_is_found(true):
    assert fit_temperature(lambda: [sampled(true)]) == pytest.approx(true, rel=0.1)


def test_the_fitted_temperature_is_better_than_its_neighbours():
    logits, gold = sampled(2.0)
    best = fit_temperature(lambda: [(logits, gold)])
    assert log_loss(logits, gold, best) <= min(log_loss(logits, gold, best * f) for f in (0.8, 0.95, 1.05, 1.25))


def test_a_temperature_fitted_in_parts_is_that_of_the_whole():
    logits, gold = sampled(2.0)
    cuts = [0, 700, 700, 701, 4000]
    parts = [(logits[a:b], gold[a:b]) for a, b in pairwise(cuts)]
    assert fit_temperature(lambda: iter(parts)) == fit_temperature(lambda: [(logits, gold)])
    total = sum((Loss.of(*part, 2.0) for part in parts), Loss())
    assert (total.tokens, total.mean) == (4000, pytest.approx(log_loss(logits, gold, 2.0), rel=1e-12))
    assert Loss() + Loss.of(logits, gold) == Loss(log_loss(logits, gold), 4000)


def test_no_token_to_fit_on_leaves_the_model_as_it_is():
    assert fit_temperature(lambda: [(np.empty((0, 3), np.float32), np.empty(0, int))]) == 1.0


def test_probabilities_sum_to_one_keep_the_order_and_survive_large_logits():
    logits = np.array([[1000.0, 999.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)
    for temperature in (0.1, 1.0, 7.0):
        rows = softmax(logits, temperature)
        assert rows.sum(1) == pytest.approx([1, 1]) and rows[0].argmax() == 0
    assert softmax(logits, 7.0)[0, 0] < softmax(logits)[0, 0]
    assert softmax(np.empty((0, 3), np.float32)).shape == (0, 3)


def test_the_log_loss_is_minus_the_log_of_the_gold_probability():
    logits, gold = sampled(1.0, n=50)
    assert log_loss(logits, gold, 2.0) == pytest.approx(-np.log(softmax(logits, 2.0)[range(50), gold]).mean(), rel=1e-5)


def test_the_calibration_error_weighs_each_bin_by_its_entities():
    scores = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False, False, True])
    table = reliability(bin_sums(scores, right))
    assert table[["low", "entities"]].to_numpy().tolist() == [[0.5, 2], [0.9, 4]]
    assert expected_calibration_error(table) == pytest.approx((0.05 * 2 + 0.2 * 4) / 6)


def test_the_bins_of_two_parts_add_up():
    chance = np.random.default_rng(3)
    scores, right = chance.random(500), chance.random(500) < 0.7
    whole = reliability(bin_sums(scores, right))
    parts = reliability(bin_sums(scores[:90], right[:90]) + bin_sums(scores[90:], right[90:]))
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-12)
    assert whole["score"].iloc[3] == pytest.approx(scores[(scores >= 0.3) & (scores < 0.4)].mean())


def test_a_score_of_one_is_in_the_last_bin_and_nothing_has_no_error():
    assert reliability(bin_sums(np.array([1.0]), np.array([True])))["high"].tolist() == [1.0]
    empty = reliability(bin_sums(np.array([]), np.array([])))
    assert isinstance(empty, pd.DataFrame) and expected_calibration_error(empty) is None


def test_an_entity_is_as_probable_as_all_its_tags_and_its_end():
    labels = ["O", "B-PER", "I-PER"]
    rows = np.array([[0.1, 0.9, 0.0], [0.2, 0.0, 0.8], [0.7, 0.0, 0.3], [1.0, 0.0, 0.0]])
    assert span_score(rows, 0, 2, "PER", labels) == pytest.approx(0.9 * 0.8 * 0.7)
    assert span_score(rows[:2], 0, 2, "PER", labels) == pytest.approx(0.9 * 0.8)  # the text ends with it
    assert span_score(rows, 0, 1, "LOC", labels) == pytest.approx(0.9)  # no tag goes on with a LOC
