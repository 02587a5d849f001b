import numpy as np
import pytest

from ner.seed_summary import spread, summarize

CARDS = [0.9312, 0.9296, 0.9330]  # validation F1 of three trainings with one recipe


def test_sd_is_that_of_a_sample():
    found = spread(CARDS)
    assert found["mean"] == pytest.approx(np.mean(CARDS)) and found["sd"] == pytest.approx(np.std(CARDS, ddof=1))
    assert (found["min"], found["max"]) == (0.9296, 0.9330)


def test_one_training_has_no_spread():
    assert spread([0.93]) == {"mean": 0.93, "sd": None, "min": 0.93, "max": 0.93}


def test_every_measure_of_both_splits_is_summed_up():
    one = {"f1": 0.8, "precision": 0.7, "recall": 0.9, "accuracy": 0.97}
    found = summarize([{"seed": 1, "validation": one, "test": one}])
    assert {split: list(measures) for split, measures in found.items()} == {
        "validation": ["f1", "precision", "recall"],
        "test": ["f1", "precision", "recall"],
    }
    assert found["test"]["recall"]["mean"] == 0.9
