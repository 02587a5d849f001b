"""The card's section on errors: calibration, thresholds, mistakes, spread over seeds, a corrected test set."""

from collections.abc import Mapping
from typing import Any

from ner.card.facts import MEASURES, SPLITS, CardFacts, Rows, short_name
from ner.card.markdown import between, code, count, get, number, parse, parse_float, shortened, table

CATEGORIES = {
    "boundary": "right type, wrong boundaries",
    "type": "right boundaries, wrong type",
    "both": "overlapping, but neither is right",
    "missed": "an entity that was not found",
    "invented": "found where there is nothing",
}
THRESHOLDS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
CONFUSIONS, NO_ENTITY = 5, "no entity"


def calibration(facts: CardFacts) -> str:
    """Return the temperature and the calibration error, then the scores at confidence thresholds."""
    temperature = facts.metrics.get("temperature")
    if temperature is None:
        return ""
    words = {1: "too sure of itself", 0: "as sure as it should be", -1: "not sure enough"}
    word = words[(temperature > 1) - (temperature < 1)]
    rows = [
        [title, *(number(value) for split in SPLITS for value in _before_and_after(facts.metrics[split], kind))]
        for kind, title in (("ece", "Expected calibration error (entities)"), ("loss", "Loss (nats a token)"))
    ]
    head = ["", *(f"{split.capitalize()}, {when}" for split in SPLITS for when in ("before", "after"))]
    return (
        f"The temperature, fitted on validation, is {number(temperature)}: before, the network was {word}. The "
        "expected calibration error is the mean distance between the scores of entities and the share of them that is "
        f"right.\n\n{table(head, rows)}{thresholds(facts.thresholds)}"
    )


def thresholds(rows: Rows) -> str:
    """Return a table of scores where only entities of at least some confidence are kept."""
    own = {parse_float(row.get("threshold")): row for row in rows if row.get("split") == "test"}
    entries = [(limit, own[limit]) for limit in THRESHOLDS if limit in own and parse(own[limit].get("predicted"))]
    shown = [
        [f"{limit:.2f}", *(number(parse_float(row.get(name))) for name in MEASURES), number(row.get("predicted"))]
        for limit, row in entries
    ]
    if not shown:
        return ""
    head = ["Score at least", *MEASURES.values(), "Entities kept"]
    return f"\n\nKeeping only entities of at least some score, on test:\n\n{table(head, shown)}"


def mistakes(facts: CardFacts) -> str:
    """Return the number of mistakes of each category, and the confusion between types."""
    if not any(facts.metrics[split].get("mistakes") for split in SPLITS):
        return ""
    rows = [
        [name, meaning, *(number(get(facts.metrics, split, "mistakes", name)) for split in SPLITS)]
        for name, meaning in CATEGORIES.items()
    ]
    return table(["Mistake", "", "Validation", "Test"], rows) + confusions(facts.confusion)


def confusions(rows: Rows) -> str:
    """Return the pairs of types that are confused most on test."""
    confused = [row for row in rows if row.get("split") == "test" and row["gold"] != row["predicted"]]
    pairs = [
        (parse(row["entities"]) or 0, row["gold"], row["predicted"])
        for row in confused
        if NO_ENTITY not in (row["gold"], row["predicted"])
    ]
    pairs = sorted(pairs, key=lambda pair: (-pair[0], *pair[1:]))[:CONFUSIONS]
    listing = ", ".join(f"{code(gold)} read as {code(predicted)} ({number(n)})" for n, gold, predicted in pairs)
    return f"\n\nMost often confused on test: {listing}." if listing else ""


def seeds(facts: CardFacts) -> str:
    """Return mean and standard deviation over trainings that differ in their seed, or that there was only one."""
    n, trained = facts.seeds.get("n", 0), facts.seeds.get("seeds", [])
    if n < 2:
        seed = facts.param("train.seed")
        sentence = f"One seed was trained ({seed})" if seed is not None else "One seed was trained"
        return f"{sentence}, so how far the scores spread over seeds was not measured."
    rows = [
        [split.capitalize(), MEASURES[name], *(number(get(summary, name, key)) for key in ("mean", "sd", "min", "max"))]
        for split in SPLITS
        for summary in [get(facts.seeds, "summary", split) or {}]
        for name in MEASURES
    ]
    listed = shortened([f"{row['seed']}: {number(get(row, 'validation', 'f1'))}" for row in trained], 10)
    head = ["Split", "", "Mean", "Standard deviation", "Lowest", "Highest"]
    return (
        f"{count(n, 'training')} differ in nothing but their seed; this model is that of seed "
        f"{facts.param('train.seed')}. F1 on validation by seed: {listed}.\n\n{table(head, rows)}"
    )


def corrected(facts: CardFacts) -> str:
    """Return the scores against a corrected annotation of the test split, where one was given."""
    ours = facts.metrics.get("test_corrected")
    if not ours:
        return ""
    test = facts.metrics["test"]
    rows = [
        [title, number(test.get(name)), number(ours.get(name)), between(get(ours, "interval", name))]
        for name, title in MEASURES.items()
    ]
    name = short_name(ours.get("file"))
    return (
        table(["", "Test", "Test, corrected", f"{facts.confidence} interval"], rows, "lrrr")
        + f"\n\nThe corrected annotation {code(name)} (sha256 {code(ours.get('sha256'))}) has another tag on "
        f"{number(ours.get('changed_words'))} words and {number(ours.get('support'))} entities."
    )


def _before_and_after(scores: Mapping[str, Any], kind: str) -> list[Any]:
    after = get(scores, "calibration", "ece") if kind == "ece" else scores.get("loss")
    return [get(scores, "calibration", f"{kind}_before"), after]
