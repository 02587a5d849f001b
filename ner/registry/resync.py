"""Send MLflow what runs of this checkout could not send while it was unreachable; repeating it changes nothing.

Run     ner resync
Reads   reports/, dvc.lock, params.yaml; the reports that runs with other parameters left in .ner/runs; the trainings of
        stage seeds in checkpoints/seeds; and for a model that passed its gate what stage register reads
Writes  into MLflow: each training's run with parameters, curves, scores, verdict and reports; the registered version

The next run of the pipeline does the same for its own model, in stage register; this is for those who will not wait,
and for models that failed their gate, which that stage does not send.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ner.common.files import read_json, read_params
from ner.registry.register import LOGGED, register
from ner.registry.registration import is_registered
from ner.tracking.determined import training_key, training_record
from ner.tracking.mlflow_store import client, patience, registry_errors, shown_uri, tracking_uri, upload
from ner.tracking.runs import has_version, log_analysis, log_evaluation, log_gate, log_seed, sync

RUNS, SEEDS, MANIFEST = Path(".ner/runs"), Path("checkpoints/seeds"), Path("data/prepared/manifest.json")
DONE = ("ran", "cached")  # how a stage ended in run.json
UP_TO_SCORES, UP_TO_GATE = ("train", "predict", "evaluate"), ("train", "predict", "evaluate", "gate")
UP_TO_RELEASE = (*UP_TO_GATE, "package")


@dataclass(frozen=True)
class Left:
    """The reports of one training, and which of them are about it: a run may have ended before it wrote the others."""

    reports: Path
    has_scores: bool
    has_verdict: bool


def resync(root: Path) -> list[str]:
    """Send what MLflow lacks; return a line for each training. Raises RegistryError where it cannot be reached."""
    with registry_errors():
        client().search_experiments(max_results=1)  # fails within seconds; what follows may take its time
    lines = [tell(left, root) for left in unlike(lefts(root))]
    lines += [tell_seed(folder, root) for folder in sorted((root / SEEDS).glob("*/result.json"))]
    return [*lines, *registration(root)]


def lefts(root: Path) -> Iterator[Left]:
    """Yield the checkout's own reports, then those kept of runs with other parameters, newest first."""
    if (root / "reports" / "training.json").exists():
        stages = locked(root)
        verdict = is_in_step(stages, UP_TO_GATE) and (root / "reports" / "gate.json").exists()
        yield Left(root / "reports", is_in_step(stages, UP_TO_SCORES), verdict)
    records = sorted((root / RUNS).glob("*/run.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in records:
        outcomes = {name: outcome["how"] for name, outcome in read_json(path)["outcomes"].items()}
        reports = path.parent / "reports"
        if outcomes.get("train") in DONE and (reports / "training.json").exists():
            scores = all(outcomes.get(name) in DONE for name in UP_TO_SCORES)
            yield Left(reports, scores, scores and outcomes.get("gate") in DONE)


def locked(root: Path) -> dict[str, Any]:
    """Return the stages of dvc.lock, none where there is no such file."""
    lock = root / "dvc.lock"
    return (yaml.safe_load(lock.read_text(encoding="utf-8")) or {}).get("stages", {}) if lock.exists() else {}


def unlike(all_left: Iterator[Left]) -> list[Left]:
    """Return each training once, with its most complete reports."""
    by_key: dict[str, Left] = {}
    for left in all_left:
        key = training_key(left.reports / "training.json")
        known = by_key.get(key)
        if known is None or (left.has_scores, left.has_verdict) > (known.has_scores, known.has_verdict):
            by_key[key] = left
    return list(by_key.values())


def is_in_step(stages: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    """Return whether dvc.lock has these stages and each read what the ones before it wrote last."""
    written: dict[str, str] = {}
    for name in names:
        if name not in stages:
            return False
        read = {dep["path"]: dep.get("md5") for dep in stages[name].get("deps", [])}
        if any(read[path] != md5 for path, md5 in written.items() if path in read):
            return False
        written |= {out["path"]: out["md5"] for out in stages[name].get("outs", [])}
    return True


def tell(left: Left, root: Path) -> str:
    """Bring one training's run up to date and return a line that says what it now has. Raises RegistryError."""
    training = training_record(left.reports / "training.json")
    run_id = sync(training, _experiment(training, root), manifest_of(training, root))
    when = training["started"][:19] if "started" in training else "elsewhere"
    has = ["parameters", "curves"]
    with registry_errors():
        if has_version(client().get_run(run_id)):
            return f"run {run_id}, trained {when}: it says what was registered"
    if left.has_scores:
        log_evaluation(run_id, read_json(left.reports / "metrics.json"), [])
        has.append("scores")
    if left.has_verdict:
        log_gate(run_id, read_json(left.reports / "gate.json"), [])
        has.append("verdict")
        with registry_errors(), patience():
            upload(client(), run_id, [left.reports / name for name in LOGGED])
        if (left.reports / "figures").is_dir():
            log_analysis(run_id, left.reports)
        has.append("reports")
    return f"run {run_id}, trained {when}: {', '.join(has)} are in MLflow"


def tell_seed(result: Path, root: Path) -> str:
    """Bring the run of a training of stage seeds up to date."""
    training = training_record(result.parent / "reports" / "training.json")
    run_id = log_seed(training, _experiment(training, root), read_json(result))
    return f"run {run_id}, seed {training['params'].get('train.seed')}: curves and scores are in MLflow"


def manifest_of(training: Mapping[str, Any], root: Path) -> dict[str, Any] | None:
    """Return the manifest of data/prepared, where it is of the data that the training had."""
    path = root / MANIFEST
    manifest = read_json(path) if path.exists() else {}
    return manifest if manifest.get("fingerprint") == training.get("data", {}).get("fingerprint") else None


def registration(root: Path) -> list[str]:
    """Register the checkout's release, if it passed its gate and the registry lacks it. Raises as `register` does."""
    gate = root / "reports" / "gate.json"
    if not (gate.exists() and read_json(gate)["passed"] and is_in_step(locked(root), UP_TO_RELEASE)):
        return []  # none that passed, or the release is of an older training than the reports
    if is_registered(root):
        return ["the registry has this checkout's model"]
    done = register(read_params(root / "params.yaml"), root)
    return [f"{done['model']} version {done['version']} is registered, alias {done['alias']}"]


def _experiment(training: Mapping[str, Any], root: Path) -> str:
    return training.get("experiment") or read_params(root / "params.yaml").registry.experiment


def main() -> None:
    """Send what MLflow lacks, and print what that was."""
    lines = resync(Path())
    for line in lines or ["no training was done here: there is nothing to send"]:
        print(line)
    print(f"MLflow at {shown_uri(tracking_uri())} has all of it")
