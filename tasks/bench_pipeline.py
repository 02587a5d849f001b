"""What the pipeline takes beside its work: runs with nothing to do, imports, and each stage by itself.

Run     python -m tasks.bench_pipeline [--root .] [--rounds 5] [--stage gate ...]
Reads   the working tree, whose stages must be up to date; reports/training.json
Writes  reports/bench/pipeline.json, reports/bench/pipeline.md of the current folder

`dvc status`, `dvc repro` and the flow take turns with nothing to do; ratios are medians over the rounds. Then each
stage's module is imported in a process of its own, and each stage but `train` runs by itself in a copy of the tree with
an MLflow store of its own, in .ner/bench; `train` as its report says. `ingest` and `base` may fetch over the network.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ner.errors import NerError
from tasks.bench_report import REPORT, busy, machine, machine_line, ratio, spread, table, turns
from tasks.cli import run_stage
from tasks.io import read_json, sha256_file, write_json, write_text
from tasks.stage_costs import Ran, copy_of, environment, import_cost, run, stage_cost

STATUS, REPRO, FLOW = "dvc status", "dvc repro", "flow"
NO_OPS = {STATUS: ["-m", "dvc", "status"], REPRO: ["-m", "dvc", "repro"], FLOW: ["-m", "flows.train"]}
PACKAGES = ("dvc", "great_expectations", "mlflow", "pandas", "prefect", "torch", "transformers")
TRAIN = "train"
IMPORTS = 3  # of each module; the first may read a cold disk


def bench(root: Path, rounds: int, stages: Sequence[str] | None = None) -> dict[str, Any]:
    """Run it and return what pipeline.json holds; `stages`: only these by themselves.

    Raises NerError where a stage is not up to date, so that a run would have work to do.
    """
    known = list(yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"])
    if unknown := [name for name in stages or () if name not in known]:
        raise NerError(f"--stage {unknown[0]}: no stage of dvc.yaml; there are {', '.join(known)}.")
    about = machine(PACKAGES)
    nothing = no_ops(root, rounds)
    imports = {}
    for name in known:
        imports[name] = import_cost(root, name, IMPORTS)
        print(f"import of {name}: {imports[name]['seconds']:.2f} s", flush=True)
    return {
        "machine": about,
        "rounds": rounds,
        "nothing_to_do": nothing,
        "imports": imports,
        "stages": by_themselves(root, [name for name in known if not stages or name in stages]),
    }


def no_ops(root: Path, rounds: int) -> dict[str, Any]:
    """The three commands, in turns: seconds, memory, and the ratio to `dvc status`."""
    check_unchanged(root)
    before = sha256_file(root / "dvc.lock")
    ran: dict[str, list[Ran]] = {name: [] for name in NO_OPS}
    for number in range(rounds):
        for name in turns(list(NO_OPS), number):
            one = run([sys.executable, *NO_OPS[name]], root, environment())
            if one.status:
                raise NerError(
                    f"{name} ended with status {one.status} in {root}: {(one.lines or ['nothing said'])[-1]}"
                )
            ran[name].append(one)
            print(f"round {number + 1} of {rounds}: {name}, {one.seconds:.2f} s", flush=True)
    if sha256_file(root / "dvc.lock") != before:
        raise NerError(f"{root}: a stage ran meanwhile, so the times are of a run with work; measure again.")
    seconds = {name: [one.seconds for one in every] for name, every in ran.items()}
    return {
        name: {
            "seconds": statistics.median(seconds[name]),
            "cpu_seconds": statistics.median(one.cpu_seconds for one in ran[name]),
            "peak_memory_mb": max(one.peak_memory_mb for one in ran[name]),
            "ratio": spread(seconds[name], seconds[STATUS]),
        }
        for name in NO_OPS
    }


def check_unchanged(root: Path) -> None:
    """Raise NerError, which names them, where DVC would run stages."""
    ran = run([sys.executable, *NO_OPS[STATUS], "--json"], root, environment())
    if ran.status:
        raise NerError(f"dvc status fails in {root}: {(ran.lines or ['nothing said'])[-1]}")
    try:
        changed = json.loads(ran.lines[-1])
    except (IndexError, ValueError):
        raise NerError(f"dvc status says no JSON in {root}: {(ran.lines or ['nothing'])[-1]}") from None
    if changed:
        raise NerError(
            f"{root}: {', '.join(changed)} changed, so that a run would work (and perhaps train): run `make train`, "
            "then measure again."
        )


def by_themselves(root: Path, stages: Sequence[str]) -> dict[str, Any]:
    """Time and memory of each stage."""
    found: dict[str, Any] = {}
    with copy_of(root) as folder:
        for name in stages:
            found[name] = told_by_training(root) if name == TRAIN else stage_cost(folder, name)
            took = found[name].get("failed") or f"{found[name]['seconds']:.1f} s"
            print(f"stage {name}: {took}", flush=True)
    return found


def told_by_training(root: Path) -> dict[str, Any]:
    """Of `train`, from its report."""
    report = read_json(root / "reports" / "training.json")
    return {name: report[name] for name in ("seconds", "cpu_seconds", "peak_memory_mb") if name in report}


def markdown(report: Mapping[str, Any]) -> str:
    """pipeline.md: both tables, and what stands behind them."""
    nothing = [
        [name, f"{entry['seconds']:.2f}", ratio(entry["ratio"]), f"{entry['peak_memory_mb']:,}"]
        for name, entry in report["nothing_to_do"].items()
    ]
    stages = []
    for name, entry in report["imports"].items():
        cost = report["stages"].get(name, {})
        loads = cost.get("heavy", entry["heavy"])
        seconds = "failed" if "failed" in cost else _number(cost.get("seconds"), ",.1f")
        stages.append([name, f"{entry['seconds']:.2f}", seconds, _number(cost.get("peak_memory_mb"), ",.0f")])
        stages[-1] += ["yes" if "torch" in entry["heavy"] else "no", ", ".join(loads) or "–"]
    columns = ["stage", "import, s", "all of it, s", "peak memory, MB", "torch at import", "has loaded by its end"]
    return (
        "# What the pipeline takes\n\n## Nothing to do\n\n"
        f"{table(['', 's', f'x {STATUS}', 'peak memory, MB'], nothing)}\n\n"
        f"{report['rounds']} rounds in which they take turns; ratios are medians, with the lowest and the highest.\n\n"
        f"## Stages\n\n{table(columns, stages)}\n\n"
        f"Imports are medians of {IMPORTS}, with Python's own start. Each stage by itself in a process; `{TRAIN}` as "
        "its report says.\n\n"
        f"{machine_line(report['machine'])}{busy(report['machine'], 'times are too long')}"
    )


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.bench_pipeline", description="What the pipeline takes.")
    parser.add_argument("--root", type=Path, default=Path(), help="the working tree to measure (default: this folder)")
    parser.add_argument("--rounds", type=int, default=5, help="with nothing to do (default: 5)")
    parser.add_argument("--stage", action="append", help="by itself only these; may be given several times")
    arguments = parser.parse_args()
    report = bench(arguments.root.resolve(), arguments.rounds, arguments.stage)
    write_json(REPORT / "pipeline.json", report)
    write_text(REPORT / "pipeline.md", markdown(report))
    print(markdown(report), flush=True)


if __name__ == "__main__":
    run_stage("bench_pipeline", main)
