"""The card's section on scores: both splits with intervals, default and strict, entity types, contexts, slices."""

from collections.abc import Mapping
from typing import Any

from ner.card.data import TYPES_IN_TABLE, rest_of_types
from ner.card.error_analysis import calibration, corrected, mistakes, seeds
from ner.card.facts import MEASURES, SPLITS, CardFacts
from ner.card.markdown import MISSING, between, code, get, number, parse_float, table, text

WAYS = {
    "default": "seqeval, default mode, as conlleval",
    "strict": "seqeval, strict mode, IOB2",
}
CONTEXTS = {"document": "sentences with their neighbours", "sentence": "each sentence alone"}


def evaluation(facts: CardFacts) -> str:
    """Return every part that was measured, with its heading."""
    parts = {
        "Scores": scores(facts),
        "Default and strict": ways(facts),
        "By entity type": by_type(facts),
        "With and without context": contexts(facts),
        "By slice": slices(facts),
        "Calibration": calibration(facts),
        "Mistakes": mistakes(facts),
        "Seeds": seeds(facts),
        "Corrected test set": corrected(facts),
    }
    shown = [f"### {title}\n\n{body}" for title, body in parts.items() if body]
    return "\n\n".join(
        [
            "Everything is scored on whole sentences, never on windows, and every entity of the corpus counts. "
            f"{how_sure(facts)}",
            *shown,
        ]
    )


def how_sure(facts: CardFacts) -> str:
    """Return how the confidence intervals were computed."""
    about = facts.metrics.get("bootstrap")
    if not about:
        return "No intervals were computed."
    drawn = [
        f"{number(facts.metrics[split]['units'])} {text(facts.metrics[split].get('unit', 'unit'))}s of {split}"
        for split in SPLITS
        if facts.metrics[split].get("units")
    ]
    return (
        f"Intervals hold {facts.confidence} of {number(about['resamples'])} bootstrap resamples (percentiles, seed "
        f"{about['seed']}), which draw whole units: {' and '.join(drawn) or 'those of each split'}."
    )


def scores(facts: CardFacts) -> str:
    """Return a row per measure, the splits side by side."""
    rows = [
        [title, *(cell for split in SPLITS for cell in _with_interval(facts.metrics[split], name))]
        for name, title in MEASURES.items()
    ]
    more = {
        "f1_macro": "F1, mean of the types",
        "accuracy": "Accuracy (words)",
        "loss": "Loss (nats a token)",
        "support": "Entities",
        "predicted": "Entities found",
        "sentences": "Sentences",
        "words": "Words",
        "words_without_prediction": "Words without a prediction",
    }
    for name, title in more.items():
        values = [number(facts.metrics[split].get(name)) for split in SPLITS]
        if values != [MISSING] * len(SPLITS):
            rows.append([title, values[0], "", values[1], ""])
    interval = f"{facts.confidence} interval"
    return table(["", "Validation", interval, "Test", interval], rows, "lrrrr")


def ways(facts: CardFacts) -> str:
    """Return scores of the same predictions in seqeval's default and in its strict mode."""
    if not all(facts.metrics[split].get("ways") for split in SPLITS):
        return ""
    names = [name for name in WAYS if name in facts.metrics["validation"]["ways"]]
    rows = [
        [WAYS[name], *(number(get(facts.metrics, split, "ways", name, m)) for split in SPLITS for m in MEASURES)]
        for name in names
    ]
    head = ["", *(f"{title}, {split}" for split in SPLITS for title in MEASURES.values())]
    parted = [
        f"{number(facts.metrics[split]['disagreements'])} of {number(facts.metrics[split].get('sentences'))} sentences "
        f"of {split}"
        for split in SPLITS
        if facts.metrics[split].get("disagreements") is not None
    ]
    note = f"\n\nThe two differ on {' and '.join(parted)}." if parted else ""
    return table(head, rows) + note + " Where this card names no mode, it is the default one."


def by_type(facts: CardFacts) -> str:
    """Return a table per split, most frequent type first."""
    return "\n\n".join(f"{split.capitalize()}:\n\n{types_of(facts, split)}" for split in SPLITS)


def types_of(facts: CardFacts, split: str, most: int = TYPES_IN_TABLE) -> str:
    """Return precision, recall, F1 with interval, strict F1 and support of each type of one split."""
    per_type = facts.metrics[split].get("per_type")
    if not per_type:
        return "It holds no entity, and nothing was found." if per_type == {} else "It was not scored by type."
    names = sorted(per_type, key=lambda name: (-per_type[name].get("support", 0), name))
    rows = [
        [
            code(name),
            *(number(per_type[name].get(measure)) for measure in MEASURES),
            between(per_type[name].get("interval")),
            *(number(per_type[name].get(measure)) for measure in ("f1_strict", "support", "predicted")),
        ]
        for name in names[:most]
    ]
    head = ["Type", *MEASURES.values(), f"{facts.confidence} interval of F1", "F1 strict", "Entities", "Found"]
    return table(head, rows) + rest_of_types(len(names), "reports/per_type.csv")


def contexts(facts: CardFacts) -> str:
    """Return scores of sentences with their neighbours and of each sentence alone."""
    measures = {**MEASURES, "accuracy": "Accuracy"}
    rows = [
        [split.capitalize(), title + (" (as trained)" if name == facts.context else "")]
        + [number(get(facts.metrics, split, name, measure)) for measure in measures]
        for split in SPLITS
        for name, title in CONTEXTS.items()
        if facts.metrics[split].get(name)
    ]
    return table(["Split", "The model is given", *measures.values()], rows) if rows else ""


def slices(facts: CardFacts) -> str:
    """Return F1 on parts of both splits, with intervals and support."""
    by_value: dict[tuple[str, str], dict[str, Mapping[str, str]]] = {}
    for row in facts.slices:
        by_value.setdefault((row.get("slice", ""), row.get("value", "")), {})[row.get("split", "")] = row
    if not by_value:
        return ""
    rows = []
    for (name, value), by_split in by_value.items():
        cells = [text(name), text(value)]
        for split in SPLITS:
            row = by_split.get(split, {})
            low, high = parse_float(row.get("f1_low")), parse_float(row.get("f1_high"))
            cells += [number(parse_float(row.get("f1"))), between([low, high]), number(row.get("support"))]
        rows.append(cells)
    interval = f"{facts.confidence} interval"
    head = ["Slice", "", "F1, validation", interval, "Entities", "F1, test", interval, "Entities"]
    note = "An entity belongs to a slice by what it is itself. With few entities an interval says more than the F1."
    return f"{table(head, rows)}\n\n{note}"


def _with_interval(scores: Mapping[str, Any], name: str) -> list[str]:
    return [number(scores.get(name)), between(get(scores, "interval", name))]
