"""Stage `reference`: what a version's later texts are held against, of validation's predictions; it travels with it.

Run     python -m tasks.reference
Reads   data/prepared/train.parquet, models/ner (its tokenizer), reports/predictions, reports/metrics.json
Writes  reports/reference.json: for each text of validation what monitoring keeps of a text (ner.inference.observation),
        and
        the words of training as a bitmap of their hashes; no text

Validation is read twice, as a caller may send it: each sentence alone, and each document whole.
"""

import json
from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import write_text
from ner.monitoring.reference import UNITS, reference

PREPARED, MODEL, REPORTS = Path("data/prepared"), Path("models/ner"), Path("reports")


def main() -> None:
    report = reference(PREPARED, MODEL, REPORTS)
    write_text(REPORTS / "reference.json", json.dumps(report, separators=(",", ":")) + "\n")
    numbers = ", ".join(f"{len(report['units'][unit]['tokens']):,} {unit}s" for unit in UNITS)
    print(f"validation as {numbers}; no text in it", flush=True)


if __name__ == "__main__":
    run_stage("reference", main)
