"""The gate: each rule compares the scores with a threshold or the champion, and gives a verdict with its reason.

To add a rule, write a function and name it in RULES; its threshold goes under `gate` in params.yaml. What is missing
or no number fails: a rule never passes in silence.
"""

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ner.params import ExportParams, GateParams

SPLITS = SPLIT, TEST = ("validation", "test")  # the first decides, the other is only reported
SUMMARY_LENGTH = 500


@dataclass(frozen=True)
class Verdict:
    """The result of one rule. value is None where there is none to compare with the threshold."""

    rule: str
    threshold: float
    value: float | None
    passed: bool
    reason: str


@dataclass(frozen=True)
class Champion:
    """The champion of the registry, as far as the gate needs it; one of the three fields is given.

    absent: why there is none, which passes. problem: why it cannot be compared, which fails. name: the version that it
    was compared with; difference: of ner.evaluation.bootstrap.difference, this model minus the champion; confidence: of
    its interval; is_same: both predict the same tags throughout; split: on which they were compared.
    """

    absent: str = ""
    problem: str = ""
    name: str = ""
    difference: Mapping[str, Any] = field(default_factory=dict)
    confidence: float | None = None
    is_same: bool = False
    split: str = SPLIT


def split_name(metrics: Mapping[str, Any], split: str = SPLIT) -> str:
    """Return the name of a split as it is shown, which of pooled predictions is that of the cross-validation."""
    return f"{len(metrics[split]['folds'])}-fold cross-validation" if is_pooled(metrics, split) else split


def is_pooled(metrics: Mapping[str, Any], split: str = SPLIT) -> bool:
    """Return whether the scores of a split are of a cross-validation of it and training together."""
    return bool((metrics.get(split) or {}).get("folds"))


def min_f1(metrics: dict[str, Any], params: GateParams, champion: Champion) -> Iterator[Verdict]:
    """Require that the micro F1 of the deciding split, or the lower end of its interval, is not under the threshold."""
    value, interval = _number(metrics, SPLIT, "f1"), _interval(metrics, SPLIT, "interval", "f1")
    on_bound = params.min_f1_on == "lower_bound"
    judged = None if value is None else (interval[0] if interval else None) if on_bound else value
    what = "the lower end of its interval" if on_bound else "the point estimate"
    point = "without a value" if value is None else f"{value:.4f}"
    spread = "no interval" if interval is None else f"{_percent(metrics)}interval {_range(interval)}"
    name = f"{split_name(metrics)} F1 {point}, {spread}: {what}"
    yield _at_least("min_f1", name, judged, params.min_f1)


def min_f1_per_type(metrics: dict[str, Any], params: GateParams, champion: Champion) -> Iterator[Verdict]:
    """Require that no entity type's F1 is under its floor; a type without a score or a gold entity fails."""
    per_type = metrics.get(SPLIT, {}).get("per_type") or {}
    floors = dict.fromkeys(per_type, params.min_f1_each_type) | params.min_f1_per_type
    if not floors:
        reason = f"no entity type of {SPLIT} has a score"
        yield Verdict("min_f1_per_type", params.min_f1_each_type, None, False, reason)
    for entity_type, floor in floors.items():
        rule, name = f"min_f1_per_type.{entity_type}", f"{split_name(metrics)} F1 of {entity_type}"
        value, support = (_number(per_type, entity_type, key) for key in ("f1", "support"))
        if entity_type not in per_type:
            known = ", ".join(per_type) or "no type"
            reason = f"{SPLIT} has no score of {entity_type} (it has {known}), which must be at least {floor:g}"
            yield Verdict(rule, floor, None, False, reason)
        elif not support:
            reason = f"{SPLIT} has no gold entity of {entity_type}, so that its F1 cannot be computed"
            yield Verdict(rule, floor, None, False, reason)
        else:
            shown = "" if value is None else f" {value:.4f} ({support:,} gold entities)"
            yield _at_least(rule, name + shown, value, floor)


