"""The result of a sweep: sweep.json, its proposal in words, and the proposal written into params.yaml."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ner.common.files import write_text
from ner.common.tables import plain_table
from ner.errors import NerError, ParamsError
from ner.params import Params, override, read_blocks

NOTHING = "nothing to change: the values of params.yaml are the best that were tried"


def sweep_report(study: Any, params: Params, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return reports/sweep.json; `best` is None where no trial finished."""
    from ner.search.sweep_study import ended, present_values

    trials = [_trial(trial) for trial in ended(study)]
    present = present_values(params)
    complete = [trial for trial in trials if trial["state"] == "complete"]
    best = max(complete, key=lambda trial: trial["f1"], default=None)
    own = next((trial for trial in complete if trial["values"] == present), None)
    counts = {state: sum(t["state"] == state for t in trials) for state in ("complete", "pruned", "failed")}
    return {
        "study": study.study_name,
        "source": manifest["source"],
        "fingerprint": manifest["fingerprint"],
        "train_documents": params.sweep.train_documents,
        "validation_documents": params.sweep.validation_documents,
        "counts": counts,
        "present": {"values": present, "f1": own["f1"] if own else None},
        "best": {name: best[name] for name in ("number", "f1", "values", "mlflow_run_id")} if best else None,
        "proposed": _changes(present, best["values"]) if best else {},
        "by_seed": _spread(complete),
        "mlflow_run_id": study.user_attrs.get("mlflow_run_id"),
        "trials": trials,
    }


def _trial(trial: Any) -> dict[str, Any]:
    end = trial.user_attrs["outcome"]
    return {
        "number": trial.number,
        "state": end["state"],
        "f1": end["f1"],
        "epochs": {str(epoch): f1 for epoch, f1 in sorted(trial.intermediate_values.items())},
        "values": trial.user_attrs["values"],
        "same_as": trial.user_attrs.get("same_as"),
        "seconds": end["seconds"],
        "reason": end["reason"],
        "mlflow_run_id": end["mlflow_run_id"],
    }


def _changes(present: dict[str, dict], wanted: dict[str, dict]) -> dict[str, dict]:
    changed = {b: {k: v for k, v in keys.items() if v != present[b][k]} for b, keys in wanted.items()}
    return {block: keys for block, keys in changed.items() if keys}


def _spread(trials: list[dict[str, Any]]) -> dict[str, float]:
    """Return the largest difference in F1 between trials that differ in train.seed alone; empty where none do."""
    groups: dict[str, list[float]] = {}
    for trial in trials:
        rest = {
            b: {k: v for k, v in keys.items() if (b, k) != ("train", "seed")} for b, keys in trial["values"].items()
        }
        groups.setdefault(str(rest), []).append(trial["f1"])
    spreads = [max(f1) - min(f1) for f1 in groups.values() if len(f1) > 1]
    return {"largest_difference": max(spreads), "groups": len(spreads)} if spreads else {}


def diff(report: dict[str, Any]) -> str:
    """Return the trials, best first, and what is proposed for params.yaml."""
    best, present = report["best"], report["present"]
    order = sorted(report["trials"], key=lambda t: (t["state"] != "complete", -(t["f1"] or 0)))
    names = [f"{block}.{key}" for block, keys in present["values"].items() for key in keys]
    rows = [["trial", "end", "F1", *(name.partition(".")[2] for name in names)]]
    for trial in order:
        values = [number(trial["values"][name.partition(".")[0]][name.partition(".")[2]]) for name in names]
        rows.append(
            [str(trial["number"]), trial["state"], f"{trial['f1']:.4f}" if trial["f1"] is not None else "-", *values]
        )
    against = (
        f"against {present['f1']:.4f} of the present values"
        if present["f1"] is not None
        else ("the present values were not tried, since sweep.space does not hold them")
    )
    lines = [plain_table(rows), f"best: trial {best['number']}, validation F1 {best['f1']:.4f}, {against}"]
    changes = [
        f"  {block}.{key}: {number(present['values'][block][key])} -> {number(value)}"
        for block, keys in report["proposed"].items()
        for key, value in keys.items()
    ]
    lines += ["proposed for params.yaml (ner sweep --apply):", *changes] if changes else [NOTHING]
    if report["by_seed"]:
        lines.append(
            f"seeds alone made a difference of up to {report['by_seed']['largest_difference']:.4f}: "
            "a smaller gain means nothing"
        )
    return "\n".join(lines)


def number(value: Any) -> str:
    """Return a number as every YAML parser reads it: 5.0e-5, which some take for text without the point."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if not isinstance(value, float):
        return str(value)
    text = repr(value)
    if value.is_integer() and "e" not in text:
        return str(int(value))
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent)}"


def applied(path: Path, report: dict[str, Any]) -> str:
    """Write the proposal into params.yaml, leaving all else as it is; returns what changed.

    Raises NerError where the report proposes nothing to apply, ParamsError where params.yaml has other values now.
    """
    changes, before = report["proposed"], report["present"]["values"]
    if not changes:
        return NOTHING
    text = path.read_text(encoding="utf-8")
    tree = read_blocks(text, str(path))
    if all(tree[block][key] == value for block, keys in changes.items() for key, value in keys.items()):
        return f"{path} has what was proposed already"
    for block, keys in changes.items():
        if stale := [key for key in keys if tree[block][key] not in (before[block][key], "auto")]:
            raise ParamsError(
                f"{path}, {block}.{stale[0]} is {tree[block][stale[0]]} and was {before[block][stale[0]]} when the "
                "sweep ended: run `ner sweep` again, which proposes anew."
            )
    places, edits = YAML().load(text), []
    lines = text.split("\n")
    for block, keys in changes.items():
        for key, value in keys.items():
            row, column = places[block].lc.value(key)
            lines[row] = _replaced(lines[row], column, number(value))
            edits.append(f"{block}.{key}: {number(before[block][key])} -> {number(value)}")
    written = "\n".join(lines)
    if read_blocks(written, str(path)) != override(tree, changes, str(path)):
        raise NerError(f"{path} is written in a way that cannot be edited in place: enter {'; '.join(edits)} yourself.")
    write_text(path, written)
    return "\n".join([f"{path}:", *(f"  {line}" for line in edits)])


def _replaced(line: str, column: int, value: str) -> str:
    """Return the line with another scalar at `column`, its comment where it was."""
    old, hash_, comment = line[column:].partition("#")
    new = value.ljust(len(old)) if len(value) < len(old) else value + " " * bool(hash_)
    return (line[:column] + new + hash_ + comment).rstrip()
