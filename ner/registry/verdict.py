"""Holds the scores against the thresholds and the model against the champion, and shows the verdict.

verdict = gate(params, Path("reports"), Path("data/prepared"))        # what reports/gate.json holds
print(explanation(verdict))                                           # every rule with its reason
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.common.files import read_json, write_json
from ner.common.tables import plain_table
from ner.errors import GateFailed
from ner.evaluation.gate import headline, judge
from ner.params import Params
from ner.registry.champion import against_champion, shown

REPORTS = Path("reports")
WIDTH = 100  # of what `ner verdict` prints, in columns


def gate(params: Params, reports: Path, prepared: Path) -> dict[str, Any]:
    """Write gate.json and return it."""

    def predict(version: Any, splits: Sequence[str]) -> None:
        from ner.registry.predict_version import predict_version  # only here: it loads the network

        print(f"{shown(version)} has no predictions for this data: predicting now", flush=True)
        predict_version(version, params, prepared, splits)

    metrics = read_json(reports / "metrics.json")
    asked = predict if params.gate.champion_predicts else None
    verdict = judge(metrics, params.gate, against_champion(params.registry.model, metrics, reports, asked))
    write_json(reports / "gate.json", verdict)
    return verdict


def verdict_table(verdict: Mapping[str, Any]) -> str:
    """Return a row a rule."""
    rows = [["rule", "threshold", "value", "verdict"]]
    for rule in verdict["rules"]:
        word = "passed" if rule["passed"] else "FAILED"
        rows.append([rule["rule"], f"{rule['threshold']:g}", _short(rule["value"]), word])
    return plain_table(rows)


def read_verdicts(reports: Path) -> dict[str, Mapping[str, Any]]:
    """Return the last verdict on the model, named "", then on each format that it was exported in."""
    exported = read_json(reports / "export.json")["formats"] if (reports / "export.json").exists() else {}
    return {"": read_json(reports / "gate.json")} | {name: entry["gate"] for name, entry in exported.items()}


def explanation(verdict: Mapping[str, Any], name: str = "") -> str:
    """Return the table with the reason under each row, no line longer than WIDTH where its words allow."""
    wrap = textwrap.TextWrapper(
        WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    head, *rows = verdict_table(verdict).splitlines()
    of = f"of {name} " if name else ""
    lines = [f"Gate {of}{headline(verdict)}, on {verdict['split']}, {verdict['mode']}", "", head]
    for row, rule in zip(rows, verdict["rules"], strict=True):
        lines += [row, *wrap.wrap(rule["reason"])]
    return "\n".join(lines)


def _short(value: float | None) -> str:
    """Return at most four decimals; a dash for what could not be computed."""
    return "-" if value is None else f"{round(value, 4) + 0.0:.4f}".rstrip("0").rstrip(".")


def main() -> None:
    """Print the last verdict with its reasons; the exit status is 4 where it is that the gate failed."""
    verdicts = read_verdicts(REPORTS)
    print("\n\n".join(explanation(verdict, name) for name, verdict in verdicts.items()), flush=True)
    raise SystemExit(0 if all(verdict["passed"] for verdict in verdicts.values()) else GateFailed.exit_status)