def no_worse_than_champion(metrics: dict[str, Any], params: GateParams, champion: Champion) -> Iterator[Verdict]:
    """Require that the interval of the difference to the champion reaches no further under 0 than allowed."""
    rule, floor = "no_worse_than_champion", 0.0 - params.max_f1_loss_to_champion
    if champion.absent:
        yield Verdict(rule, floor, None, True, champion.absent)
    elif champion.problem:
        yield Verdict(rule, floor, None, False, f"the champion could not be compared: {champion.problem}")
    else:
        yield _no_worse(rule, floor, "the champion", champion)


def max_shared_sentences(metrics: dict[str, Any], params: GateParams, champion: Champion) -> Iterator[Verdict]:
    """Require that of the distinct sentences of validation, and of test, training has no more than allowed."""
    limit = params.max_shared_sentences
    for split in SPLITS:
        rule, value = f"max_shared_sentences.{split}", _number(metrics, split, "shared_sentences")
        if value is None:
            reason = f"the share of {split} sentences that are in training too could not be computed"
            yield Verdict(rule, limit, None, False, reason)
        else:
            passed = value <= limit
            where = "in several folds" if is_pooled(metrics, split) else "in training too"
            reason = f"{value:.4f} of the {split} sentences are {where}, {_most(passed, limit)}"
            yield Verdict(rule, limit, value, passed, reason)


def max_words_without_prediction(metrics: dict[str, Any], params: GateParams, champion: Champion) -> Iterator[Verdict]:
    """Require that no more words than allowed went without a prediction, on validation and test together."""
    rule, limit = "max_words_without_prediction", params.max_words_without_prediction
    numbers = [_number(metrics, split, "words_without_prediction") for split in SPLITS]
    lost = [number for number in numbers if number is not None]
    if len(lost) < len(numbers):
        reason = "how many words of validation and test got no prediction could not be computed"
        yield Verdict(rule, limit, None, False, reason)
    else:
        value = sum(lost)
        reason = f"{value:,} words of validation and test got no prediction, {_most(value <= limit, limit)}"
        yield Verdict(rule, limit, value, value <= limit, reason)


RULES: dict[str, Callable[[dict[str, Any], GateParams, Champion], Iterator[Verdict]]] = {
    "min_f1": min_f1,
    "min_f1_per_type": min_f1_per_type,
    "no_worse_than_champion": no_worse_than_champion,
    "max_shared_sentences": max_shared_sentences,
    "max_words_without_prediction": max_words_without_prediction,
}


def judge(metrics: dict[str, Any], params: GateParams, champion: Champion) -> dict[str, Any]:
    """Apply every rule and return the verdicts.

    Returns what gate.json holds: passed, split, mode, the champion that was compared with (None: there was none), and
    each rule with its reason.
    """
    verdicts = [verdict for rule in RULES.values() for verdict in rule(metrics, params, champion)]
    return {
        "passed": all(verdict.passed for verdict in verdicts),
        "split": split_name(metrics),
        "mode": metrics["mode"],
        "champion": champion.name or None,
        "rules": [asdict(verdict) for verdict in verdicts],
    }


def judge_export(
    metrics: dict[str, Any], params: GateParams, export: ExportParams, champion: Champion, original: Champion
) -> dict[str, Any]:
    """Return the verdicts on an exported model, with the rule that it has not lost more than allowed.

    original: the comparison with the model that it was made of.
    """
    verdict = judge(metrics, params, champion)
    lost = _no_worse("no_worse_than_original", 0.0 - export.max_f1_loss, "the original", original)
    return {**verdict, "passed": verdict["passed"] and lost.passed, "rules": [*verdict["rules"], asdict(lost)]}


def failure(gate: Mapping[str, Any]) -> str:
    """Return one sentence with the reasons of the rules that failed."""
    return "the gate failed, so nothing is registered: " + "; ".join(_reasons(gate, False)) + "."


