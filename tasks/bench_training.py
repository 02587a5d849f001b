"""How fast training is: stage `train` against a plain Trainer script, same encoder, same documents, same run.

Run     python -m tasks.bench_training [--rounds 3] [--words 3000, on a GPU 200000] [--contender ours ...]
Reads   models/base, models/base.json, data/prepared, params.yaml [encoding, train]
Writes  reports/bench/training.json, reports/bench/training.md

The contenders take turns, each in a process of its own, on the same documents, drawn from training. The plain script is
the token-classification example of transformers: each sentence alone, cut and padded by its batch, labels on the first
subwords, all else as the Trainer has it. Timed is from step to step, without the first, evaluation and saving.
The bound is arithmetic: six operations a weight and subword at the rate of a large matrix product, measured in the same
rounds. An epoch reads every word once, so words a second are those of the epoch's words whose subwords were timed.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from tasks.bench_report import PACKAGES, REPORT, busy, machine, machine_line, percent, ratio, spread, table, turns
from tasks.bench_sample import part_by_words
from tasks.cli import run_stage
from tasks.io import PARAMS, read_params, write_json, write_text
from tasks.prepared import read_manifest

PREPARED, BASE = Path("data/prepared"), Path("models/base")
SEED = 42  # of the draw of documents
WARM_UP = 2  # steps
VALIDATION_WORDS = 200  # stage `train` reads them too
PLAIN = {"trainer, batch 8": 8, "trainer, batch 16": 16}
OURS, OURS_32 = "ours", "ours, fp32"
LAUNCHED = "ours, launched kernel by kernel"  # on a GPU alone: what recorded steps are worth
NAMES = (*PLAIN, OURS, OURS_32, LAUNCHED)


def bench(root: Path, names: Sequence[str], words: int, rounds: int) -> dict[str, Any]:
    """Run it and return what training.json holds. Raises NerError where so few words leave no steps to time."""
    from tasks.matmul import by_torch
    from tasks.train import use_gpu
    from tasks.training_contenders import whole_parameters

    about, params = machine((*PACKAGES, "accelerate")), read_params(root / PARAMS)
    device = "cuda" if use_gpu(params.train) else "cpu"
    rates = {kind: by_torch(kind, device) for kind in ("fp32", "bf16")}
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    rate: dict[str, float] = {}
    with TemporaryDirectory(prefix="ner-bench-") as scratch:
        wanted = {"train": words, "validation": VALIDATION_WORDS}
        part = part_by_words(root / PREPARED, Path(scratch) / "prepared", wanted, params, SEED)
        drawn = read_manifest(part)["splits"]["train"]
        for number in range(rounds):
            rate = {kind: max(rate.get(kind, 0.0), one()) for kind, one in rates.items()}
            for name in turns(names, number):
                found = apart(root, part, name, Path(scratch) / "work")
                found["words_per_second"] = drawn["tokens"] * found["share_of_subwords"] / found["seconds"]
                measured[name].append(found)
                print(f"round {number + 1} of {rounds}: {name}, {found['words_per_second']:.0f} words/s", flush=True)
    weights = whole_parameters(root / BASE, len(read_manifest(root / PREPARED)["labels"]))
    return {
        "machine": about,
        "device": device,
        "documents": drawn["documents"],
        "sentences": drawn["sentences"],
        "words": drawn["tokens"],
        "rounds": rounds,
        "weights_multiplied": weights,
        "gflops": rate,
        "contenders": {name: result(measured, name, rate, weights) for name in names},
    }


def apart(root: Path, part: Path, name: str, scratch: Path) -> dict[str, Any]:
    """Measure in a process of its own, so that no contender's settings, memory or caches are another's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(measure, root, part, name, scratch).result()


