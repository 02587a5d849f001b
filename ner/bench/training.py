"""How fast training is: stage `train` against a plain Trainer script, same encoder, same documents, same run.

Run     ner bench-training [--rounds 3] [--words 3000, on a GPU 200000] [--contender ours ...]
Reads   models/base, models/base.json, data/prepared, params.yaml [encoding, train]
Writes  reports/bench/training.json, reports/bench/training.md

The contenders take turns, each in a process of its own, on the same documents, drawn from training. The plain script is
the token-classification example of transformers: each sentence alone, cut and padded by its batch, labels on the first
subwords, all else as the Trainer has it. Timed is from step to step, without the first, evaluation and saving.
An epoch reads every word once, so words a second are those of the epoch's words whose subwords were timed.
"""

import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from unittest.mock import patch

import typer

from ner.bench.report import PACKAGES, REPORT, busy, check_names, machine, machine_line, percent, ratio, spread, turns
from ner.common.files import PARAMS, read_params, write_json, write_text
from ner.common.tables import markdown_table
from ner.data.prepared import read_manifest
from ner.data.subset import part_by_words

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
    from ner.training.device import use_gpu

    about, params = machine((*PACKAGES, "accelerate")), read_params(root / PARAMS)
    device = "cuda" if use_gpu(params.train) else "cpu"
    measured: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with TemporaryDirectory(prefix="ner-bench-") as scratch:
        wanted = {"train": words, "validation": VALIDATION_WORDS}
        part = part_by_words(root / PREPARED, Path(scratch) / "prepared", wanted, params, SEED)
        drawn = read_manifest(part)["splits"]["train"]
        for number in range(rounds):
            for name in turns(names, number):
                measurement = apart(root, part, name, Path(scratch) / "work")
                measurement["words_per_second"] = (
                    drawn["tokens"] * measurement["share_of_subwords"] / measurement["seconds"]
                )
                measured[name].append(measurement)
                print(
                    f"round {number + 1} of {rounds}: {name}, {measurement['words_per_second']:.0f} words/s", flush=True
                )
    return {
        "machine": about,
        "device": device,
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

    from ner.bench.step_clock import Clock
    from ner.bench.training_contenders import ours, plain
    from ner.training import cuda_graphs

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    clock, params = Clock(WARM_UP), read_params(root / PARAMS)
    times = sys.maxsize if name == LAUNCHED else cuda_graphs.LAUNCHED
    with TemporaryDirectory(prefix="work-", dir=scratch.parent) as folder, patch.object(cuda_graphs, "LAUNCHED", times):
        if name in PLAIN:
            facts = plain(root / BASE, part, PLAIN[name], params, Path(folder), clock)
        else:
            facts = ours(root / BASE, part, "fp32" if name == OURS_32 else None, params, Path(folder), clock)
    return {**clock.result(), **facts, "threads": torch.get_num_threads()}


def result(measured: Mapping[str, list[dict[str, Any]]], name: str) -> dict[str, Any]:
    """Return an entry of training.json: medians over the rounds, and ratios to the plain scripts, round by round."""
    own = measured[name]
    speeds = [timing["words_per_second"] for timing in own]
    entry: dict[str, Any] = {
        **{key: own[0][key] for key in ("precision", "threads", "steps", "padding")},
        "words_per_second": statistics.median(speeds),
        "subwords_per_second": statistics.median(timing["subwords"] / timing["seconds"] for timing in own),
    }
    for other, batch in PLAIN.items():
        if other in measured:
            entry[f"ratio_to_batch_{batch}"] = spread(
                speeds, [timing["words_per_second"] for timing in measured[other]]
            )
    return entry


def markdown(report: Mapping[str, Any]) -> str:
    """Return training.md: the table, and how it was measured."""
    about = report["machine"]
    columns = ["", "words/s", *(f"x {name}" for name in PLAIN), "subwords/s", "padding", "in"]
    rows = [
        [
            name,
            f"{entry['words_per_second']:.0f}",
            *(ratio(entry.get(f"ratio_to_batch_{batch}")) for batch in PLAIN.values()),
            f"{entry['subwords_per_second']:.0f}",
            percent(entry["padding"]),
            entry["precision"],
        ]
        for name, entry in report["contenders"].items()
    ]
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

    most, names = (200000, NAMES) if use_gpu(read_params().train) else (3000, NAMES[:-1])
    report = bench(Path(), contender or names, words or most, rounds)
    write_json(REPORT / "training.json", report)
    write_text(REPORT / "training.md", markdown(report))
    print(markdown(report), flush=True)
