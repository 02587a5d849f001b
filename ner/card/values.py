"""What the templates of the card are filled with: the facts, and what has to be chosen or sorted from them.

fill("card.md.j2", facts)       # a file of card_templates, in Markdown
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ner.card import markdown
from ner.card.facts import MEASURES, SPLITS, CardFacts, known, short_name
from ner.card.markdown import MISSING, number, parse, parse_float, plain, text
from ner.evaluation.gate import headline, reasons, split_name

OPENING = {"loss": "Loss", **MEASURES, "accuracy": "Accuracy"}
HISTORY = ("training_loss", "epoch", "step", "validation_loss", "precision", "recall", "f1", "accuracy")
FRAMEWORKS = {"transformers": "Transformers", "torch": "Pytorch", "datasets": "Datasets", "tokenizers": "Tokenizers"}
# Written in words of their own, or of no effect on the weights.
TOLD = (
    "train.learning_rate", "train.batch_size", "train.batch_by", "train.seed", "train.gradient_accumulation",
    "train.processes", "train.adam_beta1", "train.adam_beta2", "train.adam_epsilon", "train.schedule", "train.warmup",
    "train.epochs", "train.precision", "train.weight_decay", "train.max_grad_norm", "train.device", "train.checkpoints",
    "train.keep", "train.patience",
    "encoding.context", "encoding.max_length", "model.base",
)  # fmt: skip
THRESHOLDS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
FEW = 50  # gold entities; a slice with fewer says little
CONFUSIONS, NO_ENTITY = 5, "no entity"
CONSTANTS = {
    "MISSING": MISSING,
    "SPLITS": SPLITS,
    "MEASURES": MEASURES,
    "OPENING": OPENING,
    "HISTORY": HISTORY,
    "PRECISIONS": {"fp32": "no (fp32)"}
    | {name: f"{name} (weights and optimizer in fp32)" for name in ("bf16", "fp16")},
    "TRACED": (
        "data/prepared", "models/base", "models/ner", "reports/predictions", "reports/metrics.json", "models/release",
    ),
    "TYPES_IN_TABLE": 40,
    "TYPES_IN_SUMMARY": 12,
    "TYPES_IN_PROSE": 12,
    "RULES_IN_SUMMARY": 16,
}  # fmt: skip


def fill(template: str, facts: CardFacts) -> str:
    """Return a template filled with the facts, without blank lines that follow each other."""
    measured, packages = facts.measured, facts.measured.get("packages", {})
    amounts = (("gpus", "GPUs"), ("cores", "cores"))
    others = [name for name in sorted(packages) if name not in FRAMEWORKS]
    values = vars(facts) | {
        "base": facts.training["base"],
        "ours": facts.metrics["validation"],
        "theirs": facts.metrics["test"],
        "folds": facts.metrics["validation"].get("folds"),
        "evaluated": split_name(facts.metrics),
        "temperature": facts.metrics.get("temperature"),
        "param": facts.param,
        "confidence": facts.confidence,
        "context": facts.context,
        "issue_splits": sorted(
            facts.label_issues or (), key=lambda split: (split not in SPLITS, split != SPLITS[0], split)
        ),
        "type_totals": type_totals(facts.manifest["splits"]),
        "weakest_type": weakest_type(facts.metrics["test"].get("per_type", {})),
        "weakest_slice": weakest_slice(facts),
        "by_slice": by_slice(facts),
        "kept": kept(facts),
        "confused": confused(facts),
        "other_params": [
            (name, markdown.code(value))
            for name, value in facts.training.get("params", {}).items()
            if name.split(".")[0] in ("train", "encoding", "model") and name not in TOLD
        ],
        "packages": [(title, packages[name]) for name, title in FRAMEWORKS.items() if name in packages]
        + [(name, packages[name]) for name in others]
        + [("Python", python) for python in [measured.get("python")] if python],
        "machine": [text(measured[name]) for name in ("gpu", "cpu") if measured.get(name)]
        + [f"{number(measured[name])} {title}" for name, title in amounts if measured.get(name)],
    }
    return re.sub(r"\n{3,}", "\n\n", environment().get_template(template).render(values)).strip()


def type_totals(splits: Mapping[str, Any]) -> list[str]:
    """Return the entity types of all splits, most frequent first."""
    totals: dict[str, int] = {}
    for counts in splits.values():
        for name, n in counts.get("entities", {}).items():
            totals[name] = totals.get(name, 0) + n
    return sorted(totals, key=lambda name: (-totals[name], name))


def by_support(per_type: Mapping[str, Any]) -> list[str]:
    """Return the entity types, those with most annotated entities first."""
    return sorted(per_type, key=lambda name: (-per_type[name].get("support", 0), name))


def weakest_type(per_type: Mapping[str, Any]) -> Any:
    """Return the type with the lowest F1 among several that occur, and its scores; None where there are fewer."""
    rows = {name: row for name, row in per_type.items() if row.get("support")}
    return min(rows.items(), key=lambda item: (item[1]["f1"], item[0])) if len(rows) > 1 else None


def weakest_slice(facts: CardFacts) -> Mapping[str, str] | None:
    """Return the slice of test with the lowest F1 among those with enough entities; None without any."""
    rows = [row for row in facts.slices if row.get("split") == "test" and (parse(row.get("support")) or 0) >= FEW]
    rows = [row for row in rows if parse(row.get("f1")) is not None]
    return min(rows, key=lambda row: parse(row["f1"]) or 0) if rows else None


def by_slice(facts: CardFacts) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of each slice and value by split."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for row in facts.slices:
        rows.setdefault((row.get("slice", ""), row.get("value", "")), {})[row.get("split", "")] = row
    return rows


def kept(facts: CardFacts) -> list[tuple[float, Mapping[str, str]]]:
    """Return the scores of test at THRESHOLDS, where anything is kept."""
    own = {parse_float(row.get("threshold")): row for row in facts.thresholds if row.get("split") == "test"}
    return [(limit, own[limit]) for limit in THRESHOLDS if limit in own and parse(own[limit].get("predicted"))]


def confused(facts: CardFacts) -> list[tuple[str, str, int | float]]:
    """Return the pairs of types that are confused most on test, annotated and predicted, and how often each is."""
    pairs = [
        (row["gold"], row["predicted"], parse(row["entities"]) or 0)
        for row in facts.confusion
        if row.get("split") == "test"
        and row["gold"] != row["predicted"]
        and NO_ENTITY not in (row["gold"], row["predicted"])
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], *pair[:2]))[:CONFUSIONS]


def setting(value: Any) -> str | None:
    """Return a parameter as the Trainer's cards write it: 2e-05, 3, linear."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value is None else plain(value) if value != 0 else "0"