def export_failure(report: Mapping[str, Any]) -> str:
    """Return one sentence on every format of export.json that failed, with its reasons; empty without any."""
    reasons_by_format = [
        f"{name} ({'; '.join(_reasons(entry['gate'], False))})"
        for name, entry in report["formats"].items()
        if not entry["gate"]["passed"]
    ]
    return (
        f"the gate failed, so these formats are not registered: {', '.join(reasons_by_format)}."
        if reasons_by_format
        else ""
    )


def headline(gate: Mapping[str, Any]) -> str:
    """Return `passed, 9 of 9 rules` or `failed, 2 of 9 rules`."""
    wanted = [rule for rule in gate["rules"] if rule["passed"] is gate["passed"]]
    return f"{'passed' if gate['passed'] else 'failed'}, {len(wanted)} of {len(gate['rules'])} rules"


def summary(gate: Mapping[str, Any]) -> str:
    """Return headline and reasons, failed rules first, in one line of at most SUMMARY_LENGTH characters."""
    return textwrap.shorten(f"{headline(gate)}: {'; '.join(reasons(gate))}", SUMMARY_LENGTH, placeholder=" …")


def reasons(gate: Mapping[str, Any]) -> list[str]:
    """Return the reason of every rule, those of failed rules first."""
    return [*_reasons(gate, False), *_reasons(gate, True)]


def _reasons(gate: Mapping[str, Any], passed: bool) -> list[str]:
    return [rule["reason"] for rule in gate["rules"] if rule["passed"] is passed]


def _no_worse(rule: str, floor: float, who: str, other: Champion) -> Verdict:
    """Require that the lower end of the paired interval of the difference to `other` is not under the floor."""
    if other.is_same:
        reason = f"{who} ({other.name}) predicts the same tags throughout {other.split}: the difference is 0"
        return Verdict(rule, floor, 0.0, True, reason)
    ours, theirs, gain = (_number(other.difference, key) for key in ("f1", "other_f1", "difference"))
    interval = _interval(other.difference, "interval")
    if ours is None or theirs is None or gain is None or interval is None:
        return Verdict(rule, floor, None, False, f"{who} could not be compared: a number of the comparison is missing")
    percent = f"{100 * other.confidence:g} % " if other.confidence else ""
    note = "on test, as not both were cross-validated on these documents: " if other.split == TEST else ""
    name = (
        f"{note}{other.split} F1 {ours:.4f} against {theirs:.4f} of {who} ({other.name}): difference {gain:+.4f}, "
        f"{percent}interval {_range(interval, '+')}, whose lower end"
    )
    return _at_least(rule, name, interval[0], floor)


def _at_least(rule: str, name: str, value: float | None, threshold: float) -> Verdict:
    if value is None:
        reason = f"{name} could not be computed, and must be at least {threshold:g}"
        return Verdict(rule, threshold, None, False, reason)
    relation = "is at least" if value >= threshold else "is under"
    return Verdict(rule, threshold, value, value >= threshold, f"{name} {relation} {threshold:g}")


def _most(passed: bool, limit: float) -> str:
    return f"at most {limit:g} may" if passed else f"but at most {limit:g} may"


def _number(values: Any, *keys: str) -> float | None:
    """Return the number under nested keys; None where a key is missing, or what is there is no finite number."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    is_number = isinstance(values, int | float) and not isinstance(values, bool) and math.isfinite(values)
    return values if is_number else None


def _interval(values: Any, *keys: str) -> list[float] | None:
    """Return [low, high] under nested keys; None where it is missing or not two finite numbers."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    if not isinstance(values, list | tuple) or len(values) != 2:
        return None
    low, high = (_number({"end": end}, "end") for end in values)
    return None if low is None or high is None else [low, high]


def _range(interval: list[float], sign: str = "") -> str:
    return f"{interval[0]:{sign}.4f} to {interval[1]:{sign}.4f}"


def _percent(metrics: Mapping[str, Any]) -> str:
    confidence = _number(metrics, "bootstrap", "confidence")
    return "" if confidence is None else f"{100 * confidence:g} % "
