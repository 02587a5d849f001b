"""Whether the texts that a version reads are like those that it was validated on; when that calls for a training.

Run     python -m tasks.monitor                        (the champion's next window; make monitor)
        python -m tasks.monitor --model ner/3 --last 1000, or --since 2026-01-31   (a look, which counts for no rule)
Reads   .ner/monitor (or NER_MONITOR_FOLDER), the version's reference.json, params.yaml [monitor, registry]; for the
        rule the labelled data and data/prepared
Writes  reports/monitor: report.md, drift.json, distances.png, distributions.png; the same as an MLflow run in the
        experiment <registry.experiment>-monitor

A window is the last monitor.window texts, all read after the window before: until there are so many, nothing happens.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from ner.drift import DriftSettings, compare, is_drift, sentence
from ner.drift_observation import REFERENCE
from ner.drift_sample import Sample, nearer_unit
from ner.errors import BusyError, NerError
from ner.params import MonitorParams, Params
from tasks.champion import shown
from tasks.cli import run_stage
from tasks.io import read_json, read_params, replacing_folder, write_json, write_text
from tasks.monitor_figures import DISTANCES, distributions
from tasks.monitor_report import markdown
from tasks.monitor_rule import decide
from tasks.monitor_store import folder as store_folder
from tasks.monitor_store import read_rows
from tasks.provenance import flow_run_id
from tasks.registry import fetch_file, resolve
from tasks.store import client, experiment_id, home, patience, registry_errors, upload

FOLDER, PREPARED = Path("reports/monitor"), Path("data/prepared")
LEAST = 20  # texts, of a look at what there is
MANY = 1000  # windows that the history is read from


def monitor(params: Params, reference: str, last: int | None, since: str | None) -> dict[str, Any]:
    """Look at a version's texts; returns what the flow shows, with `drift` None where there were too few.

    last, since: a look at those texts instead of the next window. Raises NerError and RegistryError.
    """
    version = resolve(reference)
    name, is_look = f"{version.name}/{version.version}", bool(last or since)
    before = [] if is_look else history(params, name)
    after = before[-1]["last"] if before else None
    rows = read_rows(store_folder(), name, last or (None if since else params.monitor.window), since, after)
    need = LEAST if is_look else params.monitor.window
    if len(rows) < need:
        since_when = f" since the window that ended {after}" if after else ""
        told = f"{shown(version)}: {len(rows):,} texts were kept{since_when}, {need:,} are needed: nothing is compared."
        return {"sentence": told, "drift": None, "rule": {"retrain": False}}
    found, drawings = look(shown(version), rows, reference_of(version), params.monitor)
    drifts = [*(one["drift"] for one in before), found["drift"]]
    trained_on = version.tags.get("data_fingerprint")
    no_rule = {"retrain": False, "sentence": "not asked, this is a look"}
    found["rule"] = no_rule if is_look else decide(params.monitor, drifts, trained_on, PREPARED)
    write(found, drawings)
    run_id = log(params, name, found, counts=not is_look)
    return {**found, "markdown": markdown(found), "mlflow_run_id": run_id}


def look(
    version: str, rows: Sequence[dict[str, Any]], reference: dict[str, Any], params: MonitorParams
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What drift.json holds, but for the rule, and the pictures. rows: what was kept of each text, oldest first."""
    types = reference["entity_types"]
    units = {unit: Sample.of(columns, types) for unit, columns in reference["units"].items()}
    keys = ("tokens", "scores", "types", "subwords", "letters", "unseen", "capitals", "unsure", "confidence")
    window = Sample.of({key: [row[key] for row in rows] for key in keys}, types)
    if not len(window):
        raise NerError(
            f"none of the {len(rows):,} texts that {version} has read last holds a word: look at the caller."
        )
    unit = nearer_unit(units, window)
    moves = compare(units[unit], window, settings(params))
    drift = is_drift(moves)
    first, last = rows[0]["time"], rows[-1]["time"]
    told = f"{version}, {len(rows):,} texts to {last[:16]}: {'drift' if drift else 'no drift'}: {sentence(moves)}"
    found = {
        "sentence": told,
        "version": version,
        "drift": drift,
        "unit": unit,
        "reference_texts": len(units[unit]),
        "reference_tokens_a_text": float(_median(units[unit])),
        "window": {
            "texts": len(rows),
            "tokens": int(window.tokens.sum()),
            "tokens_a_text": float(_median(window)),
            "first": first,
            "last": last,
        },
        "moves": [asdict(move) for move in moves],
        "params": params.model_dump(exclude={"keep", "max_mb", "labelled"}),
    }
    drawings = {"distances": DISTANCES, "distributions": distributions(units[unit], window, params.block_tokens)}
    return found, drawings


