"""Stage `gate`: hold the scores against the thresholds, and this model against the champion.

Run     python -m tasks.gate
        python -m tasks.gate --explain   (the verdict that reports/gate.json has, with every reason; judges nothing)
Reads   reports/metrics.json, reports/predictions/validation.parquet, params.yaml [gate, registry.model], and from the
        MLflow registry what the champion predicted (tasks.champion)
Writes  reports/gate.json, always; then ends with status 4 and one sentence where a rule failed

Where the champion has not predicted this data (new labelled data, another corpus), it does so first: then the gate
takes as long as stage `predict`, and reads data/prepared and params.yaml [encoding, prediction] too. With
gate.champion_predicts: false the rule fails instead.
"""

import argparse
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ner.errors import GateFailed
from ner.gate import failure, headline, judge
from ner.params import Params
from tasks.champion import against_champion, shown
from tasks.cli import run_stage
from tasks.io import read_json, read_params, write_json
from tasks.tables import plain_table
from tasks.tracking import try_log_gate

PREPARED, REPORTS = Path("data/prepared"), Path("reports")
WIDTH = 100  # of what --explain prints, in columns


def gate(params: Params, reports: Path, prepared: Path) -> dict[str, Any]:
    """Write gate.json and return it."""

    def predict(version: Any) -> None:
        from tasks.predict_version import predict_version  # only here: it loads the network

        print(f"{shown(version)} has not predicted this data: it does so now", flush=True)
        predict_version(version, params, prepared)

    metrics = read_json(reports / "metrics.json")
    asked = predict if params.gate.champion_predicts else None
    verdict = judge(metrics, params.gate, against_champion(params.registry.model, metrics, reports, asked))
    write_json(reports / "gate.json", verdict)
    return verdict


def verdict_table(verdict: Mapping[str, Any]) -> str:
    """A row a rule."""
    rows = [["rule", "threshold", "value", "verdict"]]
    for rule in verdict["rules"]:
        word = "passed" if rule["passed"] else "FAILED"
        rows.append([rule["rule"], f"{rule['threshold']:g}", _short(rule["value"]), word])
    return plain_table(rows)


def explanation(verdict: Mapping[str, Any]) -> str:
    """The table with the reason under each row, no line longer than WIDTH where its words allow."""
    wrap = textwrap.TextWrapper(
        WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    head, *rows = verdict_table(verdict).splitlines()
    lines = [f"Gate {headline(verdict)}, on {verdict['split']}, {verdict['mode']}", "", head]
    for row, rule in zip(rows, verdict["rules"], strict=True):
        lines += [row, *wrap.wrap(rule["reason"])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.gate", description="Hold the model against its thresholds.")
    parser.add_argument("--explain", action="store_true", help="print the last verdict with its reasons; judge nothing")
    if parser.parse_args().explain:
        verdict = read_json(REPORTS / "gate.json")
        print(explanation(verdict), flush=True)
        raise SystemExit(0 if verdict["passed"] else GateFailed.exit_status)
    verdict = gate(read_params(), REPORTS, PREPARED)
    print(verdict_table(verdict), flush=True)
    try_log_gate(read_json(REPORTS / "training.json")["mlflow_run_id"], verdict, [REPORTS / "gate.json"])
    if not verdict["passed"]:
        raise GateFailed(failure(verdict))


def _short(value: float | None) -> str:
    """At most four decimals; a dash for what could not be computed."""
    return "-" if value is None else f"{round(value, 4) + 0.0:.4f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    run_stage("gate", main)
