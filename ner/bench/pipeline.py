"""What the pipeline takes beside its work: `dvc status`, `dvc repro` and the flow with nothing to do.

Run     ner bench-pipeline [--root .] [--rounds 5]
Reads   the working tree, whose stages must be up to date
Writes  reports/bench/pipeline.json, reports/bench/pipeline.md of the current folder

The three commands take turns; ratios are medians over the rounds.
"""

import json
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.bench.report import REPORT, busy, machine, machine_line, ratio, spread, turns
from ner.bench.stage_costs import Ran, environment, run
from ner.common.files import sha256_file, write_json, write_text
from ner.common.tables import markdown_table
from ner.errors import NerError

STATUS, REPRO, FLOW = "dvc status", "dvc repro", "flow"
NO_OPS = {STATUS: ["-m", "dvc", "status"], REPRO: ["-m", "dvc", "repro"], FLOW: ["-m", "ner", "train"]}
PACKAGES = ("dvc", "great_expectations", "mlflow", "pandas", "prefect", "torch", "transformers")


def bench(root: Path, rounds: int) -> dict[str, Any]:
    """Run it and return what pipeline.json holds. Raises NerError where a stage is not up to date."""
    return {"machine": machine(PACKAGES), "rounds": rounds, "nothing_to_do": no_ops(root, rounds)}


def no_ops(root: Path, rounds: int) -> dict[str, Any]:
    """Return the three commands, in turns: seconds, memory, and the ratio to `dvc status`."""
    check_unchanged(root)
    before = sha256_file(root / "dvc.lock")
    ran: dict[str, list[Ran]] = {name: [] for name in NO_OPS}
    for number in range(rounds):
        for name in turns(list(NO_OPS), number):
            process = run([sys.executable, *NO_OPS[name]], root, environment())
            if process.status:
                raise NerError(
                    f"{name} ended with status {process.status} in {root}: {(process.lines or ['no output'])[-1]}"
                )
            ran[name].append(process)
            print(f"round {number + 1} of {rounds}: {name}, {process.seconds:.2f} s", flush=True)
    if sha256_file(root / "dvc.lock") != before:
        raise NerError(f"{root}: a stage ran meanwhile, so the times are of a run with work; measure again.")
    seconds = {name: [process.seconds for process in every] for name, every in ran.items()}
    return {
        name: {
            "seconds": statistics.median(seconds[name]),
            "cpu_seconds": statistics.median(process.cpu_seconds for process in ran[name]),
            "peak_memory_mb": max(process.peak_memory_mb for process in ran[name]),
            "ratio": spread(seconds[name], seconds[STATUS]),
        }
        for name in NO_OPS
    }


def check_unchanged(root: Path) -> None:
    """Raise NerError, which names them, where DVC would run stages."""
    ran = run([sys.executable, *NO_OPS[STATUS], "--json"], root, environment())
    if ran.status:
        raise NerError(f"dvc status fails in {root}: {(ran.lines or ['no output'])[-1]}")
    try:
        changed = json.loads(ran.lines[-1])
    except (IndexError, ValueError):
        raise NerError(f"dvc status gives no JSON in {root}: {(ran.lines or ['nothing'])[-1]}") from None
    if changed:
        raise NerError(
            f"{root}: {', '.join(changed)} changed, so that a run would work (and perhaps train): run `make train`, "
            "then measure again."
        )


def markdown(report: Mapping[str, Any]) -> str:
    """Return pipeline.md: the table, and how it was measured."""
    nothing = [
        [name, f"{entry['seconds']:.2f}", ratio(entry["ratio"]), f"{entry['peak_memory_mb']:,}"]
        for name, entry in report["nothing_to_do"].items()
    ]
    return (
        "# The pipeline with nothing to do\n\n"
        f"{markdown_table(['', 's', f'x {STATUS}', 'peak memory, MB'], nothing)}\n\n"
        f"{report['rounds']} rounds in which they take turns; ratios are medians, with the lowest and the highest.\n\n"
        f"{machine_line(report['machine'])}{busy(report['machine'], 'times are too long')}"
    )


def main(
    root: Annotated[Path, typer.Option(help="The working tree to measure.")] = Path(),
    rounds: Annotated[int, typer.Option(help="With nothing to do.")] = 5,
) -> None:
    """Measure the pipeline, and write and print the table."""
    report = bench(root.resolve(), rounds)
    write_json(REPORT / "pipeline.json", report)
    write_text(REPORT / "pipeline.md", markdown(report))
    print(markdown(report), flush=True)