def measure(root: Path, part: Path, name: str, scratch: Path) -> dict[str, Any]:
    """Train one contender for an epoch and return what its clock says, its precision and its threads."""
    import torch
    from transformers import logging

    from tasks import half_steps
    from tasks.training_clock import Clock
    from tasks.training_contenders import ours, plain

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    clock, params = Clock(WARM_UP), read_params(root / PARAMS)
    times = sys.maxsize if name == LAUNCHED else half_steps.LAUNCHED
    with TemporaryDirectory(prefix="work-", dir=scratch.parent) as folder, patch.object(half_steps, "LAUNCHED", times):
        if name in PLAIN:
            facts = plain(root / BASE, part, PLAIN[name], params, Path(folder), clock)
        else:
            facts = ours(root / BASE, part, "fp32" if name == OURS_32 else None, params, Path(folder), clock)
    return {**clock.result(), **facts, "threads": torch.get_num_threads()}


def result(
    measured: Mapping[str, list[dict[str, Any]]], name: str, rate: Mapping[str, float], weights: int
) -> dict[str, Any]:
    """A contender in training.json: medians over the rounds, and ratios to the plain scripts, round by round.

    weights: those of the whole encoder that multiply, for its bound if nothing were frozen or left out.
    """
    own = measured[name]
    speeds = [one["words_per_second"] for one in own]
    peak = rate.get(own[0]["precision"], rate["bf16"]) * 1e9
    entry: dict[str, Any] = {
        **{key: own[0][key] for key in ("precision", "threads", "steps", "padding")},
        "words_per_second": statistics.median(speeds),
        "subwords_per_second": statistics.median(one["subwords"] / one["seconds"] for one in own),
    }
    entry["share_of_bound"] = statistics.median(one["operations"] / one["seconds"] for one in own) / peak
    entry["share_of_full_bound"] = 6 * weights * entry["subwords_per_second"] / peak
    for other, batch in PLAIN.items():
        if other in measured:
            entry[f"ratio_to_batch_{batch}"] = spread(speeds, [one["words_per_second"] for one in measured[other]])
    return entry


def markdown(report: Mapping[str, Any]) -> str:
    """training.md: the table, and what stands behind it."""
    about, rates = report["machine"], ", ".join(f"{value:.0f} in {kind}" for kind, value in report["gflops"].items())
    columns = ["", "words/s", *(f"x {name}" for name in PLAIN), "subwords/s", "padding", "of the bound"]
    columns += ["of the bound with nothing frozen or left out", "in"]
    rows = [
        [
            name,
            f"{entry['words_per_second']:.0f}",
            *(ratio(entry.get(f"ratio_to_batch_{batch}")) for batch in PLAIN.values()),
            f"{entry['subwords_per_second']:.0f}",
            percent(entry["padding"]),
            percent(entry["share_of_bound"], 0),
            percent(entry["share_of_full_bound"], 0),
            entry["precision"],
        ]
        for name, entry in report["contenders"].items()
    ]
    return (
        f"# Speed of training\n\n{table(columns, rows)}\n\n"
        f"{report['documents']} documents of training, {report['sentences']:,} sentences, {report['words']:,} words. "
        f"Device: {report['device']}. {report['rounds']} rounds in which the contenders take turns, each in a process "
        "of its own; ratios are medians over the rounds, with the lowest and the highest. From step to step, without "
        f"evaluation, saving and the first {WARM_UP} steps. Bound: what the matrix products take at their measured "
        f"rate (GFLOP/s: {rates}), two operations a weight forward, up to four back; with nothing frozen or left out "
        f"6 x {report['weights_multiplied'] / 1e6:.1f} M a subword.\n\n"
        f"{machine_line(about)}{busy(about, 'ratios to the plain scripts are off')}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.bench_training", description="How fast training is.")
    parser.add_argument("--rounds", type=int, default=3, help="in which the contenders take turns (default: 3)")
    parser.add_argument("--words", type=int, help="of training, about so many (default: 3000, on a GPU 200000)")
    parser.add_argument("--contender", action="append", choices=NAMES, help="only these; may be given several times")
    arguments = parser.parse_args()
    from tasks.train import use_gpu

    words, names = (200000, NAMES) if use_gpu(read_params().train) else (3000, NAMES[:-1])
    report = bench(Path(), arguments.contender or names, arguments.words or words, arguments.rounds)
    write_json(REPORT / "training.json", report)
    write_text(REPORT / "training.md", markdown(report))
    print(markdown(report), flush=True)


if __name__ == "__main__":
    run_stage("bench_training", main)
