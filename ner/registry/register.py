"""Puts the model that passed the gate into the MLflow registry as `challenger`, with card and trace.

register(params, Path())        # models/release of a checkout -> a model version and reports/registration.json

A model that failed its gate is not registered: registration.json says so, and its run in MLflow gets scores, verdict
and reports where MLflow can be had.
One content makes one version, however often this runs. Nobody but a person sets `champion`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ner.card import CardFacts, render, summary
from ner.card.markdown import between
from ner.common.files import read_json, write_json, write_text
from ner.common.place import git_refusal
from ner.common.provenance import LOCK, git_state, lock_hashes
from ner.common.stages import leading_to, read_stages, written
from ner.data.predictions import PRECISION as PRECISION_KEY
from ner.data.predictions import read_about
from ner.errors import GateFailed
from ner.evaluation.gate import SPLIT, failure
from ner.evaluation.gate import summary as gate_summary
from ner.params import Params, flatten
from ner.registry.champion import find_champion, shown
from ner.registry.registration import REGISTRATION
from ner.registry.release import GATE, RELEASE, read_facts
from ner.registry.reproduce import shaping_tag
from ner.registry.versions import (
    ALIAS,
    PRECISION,
    add_version,
    check_model_files,
    content_digest,
    describe,
    find_version,
)
from ner.tracking.determined import read_measured, training_record, write_registration
from ner.tracking.live_run import best_effort, warn
from ner.tracking.mlflow_store import (
    client,
    log_params,
    patience,
    registry_errors,
    shown_uri,
    source_tags,
    tracking_uri,
    upload,
)
from ner.tracking.runs import VERSION, has_version, log_analysis, log_evaluation, sync

DIRTY = {True: "true", False: "false", None: "unknown"}
NO_FLOW = "none"  # the tag flow_run_id of a version whose training no flow started
MARKER = Path("mlflow/data/registered.json")
LOGGED = (
    "card.md", "conlleval.txt", "confusion.csv", "data_docs", "documents.csv", "gate.json",
    "history.csv", "label_issues.csv", "loss.csv", "metrics.json", "per_type.csv", "reliability.csv",
    "seeds.csv", "seeds.json", "slices.csv", "thresholds.csv", "training.json", "validation.json",
)  # fmt: skip


def register(params: Params, root: Path) -> dict[str, Any]:
    """Register models/release of the checkout `root` and return what registration.json says.

    Raises GateFailed where the champion has changed since the gate, ModelError or RegistryError.
    """
    reports, folder = root / "reports", root / RELEASE
    gate = read_json(root / GATE)
    check_model_files(folder)
    facts = read_facts(root, params.registry.model, gate, lock_before(root))
    training = training_record(reports / "training.json")
    if not gate["passed"]:
        log_refused(training, params.registry.experiment, reports, facts)
        return decline(root, facts.model, gate)
    if refusal := git_refusal(root):
        warn(refusal)
    run_id = sync(training, params.registry.experiment, facts.manifest)
    with registry_errors():
        content = content_digest(folder)
        version = find_version(params.registry.model, content)
        is_new = version is None
        if is_new:
            check_champion(params.registry.model, gate)
            run_id = run_of_its_own(run_id, flatten(json.loads(shaping_tag(params, root))) | training["params"])
        else:
            run_id = version.run_id or run_id  # of the training that it was registered from
        log_evaluation(run_id, facts.metrics, gate)
        version = version or add_version(params.registry.model, run_id, folder, content)
        named = about(version, content, training)
        facts = replace(facts, measured=read_measured(training["key"]), registration=named)
        describe(version, summary(facts), result_tags(facts) | origin_tags(facts, run_id, params, root))
        describe_model(params, facts)
        log_reports(run_id, reports, render(facts), f"{version.name}/{version.version}")
        client().set_registered_model_alias(params.registry.model, ALIAS, version.version)
    registration = {"model": params.registry.model, "alias": ALIAS, "content": content}
    write_registration(reports, registration, named)
    write_json(root / MARKER, registration)
    return {**registration, **named, "is_new": is_new}


def lock_before(root: Path) -> dict[str, str]:
    """Return the md5 in dvc.lock of each output that this stage needs; what comes later there is of the run before."""
    stages = read_stages(root)
    needed = leading_to(str(REGISTRATION), stages) - {"register"}
    outs = {path for name in needed for path in written(stages[name])}
    return {path: md5 for path, md5 in lock_hashes(root).items() if path in outs}


def decline(root: Path, model: str, gate: Mapping[str, Any]) -> dict[str, Any]:
    """Write registration.json of a model that failed its gate; the registry is not touched."""
    registration = {"model": model, "reason": failure(gate)}
    write_registration(root / "reports", registration, {})
    write_json(root / MARKER, {"model": model})
    return {"version": None, **registration}


def check_champion(model: str, gate: Mapping[str, Any]) -> None:
    """Raise GateFailed where the champion is no longer the one that the gate compared this model with."""
    champion = find_champion(model)
    now = None if champion is None else shown(champion)
    if now != gate.get("champion"):
        raise GateFailed(
            f"the gate compared this model with {gate.get('champion') or 'no champion'}, and the champion is "
            f"{now or 'no version'} now: run `dvc repro --force --single-item gate`, then the same command again."
        )


def about(version: Any, content: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Return what registered.json holds; nothing in it says where on this machine the checkout lies."""
    uri, origin = tracking_uri(), {**training, **version.tags}  # a version keeps what it was made from
    group = client().get_run(version.run_id).info.experiment_id
    page = f"{shown_uri(uri).rstrip('/')}/#/experiments/{group}/runs/{version.run_id}"
    return {
        "content": content,
        "version": int(version.version),
        "mlflow_run_id": version.run_id,
        "mlflow_run_url": page if uri.startswith("http") else None,
        "tracking_uri": shown_uri(uri),
        "flow_run_id": None if origin.get("flow_run_id") == NO_FLOW else origin.get("flow_run_id"),
        "git_commit": origin.get("git_commit"),
    }


