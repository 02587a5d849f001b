"""Detect drift: compare the texts that a version reads with its validation split, and decide on retraining.

Run     ner monitor                             (the champion's next window)
        ner monitor --model ner/3 --last 1000   (or --since 2026-01-31: a look, which counts for no rule)
Reads   .ner/monitor (or NER_MONITOR_FOLDER), the version's reference.json, params.yaml [monitor, registry]; for the
        rule the labelled data and data/prepared
Writes  reports/monitor: report.md, drift.json; the same as an MLflow run in experiment <registry.experiment>-monitor

A window is the last monitor.window texts, all read after the window before: until there are so many, nothing happens.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ner.common.escaping import in_markdown
from ner.common.files import read_json, read_params, replacing_folder, write_json, write_text
from ner.common.lock import STATE, lock_file
from ner.common.provenance import flow_run_id
from ner.common.tables import markdown_table
from ner.errors import NerError
from ner.inference.observation import REFERENCE
from ner.monitoring.drift.sample import Sample, nearer_unit
from ner.monitoring.drift.statistics import Move, compare, is_drift, mean_of, sentence
from ner.monitoring.retraining import decide
from ner.monitoring.store import folder as store_folder
from ner.monitoring.store import read_rows
from ner.params import MonitorParams, Params
from ner.registry.champion import shown
from ner.registry.versions import fetch_file, resolve
from ner.tracking.mlflow_store import client, experiment_id, home, patience, registry_errors, upload

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
        reason = (
            f"{shown(version)}: {len(rows):,} texts were kept{since_when}, {need:,} are needed: nothing is compared."
        )
        return {"sentence": reason, "drift": None, "rule": {"retrain": False}}
    report = look(shown(version), rows, reference_of(version), params.monitor)
    drifts = [*(window["drift"] for window in before), report["drift"]]
    trained_on = version.tags.get("data_fingerprint")
    no_rule = {"retrain": False, "sentence": "not decided, since these texts are not the next window"}
    report["rule"] = no_rule if is_look else decide(params.monitor, drifts, trained_on, PREPARED)
    write(report)
    run_id = log(params, name, report, counts=not is_look)
    return {**report, "markdown": markdown(report), "mlflow_run_id": run_id}


def look(
    version: str, rows: Sequence[dict[str, Any]], reference: dict[str, Any], params: MonitorParams
) -> dict[str, Any]:
    """Return drift.json without the rule's decision. rows: kept of each text, oldest first."""
    types = reference["entity_types"]
    units = {unit: Sample.of(columns, types) for unit, columns in reference["units"].items()}
    keys = ("tokens", "scores", "types", "subwords", "letters", "unseen", "capitals", "unsure", "confidence")
    window = Sample.of({key: [row[key] for row in rows] for key in keys}, types)
    if not len(window):
        raise NerError(
            f"none of the {len(rows):,} texts that {version} has read last holds a word: check what the caller sends."
        )
    unit = nearer_unit(units, window)
    moves = compare(units[unit], window, params)
    drift = is_drift(moves)
    first, last = rows[0]["time"], rows[-1]["time"]
    line = f"{version}, {len(rows):,} texts to {last[:16]}: {'drift' if drift else 'no drift'}: {sentence(moves)}"
    return {
        "sentence": line,
        "version": version,
        "drift": drift,
        "unit": unit,
        "reference_texts": len(units[unit]),
        "reference_tokens_a_text": float(np.median(units[unit].tokens)),
        "window": {
            "texts": len(rows),
            "tokens": int(window.tokens.sum()),
            "tokens_a_text": float(np.median(window.tokens)),
            "first": first,
            "last": last,
        },
        "moves": [asdict(move) for move in moves],
        "params": params.model_dump(exclude={"keep", "max_mb", "labelled"}),
    }


def reference_of(version: Any) -> dict[str, Any]:
    """Return reference.json of a version. Raises NerError where it was registered without."""
    with tempfile.TemporaryDirectory() as scratch:
        path = fetch_file(version, REFERENCE, Path(scratch))
        if path is None:
            raise NerError(f"{shown(version)} was registered without {REFERENCE}: register it anew with `make train`.")
        return read_json(path)


def write(report: dict[str, Any]) -> None:
    """Write all in place of reports/monitor."""
    with replacing_folder(FOLDER) as temporary:
        write_json(temporary / "drift.json", report)
        write_text(temporary / "report.md", markdown(report))


