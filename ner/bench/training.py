"""How fast training is: stage `train` against a plain Trainer script, same encoder, same documents, same run.

Run     ner bench-training [--rounds 3] [--words 3000, on a GPU 200000] [--contender ours ...]
Reads   models/base, models/base.json, data/prepared, params.yaml [encoding, train]
Writes  reports/bench/training.json, reports/bench/training.md

The contenders take turns, each in a process of its own, on the same documents, drawn from training. The plain script is
the token-classification example of transformers: each sentence alone, cut and padded by its batch, labels on the first
subwords, all else as the Trainer has it. Timed is from step to step, without the first, evaluation and saving.
An epoch reads every word once, so words a second are the epoch's words, in the share of its steps that were timed.
"""

import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from ner.bench.report import PACKAGES, busy, check_names, machine, machine_line, publish, ratio, spread, turns
from ner.common.files import PARAMS, read_params
from ner.common.tables import markdown_table
from ner.data.prepared import read_manifest
from ner.data.subset import part_by_words

PREPARED, BASE = Path("data/prepared"), Path("models/base")
SEED = 42  # of the draw of documents
WARM_UP = 2  # steps
VALIDATION_WORDS = 200  # stage `train` reads them too
PLAIN = {"trainer, batch 8": 8, "trainer, batch 16": 16}
OURS = "ours"
NAMES = (*PLAIN, OURS)


def bench(root: Path, names: Sequence[str], words: int, rounds: int) -> dict[str, Any]:
    """Run it and return what training.json holds. Raises NerError where so few words leave no steps to time."""
    from ner.training.device import use_gpu

    about, params = machine((*PACKAGES, "accelerate")), read_params(root / PARAMS)
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with TemporaryDirectory(prefix="ner-bench-") as scratch:
        wanted = {"train": words, "validation": VALIDATION_WORDS}
        part = part_by_words(root / PREPARED, Path(scratch) / "prepared", wanted, params, SEED)
        drawn = read_manifest(part)["splits"]["train"]
        for number in range(rounds):
            for name in turns(names, number):
                timing = apart(root, part, name, Path(scratch) / "work")
                timing["words_per_second"] = drawn["tokens"] * timing["share_of_steps"] / timing["seconds"]
                measured[name].append(timing)
                print(f"round {number + 1} of {rounds}: {name}, {timing['words_per_second']:.0f} words/s", flush=True)
    return {
        "machine": about,
        "device": "cuda" if use_gpu(params.train) else "cpu",
        "documents": drawn["documents"],
        "sentences": drawn["sentences"],
        "words": drawn["tokens"],
        "rounds": rounds,
        "contenders": {name: result(measured, name) for name in names},
    }


def apart(root: Path, part: Path, name: str, scratch: Path) -> dict[str, Any]:
    """Measure in a process of its own, so that no contender's settings, memory or caches are another's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(measure, root, part, name, scratch).result()


def measure(root: Path, part: Path, name: str, scratch: Path) -> dict[str, Any]:
    """Train one contender for an epoch and return what its clock says, its precision and its threads."""
    import torch
    from transformers import logging

    from ner.bench.training_contenders import Clock, ours, plain

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    clock, params = Clock(WARM_UP), read_params(root / PARAMS)
    with TemporaryDirectory(prefix="work-", dir=scratch.parent) as folder:
        if name in PLAIN:
            precision = plain(root / BASE, part, PLAIN[name], params, Path(folder), clock)
        else:
            precision = ours(root / BASE, part, params, Path(folder), clock)
    return {**clock.result(), "precision": precision, "threads": torch.get_num_threads()}


def result(measured: Mapping[str, list[dict[str, Any]]], name: str) -> dict[str, Any]:
    """Return an entry of training.json: medians over the rounds, and ratios to the plain scripts, round by round."""
    speeds = {each: [timing["words_per_second"] for timing in timings] for each, timings in measured.items()}
    ratios = {
        f"ratio_to_batch_{size}": spread(speeds[name], speeds[each]) for each, size in PLAIN.items() if each in speeds
    }
    facts = {key: measured[name][0][key] for key in ("precision", "threads", "steps")}
    return {**facts, "words_per_second": statistics.median(speeds[name]), **ratios}


def markdown(report: Mapping[str, Any]) -> str:
    """Return training.md: the table, and how it was measured."""
    about = report["machine"]
    columns = ["", "words/s", *(f"x {name}" for name in PLAIN), "in"]
    rows = []
    for name, entry in report["contenders"].items():
        ratios = [ratio(entry.get(f"ratio_to_batch_{size}")) for size in PLAIN.values()]
        rows.append([name, f"{entry['words_per_second']:.0f}", *ratios, entry["precision"]])
    return (
        f"# Speed of training\n\n{markdown_table(columns, rows)}\n\n"
        f"{report['documents']} documents of training, {report['sentences']:,} sentences, {report['words']:,} words. "
        f"Device: {report['device']}. {report['rounds']} rounds in which the contenders take turns, each in a process "
        "of its own; ratios are medians over the rounds, with the lowest and the highest. From step to step, without "
        f"evaluation, saving and the first {WARM_UP} steps.\n\n"
        f"{machine_line(about)}{busy(about, 'ratios to the plain scripts are off')}"
    )


def main(
    rounds: Annotated[int, typer.Option(help="In which the contenders take turns.")] = 3,
    words: Annotated[int | None, typer.Option(help="About so many of training; 3000, on a GPU 200000.")] = None,
    contender: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
) -> None:
    """Measure training, and write and print the table. Raises ParamsError."""
    check_names("contender", contender or (), NAMES)
    from ner.training.device import use_gpu

    most = 200000 if use_gpu(read_params().train) else 3000
    report = bench(Path(), contender or NAMES, words or most, rounds)
    publish("training", report, markdown(report))
