"""Makes the exported formats that passed their gate versions of the registered model.

register_export(params, Path())        # models/export of a checkout -> versions with the alias challenger-<format>

Each has an MLflow run of its own below that of the original, with its own predictions.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ner.common.files import read_json, write_json
from ner.common.provenance import LOCK, locked_by
from ner.errors import NerError
from ner.evaluation.gate import SPLITS, summary
from ner.export.run import EXPORTS, PREDICTIONS, REPORT, source_digest
from ner.params import Params
from ner.registry.release import RELEASE
from ner.registry.reproduce import shaping_tag
from ner.registry.versions import ALIAS, CARD, add_version, check_model_files, content_digest, describe, find_version
from ner.tracking.mlflow_store import (
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
INHERITED = ("git_commit", "git_dirty", "release_commit", "release_dirty", "data_fingerprint", "flow_run_id", "encoder")


def register_export(params: Params, root: Path) -> dict[str, Any]:
    """Register what passed; returns the versions by format, and which formats failed.

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
    contents = {name: version["content"] for name, version in versions.items()}
    write_json(root / REGISTRATION, {"model": params.registry.model, "contents": contents, "failed": failed})
    write_json(root / MARKER, contents)
    return {"model": params.registry.model, "versions": versions, "failed": failed}


def find_original(root: Path, report: Mapping[str, Any]) -> Any:
    """Return the registered version that was exported. Raises NerError where the files are not those of the export."""
    registration, release = read_json(root / "reports" / "registration.json"), root / RELEASE
    if report["source"] != source_digest(release):
        raise NerError("models/export was made of another release than models/release: run `dvc repro export`.")
    with registry_errors():
        original = find_version(registration["model"], content_digest(release))
    if original is None:
        raise NerError(f"no version of {registration['model']} is models/release: run `dvc repro register` first.")
    return original


def register_format(params: Params, root: Path, original: Any, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Register one version for one content, with its tags and its alias; returns its entry in the report."""
    folder = root / EXPORTS / name
    check_model_files(folder)
    content = content_digest(folder)
    version = find_version(original.name, content)
    if version is None:
        version = add_version(original.name, make_run(params, root, original, name, entry), folder, content)
    tags = result_tags(entry, original) | origin_tags(original, name, version.run_id, params, root)
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
    """Make a finished run below the original's, with scores and predictions; returns its id."""
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
    """Return what the run of a format logs."""
    values = {"model_bytes": float(entry["bytes"])}
    for split in SPLITS:
        values |= {f"{split}_{name}": entry[split][name] for name in ("f1", "precision", "recall", "accuracy")}
        values[f"{split}_f1_difference"] = entry[split]["difference"]["difference"]
    return values


def origin_tags(original: Any, name: str, run_id: str, params: Params, root: Path) -> dict[str, str]:
    """Return what an exported version was made from."""
    inherited = {key: value for key, value in original.tags.items() if key in INHERITED}
    own = {"format": name, "mlflow_run_id": run_id, "params": shaping_tag(params, root, str(EXPORTS))}
    return inherited | own | {LOCK: json.dumps(locked_by(original.tags), sort_keys=True)}


def result_tags(entry: Mapping[str, Any], original: Any) -> dict[str, str]:
    """Return tags that say how good the version is."""
    tags = {"gate": summary(entry["gate"]), "exported_from": str(original.version)}
    for split in SPLITS:
        low, high = entry[split]["interval"]
        tags |= {f"{split}_f1": f"{entry[split]['f1']:.4f}", f"{split}_f1_interval": f"{low:.4f} to {high:.4f}"}
        tags[f"{split}_f1_difference"] = f"{entry[split]['difference']['difference']:+.4f}"
    if "temperature" in original.tags:
        tags["temperature"] = original.tags["temperature"]
    return tags
