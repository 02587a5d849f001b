"""Stage `register_export`: the exported formats that passed their gate become versions of the registered model.

Run     python -m tasks.register_export
Reads   models/export, models/release, reports/export, reports/export.json, reports/registration.json,
        params.yaml [encoding, registry]
Writes  reports/export_registration.json, mlflow/data/registered_export.json; versions with the tags `format` and
        `exported_from`, and the alias challenger-<format>

Each has an MLflow run of its own below that of the original, with its own predictions. A format that failed ends the
stage with status 4, after the others are registered.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ner.errors import GateFailed, NerError
from ner.gate import SPLITS, summary
from ner.params import Params
from tasks.cli import run_stage
from tasks.export import EXPORTS, PREDICTIONS, REPORT, source_digest
from tasks.io import read_json, read_params, write_json
from tasks.package import RELEASE
from tasks.registry import ALIAS, CARD, add_version, check_model_files, content_digest, describe, find_version, resolve
from tasks.store import (
    client,
    experiment_id,
    log_params,
    patience,
    predictions_folder,
    registry_errors,
    source_tags,
    upload,
)

REGISTRATION, MARKER = Path("reports/export_registration.json"), Path("mlflow/data/registered_export.json")
INHERITED = ("git_commit", "git_dirty", "data_fingerprint", "flow_run_id", "params", "params_digest", "encoder")
LOCK = "dvc_lock."  # how tags begin that say what else the original was made of


def register_export(params: Params, root: Path) -> dict[str, Any]:
    """Register what passed and return what export_registration.json holds.

    Raises NerError where the export is of another release than the registered one, and RegistryError.
    """
    report = read_json(root / REPORT)
    passed = {name: entry for name, entry in report["formats"].items() if entry["gate"]["passed"]}
    versions = {}
    if passed:
        original = find_original(root, report)
        with registry_errors():
            versions = {name: register_format(params, root, original, name, entry) for name, entry in passed.items()}
    failed = sorted(set(report["formats"]) - set(passed))
    registration = {"model": params.registry.model, "versions": versions, "failed": failed}
    write_json(root / REGISTRATION, registration)
    write_json(root / MARKER, {name: version["content"] for name, version in versions.items()})
    return registration


def find_original(root: Path, report: Mapping[str, Any]) -> Any:
    """The registered version that was exported. Raises NerError where the files are not those of the export."""
    registration, release = read_json(root / "reports" / "registration.json"), root / RELEASE
    if report["source"] != source_digest(release):
        raise NerError("models/export was made of another release than models/release: run `dvc repro export`.")
    original = resolve(f"{registration['model']}/{registration['version']}")
    if original.tags.get("content") != content_digest(release):
        raise NerError(
            f"{original.name} version {original.version} is not models/release: run `dvc repro register` first."
        )
    return original


def register_format(params: Params, root: Path, original: Any, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """One version for one content, with its tags and its alias; returns what the report says of it."""
    folder = root / EXPORTS / name
    check_model_files(folder)
    content = content_digest(folder)
    version, tags = find_version(original.name, content), result_tags(entry, original)
    if version is None:
        run_id = make_run(params, root, original, name, entry)
        version = add_version(original.name, run_id, folder, content)
        tags |= origin_tags(original, name, run_id)
    describe(version, (folder / CARD).read_text(encoding="utf-8"), tags)
    alias = f"{ALIAS}-{name}"
    client().set_registered_model_alias(original.name, alias, version.version)
    return {
        "version": int(version.version),
        "alias": alias,
        "exported_from": int(original.version),
        "content": content,
        "mlflow_run_id": version.run_id,
    }


def make_run(params: Params, root: Path, original: Any, name: str, entry: Mapping[str, Any]) -> str:
    """A finished run below the original's, with scores and predictions; returns its id."""
    store = client()
    experiment, parent = experiment_id(store, params.registry.experiment), store.get_run(original.run_id)
    tags = source_tags() | {"mlflow.parentRunId": original.run_id, "mlflow.source.name": "python -m tasks.export"}
    run_id = store.create_run(experiment, run_name=f"{parent.info.run_name} {name}", tags=tags).info.run_id
    status = "FAILED"
    try:
        log_params(store, run_id, {"encoding.context": params.encoding.context, "export.format": name})
        for metric, value in metrics(entry).items():
            store.log_metric(run_id, metric, value)
        files = [root / PREDICTIONS / name / "predictions" / f"{split}.parquet" for split in SPLITS]
        with patience():
            upload(store, run_id, files, predictions_folder(original.tags["data_fingerprint"]))
            upload(store, run_id, [root / REPORT])
        status = "FINISHED"
    finally:
        store.set_terminated(run_id, status)
    return run_id


def metrics(entry: Mapping[str, Any]) -> dict[str, float]:
    """What the run of a format logs."""
    found = {"model_bytes": float(entry["bytes"])}
    for split in SPLITS:
        found |= {f"{split}_{name}": entry[split][name] for name in ("f1", "precision", "recall", "accuracy")}
        found[f"{split}_f1_difference"] = entry[split]["difference"]["difference"]
    return found


def origin_tags(original: Any, name: str, run_id: str) -> dict[str, str]:
    """What an exported version was made from; written once."""
    inherited = {key: value for key, value in original.tags.items() if key in INHERITED or key.startswith(LOCK)}
    return inherited | {"format": name, "mlflow_run_id": run_id}


def result_tags(entry: Mapping[str, Any], original: Any) -> dict[str, str]:
    """Tags that follow the report, also where the version is an old one."""
    tags = {"gate": summary(entry["gate"]), "exported_from": str(original.version)}
    for split in SPLITS:
        low, high = entry[split]["interval"]
        tags |= {f"{split}_f1": f"{entry[split]['f1']:.4f}", f"{split}_f1_interval": f"{low:.4f} to {high:.4f}"}
        tags[f"{split}_f1_difference"] = f"{entry[split]['difference']['difference']:+.4f}"
    if "temperature" in original.tags:
        tags["temperature"] = original.tags["temperature"]
    return tags


def failure(report: Mapping[str, Any]) -> str:
    """One sentence that names every format that failed, with its reasons."""
    told = [
        f"{name} ({'; '.join(rule['reason'] for rule in entry['gate']['rules'] if not rule['passed'])})"
        for name, entry in report["formats"].items()
        if not entry["gate"]["passed"]
    ]
    return f"the gate failed, so these formats are not registered: {', '.join(told)}."


def main() -> None:
    done = register_export(read_params(), Path())
    for name, version in done["versions"].items():
        print(f"{name}: {done['model']} version {version['version']}, alias {version['alias']}", flush=True)
    if done["failed"]:
        raise GateFailed(failure(read_json(REPORT)))
    if not done["versions"]:
        print("nothing was exported, so nothing is to be registered", flush=True)


if __name__ == "__main__":
    run_stage("register_export", main)
