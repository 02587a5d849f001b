"""Stage `register`: put the model that passed the gate into the MLflow registry as `challenger`, with card and trace.

Run     python -m tasks.register
        python -m tasks.register --check                     (0: the registry still has it, 5: it has lost it)
        python -m tasks.register --reproduce ner@challenger  (the commands that make that version again)
Reads   models/release, data/prepared/manifest.json, what else the card says (tasks.package), the reports that the run
        gets as artifacts (LOGGED, and those of stage analyse), dvc.lock, params.yaml
Writes  reports/card.md, reports/registration.json, mlflow/data/registered.json

One content makes one version, however often this runs. Nobody but a person sets `champion`.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ner.card import CardFacts, render, summary
from ner.card.text import between
from ner.errors import GateFailed
from ner.gate import summary as gate_summary
from ner.params import Params
from tasks.champion import find_champion, shown
from tasks.cli import run_stage
from tasks.io import read_json, read_params, write_json, write_text
from tasks.package import RELEASE, passed_gate, read_facts
from tasks.provenance import lock_hashes
from tasks.registry import (
    ALIAS,
    add_version,
    check_model_files,
    content_digest,
    describe,
    find_version,
    is_there,
)
from tasks.reproduce import recipe
from tasks.store import client, exists, patience, registry_errors, shown_uri, tracking_uri, upload
from tasks.tracking import log_analysis, log_evaluation, log_gate, sync

LOST = 5  # exit status of --check
REGISTRATION, MARKER = Path("reports/registration.json"), Path("mlflow/data/registered.json")
OWN_OUTPUTS = ("reports/card.md", "reports/registration.json", "mlflow/data/registered.json")
LOGGED = (
    "card.md", "conlleval.txt", "confusion.csv", "data_docs", "disagreements.json", "documents.csv", "gate.json",
    "history.csv", "label_issues.csv", "loss.csv", "metrics.json", "per_type.csv", "reliability.csv",
    "seeds.csv", "seeds.json", "slices.csv", "thresholds.csv", "training.json", "validation.json",
)  # fmt: skip


def register(params: Params, root: Path) -> dict[str, Any]:
    """Register models/release of the checkout `root`, write the card, and return what registration.json says.

    Raises GateFailed, ModelError or RegistryError.
    """
    reports, folder = root / "reports", root / RELEASE
    gate = passed_gate(root)
    check_model_files(folder)
    lock = {path: md5 for path, md5 in lock_hashes(root).items() if path not in OWN_OUTPUTS}
    facts = read_facts(root, params.registry.model, gate, lock)
    run_id = sync(facts.training, params.registry.experiment, facts.manifest)
    log_evaluation(run_id, facts.metrics, [])
    log_gate(run_id, gate, [])
    with registry_errors():
        content = content_digest(folder)
        version = find_version(params.registry.model, content)
        is_new = version is None
        if is_new:
            check_champion(params.registry.model, gate)
        version = version or add_version(params.registry.model, run_id, folder, content)
        registration = about(params, version, content, facts.training, is_new)
        facts = CardFacts(**{**vars(facts), "registration": registration})
        write_text(reports / "card.md", render(facts))
        tags = result_tags(facts) | (origin_tags(facts, run_id) if is_new else {})
        describe(version, summary(facts), tags)
        describe_model(params, facts)
        finish_run(run_id, version, reports)
        client().set_registered_model_alias(params.registry.model, ALIAS, version.version)
    write_registration(root, registration)
    return {**registration, "registered": is_new}


def check_champion(model: str, gate: Mapping[str, Any]) -> None:
    """Raise GateFailed where the champion is no longer the one that the gate compared this model with."""
    champion = find_champion(model)
    now = None if champion is None else shown(champion)
    if now != gate.get("champion"):
        raise GateFailed(
            f"the gate compared this model with {gate.get('champion') or 'no champion'}, and the champion is "
            f"{now or 'no version'} now: run `dvc repro --force --single-item gate`, then the same command again."
        )


def is_registered(root: Path = Path()) -> bool:
    """Whether the registry still has what reports/registration.json names. Raises RegistryError, as NerError."""
    path = root / REGISTRATION
    return path.exists() and exists() and is_there(read_json(path))


def about(params: Params, version: Any, content: str, training: Mapping[str, Any], is_new: bool) -> dict[str, Any]:
    """What registration.json holds; nothing in it says where on this machine the checkout lies."""
    uri = tracking_uri()
    group = client().get_run(version.run_id).info.experiment_id
    page = f"{shown_uri(uri).rstrip('/')}/#/experiments/{group}/runs/{version.run_id}"
    return {
        "model": params.registry.model,
        "version": int(version.version),
        "alias": ALIAS,
        "mlflow_run_id": version.run_id,
        "mlflow_run_url": page if uri.startswith("http") else None,
        "tracking_uri": shown_uri(uri),
        "content": content,
        "flow_run_id": training.get("flow_run_id"),
        "git_commit": training["git_commit"],
        "registered": is_new,
    }


def result_tags(facts: CardFacts) -> dict[str, str]:
    """Tags that follow the reports, also where the version is an old one."""
    tags = {"gate": gate_summary(facts.gate)}
    for split in ("validation", "test"):
        scores = facts.metrics[split]
        tags[f"{split}_f1"] = f"{scores['f1']:.4f}"
        if scores.get("interval"):
            tags[f"{split}_f1_interval"] = between(scores["interval"]["f1"])
    if facts.metrics.get("temperature") is not None:
        tags["temperature"] = f"{facts.metrics['temperature']:.4f}"
    return tags


def origin_tags(facts: CardFacts, run_id: str) -> dict[str, str]:
    """Tags that say what the version was made from; written once."""
    training = facts.training
    flat = json.dumps(training["params"], sort_keys=True)
    tags = {
        "format": "safetensors",
        "git_commit": training["git_commit"],
        "git_dirty": {True: "true", False: "false"}.get(training.get("git_dirty"), "unknown"),
        "data_fingerprint": facts.manifest["fingerprint"],
        "flow_run_id": training.get("flow_run_id") or "none",
        "mlflow_run_id": run_id,
        "params": flat,
        "params_digest": hashlib.sha256(flat.encode()).hexdigest()[:16],
        "encoder": f"{training['base'].get('name')} sha256 {training['base'].get('sha256')}",
    }
    return tags | {f"dvc_lock.{path}": md5 for path, md5 in facts.lock.items()}


def describe_model(params: Params, facts: CardFacts) -> None:
    """Say once what the registered model is; a description that somebody wrote stays."""
    store = client()
    if store.get_registered_model(params.registry.model).description:
        return
    store.update_registered_model(
        params.registry.model,
        "Named entities of a text: type, character offsets, score.\n\n"
        f"The pipeline sets the alias `{ALIAS}` on what passed its gate. To put a version into use, set the alias "
        f"`champion` on it; callers load `models:/{params.registry.model}@champion`.",
    )


def finish_run(run_id: str, version: Any, reports: Path) -> None:
    """Log the reports into the run and tag it with the version."""
    store = client()
    with patience():
        upload(store, run_id, [reports / name for name in LOGGED])
    log_analysis(run_id, reports)
    store.set_tag(run_id, "model_version", f"{version.name}/{version.version}")


def write_registration(root: Path, registration: dict[str, Any]) -> None:
    """Write the report and the marker; a report that says the same but for `registered` stays as it is."""
    path = root / REGISTRATION
    before = read_json(path) if path.exists() else {}
    if {**before, "registered": None} != {**registration, "registered": None}:
        write_json(path, registration)
    write_json(root / MARKER, {name: registration[name] for name in ("model", "version", "content")})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.register", description="Register models/release in MLflow.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--check", action="store_true", help="only ask whether the registry still has the version")
    choice.add_argument("--reproduce", metavar="MODEL@ALIAS", help="print the commands that make a version again")
    arguments = parser.parse_args()
    if arguments.reproduce:
        print(recipe(arguments.reproduce))
    elif arguments.check:
        raise SystemExit(0 if is_registered() else LOST)
    else:
        done = register(read_params(), Path())
        news = "registered" if done["registered"] else "already registered"
        print(f"{done['model']} version {done['version']} {news}, alias {done['alias']} ({done['tracking_uri']})")


if __name__ == "__main__":
    run_stage("register", main)