def rule_value(value: Any) -> str:
    """Return a threshold or a value of a rule: four decimals at most."""
    if isinstance(value, float):
        shown = number(value)
        return shown.rstrip("0").rstrip(".") if "." in shown else shown
    return number(value) if value is None or isinstance(value, int) else text(value)


def history_cell(value: Any, name: str) -> str:
    """Return a value of history.csv as the Trainer's cards write it."""
    finite = parse(value)
    if finite is None:
        return "No log" if name == "training_loss" else MISSING
    return {"epoch": str(round(float(finite), 2)), "step": str(int(finite))}.get(name, number(float(finite)))


def duration(seconds: float) -> str:
    """Return `35.1 minutes`, from two hours on in hours."""
    return f"{seconds / 60:,.1f} minutes" if seconds < 7200 else f"{seconds / 3600:,.1f} hours"


def total(rows: Sequence[Mapping[str, Any]], key: str) -> int:
    return sum(row.get(key, 0) for row in rows)


@cache
def environment() -> Environment:
    """Return the templates with the filters of Markdown: foreign text goes through `text`, `code` or `link`."""
    folder = FileSystemLoader(Path(__file__).parent / "card_templates")
    made = Environment(loader=folder, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals |= CONSTANTS | {"get": markdown.get, "link": markdown.link}
    for name in ("between", "cell", "code", "count", "number", "percent", "plain", "shortened", "table", "text"):
        made.filters[name] = getattr(markdown, name)
    for function in (by_support, duration, headline, history_cell, known, reasons, rule_value, setting, total):
        made.filters[function.__name__] = function
    made.filters |= {"short": short_name, "decimal": parse_float}
    return made
