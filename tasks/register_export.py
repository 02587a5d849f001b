"""Stage `register_export`: the exported formats that passed their gate become versions of the registered model.

Run     python -m tasks.register_export
Reads   models/export, models/release, reports/export, reports/export.json, reports/registration.json,
        params.yaml [encoding, registry]
Writes  reports/export_registration.json, mlflow/data/registered_export.json; versions with the tags `format` and
        `exported_from`, and the alias challenger-<format>

Each has an MLflow run of its own below that of the original, with its own predictions. A format that failed is named
with its reasons, and is not registered; nor is any where the model itself failed its gate.
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_json, read_params
from ner.evaluation.gate import export_failure
from ner.export.register import register_export
from ner.export.run import REPORT


def main() -> None:
    done = register_export(read_params(), Path())
    for name, version in done["versions"].items():
        print(f"{name}: {done['model']} version {version['version']}, alias {version['alias']}", flush=True)
    if done["failed"]:
        print(f"register_export: {export_failure(read_json(REPORT))}", flush=True)
    elif not done["versions"]:
        print("nothing was exported, so nothing is to be registered", flush=True)


if __name__ == "__main__":
    run_stage("register_export", main)