def markdown(report: Mapping[str, Any]) -> str:
    """Return the report page of a comparison. report: that of drift.json."""
    about = report["window"]
    lines = [
        f"# {in_markdown(report['sentence'])}",
        "",
        f"- version: {in_markdown(report['version'])}",
        f"- window: {about['texts']:,} texts of {about['tokens']:,} tokens, {about['first']} to {about['last']}",
        f"- reference: validation of that version, read as {report['unit']}s ({report['reference_texts']:,} texts)",
        f"- tokens a text: {about['tokens_a_text']:.0f} in the median, {report['reference_tokens_a_text']:.0f} in the "
        "reference (not tested: callers cut texts as they like)",
        f"- retraining: {in_markdown(report['rule']['sentence'])}",
        "",
        markdown_table(
            ["value", "reference", "window", "distance", "allowed", "p", ""],
            [_cells(Move(**row)) for row in report["moves"]],
        ),
        "",
        "A value has drifted where its distance is over the limit (by chance, or too little to matter) and p, "
        "corrected for all values, under the share of false alarms that is allowed.",
    ]
    return "\n".join(lines) + "\n"


def _cells(move: Move) -> list[str]:
    texts = [move.name, mean_of(move, move.reference), mean_of(move, move.window)]
    numbers = [f"{move.distance:.3f}", f"{move.allowed:.3f}", f"{move.p:.1e}"]
    return [*map(in_markdown, texts), *numbers, "**drifted**" if move.moved else ""]


def history(params: Params, name: str) -> list[dict[str, Any]]:
    """Return the windows of a version, oldest first: whether each had drift, and the time of its last text."""
    with registry_errors():
        store = client()
        group = experiment_id(store, experiment(params))
        query = f"tags.`ner.version` = '{name}' and tags.`ner.counts` = 'true' and attributes.status = 'FINISHED'"
        runs = store.search_runs([group], query, max_results=MANY, order_by=["attributes.start_time DESC"])
    windows = [{"drift": run.data.tags["ner.drift"] == "true", "last": run.data.tags["ner.last"]} for run in runs]
    return sorted(windows, key=lambda window: window["last"])


def log(params: Params, name: str, report: dict[str, Any], counts: bool) -> str:
    """Log a look as an MLflow run; it counts for the rule once it is finished. Returns its id. Raises RegistryError."""
    place = {"ner.stage": "monitor", "ner.version": name, "flow_run_id": flow_run_id() or "none"}
    tags = {
        "ner.drift": str(report["drift"]).lower(),
        "ner.counts": str(counts).lower(),
        "ner.last": report["window"]["last"],
    }
    tags["mlflow.note.content"] = markdown(report)
    with registry_errors(), patience():
        store = client()
        run = store.create_run(experiment_id(store, experiment(params)), run_name=f"monitor {name}", tags=place | tags)
        run_id = run.info.run_id
        store.log_metric(run_id, "drift", float(report["drift"]))
        for move in report["moves"]:
            for key in ("distance", "allowed"):
                store.log_metric(run_id, f"{key}/{move['name'].replace(' ', '_')}", move[key])
        upload(store, run_id, sorted(FOLDER.iterdir()), "monitor")
        store.set_terminated(run_id, "FINISHED")
    return run_id


def experiment(params: Params) -> str:
    """Return the MLflow experiment of the looks, apart from that of the trainings."""
    return f"{params.registry.experiment}-monitor"


def main(
    model: Annotated[str | None, typer.Option(help="ner@champion (default) or ner/3.")] = None,
    last: Annotated[int | None, typer.Option(help="Compare the newest so many texts, not the next window.")] = None,
    since: Annotated[str | None, typer.Option(help="Compare the texts from that time on (ISO 8601, UTC).")] = None,
    report: Annotated[Path | None, typer.Option(help="Also write the result as JSON.")] = None,
) -> None:
    """Compare a version's texts with its reference, and print the result."""
    params = read_params()
    busy = "another `ner monitor` is at work in this checkout: wait until it ends."
    with lock_file(home() / STATE / "monitor.lock", busy):  # two at once would count one window twice
        result = monitor(params, model or f"{params.registry.model}@champion", last, since)
    if report:
        write_json(report, result)
    rule = result["rule"].get("sentence")
    print("\n".join([result["sentence"], *([f"retraining: {rule}"] if rule else [])]), flush=True)
