"""What settings of the machine and of libraries do to the speed of stage `train`, one at a time.

Run     python -m tasks.bench_settings [--rounds 5] [--words 3000] [--setting "one thread" ...]
Reads   models/base, models/base.json, data/prepared, params.yaml [encoding, train]
Writes  reports/bench/settings.json, reports/bench/settings.md

The settings take turns, each in a process of its own, on the same documents of training; ratios are to the stage as it
is, round by round. Timed is what tasks.bench_training times.
"""

import argparse
import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from tasks.bench_report import PACKAGES, REPORT, busy, machine, machine_line, ratio, spread, table, turns
from tasks.bench_sample import part_by_words
from tasks.bench_training import BASE, OURS, PREPARED, SEED, VALIDATION_WORDS, WARM_UP, measure
from tasks.cli import run_stage
from tasks.io import PARAMS, read_json, read_params, write_json, write_text
from tasks.prepared import read_manifest


def bench(root: Path, names: Sequence[str], words: int, rounds: int) -> dict[str, Any]:
    """Run it and return what settings.json holds. Raises NerError where so few words leave no steps to time."""
    from tasks.training_settings import AS_IT_IS

    about, params = machine(PACKAGES), read_params(root / PARAMS)
    speeds: dict[str, list[float]] = {name: [] for name in names}
    with TemporaryDirectory(prefix="ner-bench-") as scratch:
        wanted = {"train": words, "validation": VALIDATION_WORDS}
        part = part_by_words(root / PREPARED, Path(scratch) / "prepared", wanted, params, SEED)
        drawn = read_manifest(part)["splits"]["train"]
        for number in range(rounds):
            for name in turns(names, number):
                found = apart(root, part, name, Path(scratch) / "work")
                speeds[name].append(drawn["tokens"] * found["share_of_subwords"] / found["seconds"])
                print(f"round {number + 1} of {rounds}: {name}, {speeds[name][-1]:.0f} words/s", flush=True)
    return {
        "machine": about,
        "documents": drawn["documents"],
        "words": drawn["tokens"],
        "rounds": rounds,
        "settings": {
            name: {
                "words_per_second": statistics.median(own),
                "ratio": spread(own, speeds[AS_IT_IS]),
            }
            for name, own in speeds.items()
        },
    }


def apart(root: Path, part: Path, name: str, scratch: Path) -> dict[str, Any]:
    """Measure in a process of its own, which begins with the setting's environment."""
    from tasks.training_settings import SETTINGS

    with (
        patch.dict(os.environ, SETTINGS[name].environment),
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor,
    ):
        return executor.submit(measure_with, root, part, name, scratch).result()


def measure_with(root: Path, part: Path, name: str, scratch: Path) -> dict[str, Any]:
    """What the clock says of an epoch of stage `train` with that setting."""
    from tasks.training_settings import SETTINGS

    with SETTINGS[name].laid():
        return measure(root, part, OURS, scratch)


def names_for(base: Path) -> list[str]:
    """The settings that this encoder can have: all, but that only MPNet lacks a fused attention of its own."""
    from tasks.training_settings import FUSED, SETTINGS

    is_mpnet = read_json(base / "config.json").get("model_type") == "mpnet"
    return [name for name in SETTINGS if name != FUSED or is_mpnet]


def markdown(report: Mapping[str, Any]) -> str:
    """settings.md: the table, and what stands behind it."""
    rows = [
        [name, f"{entry['words_per_second']:.0f}", ratio(entry["ratio"])] for name, entry in report["settings"].items()
    ]
    return (
        f"# Settings\n\n{table(['stage `train`', 'words/s', 'x as it is'], rows)}\n\n"
        f"{report['documents']} documents of training, {report['words']:,} words. {report['rounds']} rounds in "
        "which they take turns, each in a process of its own; ratios are medians over the rounds, with the lowest "
        f"and the highest. From step to step, without evaluation, saving and the first {WARM_UP} steps.\n\n"
        f"{machine_line(report['machine'])}{busy(report['machine'], 'the ratios are off')}"
    )


def main() -> None:
    from tasks.training_settings import AS_IT_IS, SETTINGS

    parser = argparse.ArgumentParser(prog="python -m tasks.bench_settings", description="What settings are worth.")
    parser.add_argument("--rounds", type=int, default=5, help="in which the settings take turns (default: 5)")
    parser.add_argument("--words", type=int, default=3000, help="of training, about so many (default: 3000)")
    parser.add_argument("--setting", action="append", choices=list(SETTINGS), help="only these; may be given again")
    arguments = parser.parse_args()
    names = names_for(BASE)
    if arguments.setting:
        names = [name for name in names if name == AS_IT_IS or name in arguments.setting]
    report = bench(Path(), names, arguments.words, arguments.rounds)
    write_json(REPORT / "settings.json", report)
    write_text(REPORT / "settings.md", markdown(report))
    print(markdown(report), flush=True)


if __name__ == "__main__":
    run_stage("bench_settings", main)
