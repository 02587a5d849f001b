"""Each rule passes and fails with a reason; what cannot be computed fails; nothing passes in silence."""

import copy
import math
from pathlib import Path

import pytest

from ner.common.files import read_params
from ner.evaluation.gate import RULES, Champion, Verdict, failure, judge, summary
from ner.params import GateParams

PARAMS = read_params(Path(__file__).resolve().parents[3] / "tests/data/params.yaml").gate
METRICS = {
    "mode": "seqeval default (conlleval)",
    "bootstrap": {"confidence": 0.95},
    "validation": {
        "f1": 0.9448,
        "interval": {"f1": [0.9391, 0.9502]},
        "per_type": {"MISC": {"f1": 0.88, "support": 922}, "PER": {"f1": 0.97, "support": 1842}},
        "words_without_prediction": 0,
        "shared_sentences": 0.05,
    },
    "test": {"f1": 0.91, "words_without_prediction": 0, "shared_sentences": 0.02},
}
NONE = Champion(absent="no version of 'ner' has the alias 'champion'")


def thresholds(**changes):
    return GateParams(**{**PARAMS.model_dump(), "min_f1": 0.93, "min_f1_each_type": 0.8, **changes})


def with_value(value, *keys):
    """METRICS with another value under nested keys; without the last of them where the value is `...`."""
    metrics = copy.deepcopy(METRICS)
    inner = metrics
    for key in keys[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = value
    return metrics


def rules(metrics=METRICS, champion=NONE, **changes):
    return {rule["rule"]: rule for rule in judge(metrics, thresholds(**changes), champion)["rules"]}


def against(interval, difference=0.0):
    said = {"f1": 0.94, "other_f1": 0.94 - difference, "difference": difference, "interval": interval, "p_worse": 0.4}
    return Champion(name="ner version 3", difference=said, confidence=0.95)


def test_a_good_model_passes_every_rule_each_with_its_reason():
    gate = judge(METRICS, thresholds(), NONE)
    assert gate["passed"] and gate["split"] == "validation"
    assert [rule["rule"] for rule in gate["rules"]] == [
        "min_f1",
        "min_f1_per_type.MISC",
        "min_f1_per_type.PER",
        "no_worse_than_champion",
        "max_shared_sentences.validation",
        "max_shared_sentences.test",
        "max_words_without_prediction",
    ]
    for rule in gate["rules"]:
        assert list(rule) == ["rule", "threshold", "value", "passed", "reason"] and rule["reason"]


def test_the_reason_names_value_interval_and_which_of_the_two_is_judged():
    said = "validation F1 0.9448, 95 % interval 0.9391 to 0.9502: "
    assert rules()["min_f1"]["reason"] == f"{said}the point estimate is at least 0.93"
    low = rules(min_f1=0.94, min_f1_on="lower_bound")["min_f1"]
    assert (low["passed"], low["value"]) == (False, 0.9391)
    assert low["reason"] == f"{said}the lower end of its interval is under 0.94"
    assert rules(min_f1=0.94)["min_f1"]["passed"]
    assert rules(min_f1=0.939, min_f1_on="lower_bound")["min_f1"]["passed"]


def test_an_f1_equal_to_the_threshold_passes_and_one_under_it_fails():
    assert rules(min_f1=0.9448)["min_f1"]["passed"]
    assert "is under 0.95" in failure(judge(METRICS, thresholds(min_f1=0.95), NONE))


@pytest.mark.parametrize("value", [..., None, math.nan, "0.99", True])
def test_a_score_that_is_missing_or_no_number_fails_and_is_not_in_the_report(value):
    for on in ("point", "lower_bound"):
        said = rules(with_value(value, "validation", "f1"), min_f1_on=on)["min_f1"]
        assert (said["passed"], said["value"]) == (False, None)
        assert "could not be computed, and must be at least 0.93" in said["reason"]


@pytest.mark.parametrize("value", [..., None, [math.nan, 1.0], [0.99]])
def test_without_an_interval_the_lower_end_fails_and_the_point_says_that_there_is_none(value):
    metrics = with_value(value, "validation", "interval", "f1")
    assert not rules(metrics, min_f1_on="lower_bound")["min_f1"]["passed"]
    point = rules(metrics)["min_f1"]
    assert point["passed"] and "no interval" in point["reason"]


def test_one_weak_entity_type_fails_a_good_micro_f1():
    gate = judge(METRICS, thresholds(min_f1_each_type=0.9), NONE)
    assert [rule["rule"] for rule in gate["rules"] if not rule["passed"]] == ["min_f1_per_type.MISC"]
    assert "validation F1 of MISC 0.8800 (922 gold entities) is under 0.9." in failure(gate)


def test_a_named_type_has_its_own_floor_and_the_others_the_common_one():
    said = rules(min_f1_each_type=0.9, min_f1_per_type={"MISC": 0.85})
    assert (said["min_f1_per_type.MISC"]["threshold"], said["min_f1_per_type.PER"]["threshold"]) == (0.85, 0.9)
    assert said["min_f1_per_type.MISC"]["passed"]
    assert not rules(min_f1_per_type={"PER": 0.98})["min_f1_per_type.PER"]["passed"]


def test_a_floor_for_a_type_that_has_no_score_fails_and_names_those_that_have():
    said = rules(min_f1_per_type={"PERS": 0.0})["min_f1_per_type.PERS"]
    assert (said["passed"], said["value"]) == (False, None)
    assert "no score of PERS (it has MISC, PER)" in said["reason"]


@pytest.mark.parametrize("support", [0, ...])
def test_a_type_without_a_gold_entity_fails_whatever_its_floor(support):
    said = rules(with_value(support, "validation", "per_type", "PER", "support"), min_f1_each_type=0.0)
    assert not said["min_f1_per_type.PER"]["passed"] and said["min_f1_per_type.MISC"]["passed"]
    assert "validation has no gold entity of PER" in said["min_f1_per_type.PER"]["reason"]


def test_no_scores_by_type_at_all_fail():
    said = rules(with_value({}, "validation", "per_type"))["min_f1_per_type"]
    assert not said["passed"] and said["reason"] == "no entity type of validation has a score"


def test_no_champion_passes_and_says_so():
    said = rules()["no_worse_than_champion"]
    assert (said["passed"], said["value"], said["reason"]) == (True, None, NONE.absent)


@pytest.mark.parametrize(("low", "passed"), [(-0.004, True), (-0.01, True), (-0.0101, False), (0.002, True)])
def test_the_lower_end_of_the_difference_decides_not_the_difference(low, passed):
    said = rules(champion=against([low, 0.03], 0.01), max_f1_loss_to_champion=0.01)["no_worse_than_champion"]
    assert (said["passed"], said["value"], said["threshold"]) == (passed, low, -0.01)
    start = "validation F1 0.9400 against 0.9300 of the champion (ner version 3): difference +0.0100, 95 % interval "
    assert said["reason"].startswith(f"{start}{low:+.4f} to +0.0300, whose lower end is")


def test_the_champion_itself_is_no_worse_even_where_no_loss_is_allowed():
    same = Champion(name="ner version 3", difference=against([0.0, 0.0]).difference, confidence=0.95, is_same=True)
    said = rules(champion=same, max_f1_loss_to_champion=0.0)["no_worse_than_champion"]
    assert (said["passed"], said["value"], str(said["threshold"])) == (True, 0.0, "0.0")
    assert "ner version 3" in said["reason"] and "the difference is 0" in said["reason"]


def test_a_champion_that_cannot_be_compared_fails_with_the_reason():
    gate = judge(METRICS, thresholds(), Champion(problem="MLflow cannot be reached: start it with `make up`"))
    assert failure(gate) == (
        "the gate failed, so nothing is registered: the champion could not be compared: "
        "MLflow cannot be reached: start it with `make up`."
    )


@pytest.mark.parametrize("champion", [Champion(), against([math.nan, 0.1]), against(None)])
def test_a_comparison_without_numbers_fails(champion):
    said = rules(champion=champion)["no_worse_than_champion"]
    assert (said["passed"], said["value"]) == (False, None)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_too_many_sentences_that_training_has_too_fail_on_either_split(split):
    said = rules(with_value(0.2, split, "shared_sentences"), max_shared_sentences=0.1)
    assert [name for name, rule in said.items() if not rule["passed"]] == [f"max_shared_sentences.{split}"]
    assert said[f"max_shared_sentences.{split}"]["reason"] == (
        f"0.2000 of the {split} sentences are in training too, but at most 0.1 may"
    )
    missing = rules(with_value(..., split, "shared_sentences"))[f"max_shared_sentences.{split}"]
    assert not missing["passed"] and "could not be computed" in missing["reason"]


def test_words_without_a_prediction_fail_the_gate():
    said = rules(with_value(3, "test", "words_without_prediction"))["max_words_without_prediction"]
    assert (said["passed"], said["value"]) == (False, 3)
    assert said["reason"] == "3 words of validation and test got no prediction, but at most 0 may"
    missing = rules(with_value(..., "test"))["max_words_without_prediction"]
    assert (missing["passed"], missing["value"]) == (False, None)


def test_a_rule_is_added_by_naming_its_function(monkeypatch):
    def max_loss(metrics, params, champion):
        yield Verdict("max_loss", 0.1, 0.2, False, "the loss 0.2 is over 0.1")

    monkeypatch.setitem(RULES, "max_loss", max_loss)
    assert failure(judge(METRICS, thresholds(), NONE)).endswith("registered: the loss 0.2 is over 0.1.")


def test_the_summary_has_counts_then_the_failed_rules_and_never_more_than_500_characters():
    metrics = with_value({f"TYPE{n}": {"f1": 0.9, "support": 5} for n in range(18)}, "validation", "per_type")
    failed = summary(judge(with_value(3, "test", "words_without_prediction"), thresholds(), NONE))
    assert failed.startswith("failed, 1 of 7 rules: 3 words of validation and test got no prediction")
    long = summary(judge(metrics, thresholds(), NONE))
    assert long.startswith("passed, 23 of 23 rules: validation F1 0.9448") and 400 < len(long) <= 500
    assert long.endswith(" …")
