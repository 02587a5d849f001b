"""Each rule passes and fails with a reason; what cannot be computed fails."""

from ner.gate import failure, judge
from ner.params import GateParams

METRICS = {
    "mode": "seqeval default (conlleval)",
    "validation": {
        "f1": 0.9448,
        "per_type": {"PER": {"f1": 0.97}, "MISC": {"f1": 0.88}},
        "words_without_prediction": 0,
    },
    "test": {"f1": 0.91, "words_without_prediction": 0},
}


def thresholds(**changes):
    return GateParams(**{"min_f1": 0.93, "min_f1_per_type": {}, "max_words_without_prediction": 0, **changes})


def test_validation_decides_and_a_pass_has_its_reason():
    gate = judge(METRICS, thresholds())
    assert gate["passed"] and gate["split"] == "validation"
    assert gate["rules"][0]["reason"] == "validation F1 0.9448 is at least 0.93"


def test_an_f1_under_the_threshold_fails_and_says_by_what():
    gate = judge(METRICS, thresholds(min_f1=0.95))
    assert not gate["passed"]
    assert failure(gate).endswith("validation F1 0.9448 is under 0.95.")


def test_an_f1_equal_to_the_threshold_passes():
    assert judge(METRICS, thresholds(min_f1=0.9448))["passed"]


def test_one_weak_entity_type_fails_a_good_micro_f1():
    gate = judge(METRICS, thresholds(min_f1_per_type={"PER": 0.95, "MISC": 0.9}))
    assert [rule["passed"] for rule in gate["rules"]] == [True, True, False, True]
    assert "F1 of MISC 0.8800 is under 0.9" in failure(gate)


def test_a_threshold_for_a_type_that_has_no_score_fails_rather_than_passes():
    gate = judge(METRICS, thresholds(min_f1_per_type={"ORG": 0.1}))
    assert not gate["passed"] and gate["rules"][1]["value"] is None


def test_words_without_a_prediction_fail_the_gate():
    lost = {**METRICS, "test": {"f1": 0.91, "words_without_prediction": 3}}
    assert "3 words of validation and test got no prediction" in failure(judge(lost, thresholds()))