def settings(params: MonitorParams) -> DriftSettings:
    """What the comparison takes of the block."""
    return DriftSettings(**{field.name: getattr(params, field.name) for field in fields(DriftSettings)})


def reference_of(version: Any) -> dict[str, Any]:
    """reference.json of a version. Raises NerError where it was registered without."""
    with tempfile.TemporaryDirectory() as scratch:
        path = fetch_file(version, REFERENCE, Path(scratch))
        if path is None:
            raise NerError(f"{shown(version)} was registered without {REFERENCE}: register it anew with `make train`.")
        return read_json(path)


def write(found: dict[str, Any], drawings: dict[str, Any]) -> None:
    """Write all in place of reports/monitor."""
    from tasks.figures import write_figures

    with replacing_folder(FOLDER) as temporary:
        for picture in write_figures(temporary / "figures", found, {}, drawings):
            picture.replace(temporary / picture.name)
        (temporary / "figures").rmdir()
        write_json(temporary / "drift.json", found)
        write_text(temporary / "report.md", markdown(found))


def history(params: Params, name: str) -> list[dict[str, Any]]:
    """The windows of a version, oldest first: whether each had drift, and the time of its last text."""
    with registry_errors():
        store = client()
        group = experiment_id(store, experiment(params))
        query = f"tags.`ner.version` = '{name}' and tags.`ner.counts` = 'true' and attributes.status = 'FINISHED'"
        runs = store.search_runs([group], query, max_results=MANY, order_by=["attributes.start_time DESC"])
    told = [{"drift": run.data.tags["ner.drift"] == "true", "last": run.data.tags["ner.last"]} for run in runs]
    return sorted(told, key=lambda one: one["last"])


def log(params: Params, name: str, found: dict[str, Any], counts: bool) -> str:
    """Log a look as an MLflow run; it counts for the rule once it is finished. Returns its id. Raises RegistryError."""
    place = {"ner.stage": "monitor", "ner.version": name, "flow_run_id": flow_run_id() or "none"}
    tags = {
        "ner.drift": str(found["drift"]).lower(),
        "ner.counts": str(counts).lower(),
        "ner.last": found["window"]["last"],
    }
    tags["mlflow.note.content"] = markdown(found)
    with registry_errors(), patience():
        store = client()
        run = store.create_run(experiment_id(store, experiment(params)), run_name=f"monitor {name}", tags=place | tags)
        run_id = run.info.run_id
        store.log_metric(run_id, "drift", float(found["drift"]))
        for move in found["moves"]:
            for key in ("distance", "allowed"):
                store.log_metric(run_id, f"{key}/{move['name'].replace(' ', '_')}", move[key])
        upload(store, run_id, sorted(FOLDER.iterdir()), "monitor")
        store.set_terminated(run_id, "FINISHED")
    return run_id


def experiment(params: Params) -> str:
    """The MLflow experiment of the looks, apart from that of the trainings."""
    return f"{params.registry.experiment}-monitor"


def _median(sample: Sample) -> Any:
    return np.median(sample.tokens)


def main() -> None:
    params = read_params()
    parser = argparse.ArgumentParser(prog="python -m tasks.monitor", description="Are the texts like validation?")
    parser.add_argument("--model", default=f"{params.registry.model}@champion", help="ner@champion (default) or ner/3")
    parser.add_argument("--last", type=int, help="look at so many of the newest texts instead of the next window")
    parser.add_argument("--since", metavar="TIME", help="look at the texts from that time on (ISO 8601, UTC)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write what the flow shows as JSON")
    arguments = parser.parse_args()
    with only_look():
        told = monitor(params, arguments.model, arguments.last, arguments.since)
    if arguments.report:
        write_json(arguments.report, told)
    rule = told["rule"].get("sentence")
    print("\n".join([told["sentence"], *([f"retraining: {rule}"] if rule else [])]), flush=True)


@contextmanager
def only_look() -> Iterator[None]:
    """Raises BusyError where another process looks in this checkout: two would count one window twice."""
    path = home() / ".ner" / "monitor.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError("another `make monitor` is at work in this checkout: wait until it ends.") from None
    try:
        yield
    finally:
        lock.release()


if __name__ == "__main__":
    run_stage("monitor", main)
