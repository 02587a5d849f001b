"""Stage `gate`: hold the scores against the thresholds.

Run     python -m tasks.gate
Reads   reports/metrics.json, params.yaml [gate]
Writes  reports/gate.json, always; then ends with status 4 and one sentence where a rule failed
"""

from pathlib import Path
from typing import Any

from ner.errors import GateFailed
from ner.gate import failure, judge
from ner.params import GateParams
from tasks.cli import run_stage
from tasks.io import read_json, read_params, write_json
from tasks.tables import plain_table
from tasks.tracking import try_log_gate

REPORTS = Path("reports")


def gate(params: GateParams, reports: Path) -> dict[str, Any]:
    """Write gate.json and return it."""
    verdict = judge(read_json(reports / "metrics.json"), params)
    write_json(reports / "gate.json", verdict)
    return verdict


def verdict_table(verdict: dict[str, Any]) -> str:
    """A row a rule."""
    rows = [["rule", "threshold", "value", "verdict"]]
    for rule in verdict["rules"]:
        value = "-" if rule["value"] is None else f"{rule['value']:.4f}".rstrip("0").rstrip(".")
        rows.append([rule["rule"], f"{rule['threshold']:g}", value, "passed" if rule["passed"] else "FAILED"])
    return plain_table(rows)


def main() -> None:
    verdict = gate(read_params().gate, REPORTS)
    print(verdict_table(verdict), flush=True)
    try_log_gate(read_json(REPORTS / "training.json")["mlflow_run_id"], verdict, [REPORTS / "gate.json"])
    if not verdict["passed"]:
        raise GateFailed(failure(verdict))


if __name__ == "__main__":
    run_stage("gate", main)
