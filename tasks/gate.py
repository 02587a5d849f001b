"""Stage `gate`: hold the scores against the thresholds, and this model against the champion.

Run     python -m tasks.gate
        ner verdict   (the verdict that reports/gate.json has, with every reason; judges nothing)
Reads   reports/metrics.json, reports/predictions/validation.parquet, params.yaml [gate, registry.model], and from the
        MLflow registry what the champion predicted (ner.registry.champion)
Writes  reports/gate.json; a rule that failed is a result, which ends the stage as well as any other

Nothing is registered then: `export`, `register` and `register_export` say so in their reports. `ner verdict` ends with
status 4 then, as `make train` and `make repro` do.

Where the champion has not predicted this data (new labelled data, another corpus), it does so first: then the gate
takes as long as stage `predict`, and reads data/prepared and params.yaml [encoding, prediction] too. With
gate.champion_predicts: false the rule fails instead.
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.evaluation.gate import failure
from ner.registry.verdict import gate, verdict_table

PREPARED, REPORTS = Path("data/prepared"), Path("reports")


def main() -> None:
    verdict = gate(read_params(), REPORTS, PREPARED)
    print(verdict_table(verdict), flush=True)
    if not verdict["passed"]:
        print(f"gate: {failure(verdict)}", flush=True)


if __name__ == "__main__":
    run_stage("gate", main, arguments=[])
