"""Stage `export`: the release in other formats, each scored and held against the gate like the model itself.

Run     python -m tasks.export
Reads   models/release, data/prepared, reports/predictions, reports/metrics.json, params.yaml [encoding, evaluation,
        export, gate, prediction, registry.model], and from the MLflow registry what the champion predicted
Writes  models/export/<format>: model.onnx, configuration, tokenizer, README.md;
        reports/export/<format>/predictions/{validation,test}.parquet; in both, formats.json; reports/export.json

A format that fails its gate is written and reported with its reasons; `register_export` leaves it out. Without formats,
which is the default, no library of deep learning is loaded; nor where the model itself failed its gate, of which
nothing is exported.
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.export.run import export, table


def main() -> None:
    params = read_params()
    report = export(params, Path())
    if not report["formats"]:
        why = "the gate failed" if params.export.formats else "export.formats is []"
        print(f"{why}: nothing is exported", flush=True)
        return
    print(table(report), flush=True)
    for name, entry in report["formats"].items():
        for rule in entry["gate"]["rules"]:
            if not rule["passed"]:
                print(f"{name}: {rule['reason']}", flush=True)


if __name__ == "__main__":
    run_stage("export", main)
