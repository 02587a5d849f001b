"""The gate: each rule takes the scores and the thresholds and gives verdicts, each with its reason.

To add a rule, write a function and name it in RULES; its threshold goes under `gate` in params.yaml.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from ner.params import GateParams

SPLIT = "validation"  # the split that decides; test is only reported


@dataclass(frozen=True)
class Verdict:
    """What one rule says. value is None where it could not be computed, and then `passed` is False."""

    rule: str
    threshold: float
    value: float | None
    passed: bool
    reason: str


def min_f1(metrics: dict[str, Any], params: GateParams) -> Iterator[Verdict]:
    """The micro F1 of the deciding split, seqeval's default mode, is not under the threshold."""
    yield _at_least("min_f1", f"{SPLIT} F1", metrics[SPLIT].get("f1"), params.min_f1)


def min_f1_per_type(metrics: dict[str, Any], params: GateParams) -> Iterator[Verdict]:
    """The F1 of each named entity type is not under its threshold; a type without a score fails."""
    per_type = metrics[SPLIT].get("per_type", {})
    for entity_type, threshold in params.min_f1_per_type.items():
        value = per_type.get(entity_type, {}).get("f1")
        yield _at_least(f"min_f1_per_type.{entity_type}", f"{SPLIT} F1 of {entity_type}", value, threshold)


def max_words_without_prediction(metrics: dict[str, Any], params: GateParams) -> Iterator[Verdict]:
    """No more words than allowed went without a prediction, on validation and test together."""
    limit = params.max_words_without_prediction
    lost = sum(metrics[split]["words_without_prediction"] for split in ("validation", "test"))
    reason = f"{lost} words of validation and test got no prediction, at most {limit} may"
    yield Verdict("max_words_without_prediction", limit, lost, lost <= limit, reason)


RULES: dict[str, Callable[[dict[str, Any], GateParams], Iterator[Verdict]]] = {
    "min_f1": min_f1,
    "min_f1_per_type": min_f1_per_type,
    "max_words_without_prediction": max_words_without_prediction,
}


def judge(metrics: dict[str, Any], params: GateParams) -> dict[str, Any]:
    """Apply every rule. Returns what gate.json holds: passed, split, mode, and each rule with its reason."""
    verdicts = [verdict for rule in RULES.values() for verdict in rule(metrics, params)]
    return {
        "passed": all(verdict.passed for verdict in verdicts),
        "split": SPLIT,
        "mode": metrics["mode"],
        "rules": [asdict(verdict) for verdict in verdicts],
    }


def failure(gate: dict[str, Any]) -> str:
    """One sentence with the reasons of the rules that failed."""
    reasons = [rule["reason"] for rule in gate["rules"] if not rule["passed"]]
    return "the gate failed, so nothing is registered: " + "; ".join(reasons) + "."


def _at_least(rule: str, name: str, value: float | None, threshold: float) -> Verdict:
    if value is None:
        return Verdict(rule, threshold, None, False, f"{name} could not be computed, and must be at least {threshold}")
    passed = value >= threshold
    relation = "is at least" if passed else "is under"
    return Verdict(rule, threshold, value, passed, f"{name} {value:.4f} {relation} {threshold}")