def run_of_its_own(run_id: str, params: Mapping[str, Any]) -> str:
    """Return the training's run or, where another version comes from it already, a new run below it; returns its id.

    One training gives two versions where it is read in another way (prediction.overlap), or by other code. params:
    flat, of the new version.
    """
    store = client()
    run = store.get_run(run_id)
    if not has_version(run):
        return run_id
    tags = source_tags() | {"mlflow.parentRunId": run_id, "mlflow.source.name": "python -m tasks.register"}
    name = f"{run.info.run_name}, evaluated anew"
    own = store.create_run(run.info.experiment_id, run_name=name, tags=tags).info.run_id
    log_params(store, own, params)
    store.set_terminated(own, "FINISHED")
    return own


def result_tags(facts: CardFacts) -> dict[str, str]:
    """Return tags that say how good the version is."""
    tags = {"gate": gate_summary(facts.gate)}
    for split in ("validation", "test"):
        scores = facts.metrics[split]
        tags[f"{split}_f1"] = f"{scores['f1']:.4f}"
        if scores.get("interval"):
            tags[f"{split}_f1_interval"] = between(scores["interval"]["f1"])
    if facts.metrics.get("temperature") is not None:
        tags["temperature"] = f"{facts.metrics['temperature']:.4f}"
    return tags


def origin_tags(facts: CardFacts, run_id: str, params: Params, root: Path) -> dict[str, str]:
    """Return tags that say what the version was made from. git_*: at the training; release_*: at the registration."""
    training, measured, (commit, dirty) = facts.training, facts.measured, git_state(root)
    shapes = shaping_tag(params, root)
    return {
        "format": "safetensors",
        "git_commit": measured.get("git_commit", "unknown"),
        "git_dirty": DIRTY[measured.get("git_dirty")],
        "release_commit": commit,
        "release_dirty": DIRTY[dirty],
        "data_fingerprint": facts.manifest["fingerprint"],
        "flow_run_id": measured.get("flow_run_id") or NO_FLOW,
        "mlflow_run_id": run_id,
        "params": shapes,
        "params_digest": hashlib.sha256(shapes.encode()).hexdigest()[:16],
        "encoder": f"{training['base'].get('name')} sha256 {training['base'].get('sha256')}",
        LOCK: json.dumps(dict(facts.lock), sort_keys=True),
    } | judged_in(root / "reports/predictions")


def judged_in(predictions: Path) -> dict[str, str]:
    """Return the tag that says in which precision the predictions were made; none where nobody noted it."""
    stored = (predictions / f"{SPLIT}.parquet").is_file()
    precision = read_about(predictions, SPLIT)[PRECISION_KEY] if stored else None
    return {PRECISION: precision} if precision else {}


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


@best_effort("What MLflow lacks of this model is sent when the stage runs again.")
def log_refused(training: Mapping[str, Any], experiment: str, reports: Path, facts: CardFacts) -> None:
    """Log scores, verdict and reports of a model that failed its gate into the run of its training."""
    run_id = sync(training, experiment, facts.manifest)
    log_evaluation(run_id, facts.metrics, facts.gate)
    with registry_errors():
        log_reports(run_id, reports, render(facts))


def log_reports(run_id: str, reports: Path, card: str, version: str | None = None) -> None:
    """Log the reports into the run, with this card in place of the one in git, and tag it with the version, once."""
    store = client()
    if has_version(store.get_run(run_id)):
        return
    with patience(), TemporaryDirectory() as folder:
        upload(store, run_id, [reports / name for name in LOGGED])
        write_text(Path(folder) / "card.md", card)
        upload(store, run_id, [Path(folder) / "card.md"])
    log_analysis(run_id, reports)
    if version:
        store.set_tag(run_id, VERSION, version)
