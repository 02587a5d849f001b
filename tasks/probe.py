"""Which train.batch_size this machine computes fastest: steps of training at growing batches, until memory ends.

Run     python -m tasks.probe [--largest 65536] [--steps 3] [--apply]        (make probe, make probe APPLY=1)
Reads   models/base, data/prepared, params.yaml [encoding, train]
Writes  with --apply params.yaml, train.batch_size; otherwise it only prints

Each size is trained in a process of its own, from train.batch_size on and twice as large each time, on windows of the
full length with random subwords and tags, which take the most memory that a batch of that size can take. A size does
not fit when the GPU says so, when the system ends the process, or when it would take more than 90 % of the memory.
The choice is the smallest size within 5 % of the fastest, of those that leave a training of this corpus 300 steps: a
GPU is fastest with batches that hardly ever move the weights. It is not made by stage `train` itself: how large a batch
is decides what is learnt, so that it belongs in params.yaml, where DVC and the model card see it.
"""

import argparse
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ner.errors import NerError
from ner.params import Params
from tasks.bench_report import table
from tasks.cli import run_stage
from tasks.io import PARAMS, read_params
from tasks.prepared import read_manifest, read_split
from tasks.yaml_file import YamlFile

PREPARED, BASE = Path("data/prepared"), Path("models/base")
WARM_UP, WARM_UP_ON_GPU = 1, 4  # steps that are not timed; on a GPU the second is recorded (tasks/half_steps.py)
ENOUGH = 0.95  # of the highest rate
LEAST = 300  # steps of a training: with fewer F1 fell, on CoNLL-2003 (README, GPU)
FULL = 0.9  # of the memory
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


class Size(NamedTuple):
    """What a batch of so many subwords took. memory and of: bytes at most, and of the device; None: it did not fit."""

    batch: int
    rate: float | None  # subwords a second
    memory: int | None
    of: int | None

    @property
    def fits(self) -> bool:
        return (
            self.rate is not None and self.memory is not None and self.of is not None and self.memory < FULL * self.of
        )


Measure = Callable[[Params, list[str], int, int], Size]


def probe(params: Params, labels: list[str], largest: int, steps: int, measure: Measure | None = None) -> list[Size]:
    """Measure train.batch_size and its doubles up to `largest`, until one does not fit or the next cannot.

    steps: timed ones of each size. measure: by default `apart`. Raises NerError where batches are counted in windows.
    """
    if params.train.batch_by != "subwords":
        raise NerError("params.yaml, train.batch_by: batches of windows are not probed; set it to subwords first.")
    found: list[Size] = []
    batch = params.train.batch_size
    while batch <= largest:
        size = (measure or apart)(params, labels, batch, steps)
        print(line(size), flush=True)
        found.append(size)
        if not size.fits or grown_past(found):
            break
        batch *= 2
    return found


def grown_past(found: list[Size]) -> bool:
    """Whether twice the last size would not fit, going by what the last doubling added."""
    if len(found) < 2:
        return False
    before, last = found[-2:]
    return last.memory + 2 * (last.memory - before.memory) >= FULL * last.of


def choose(found: list[Size], steps: dict[int, int]) -> Size:
    """The smallest size within 5 % of the fastest that leaves LEAST steps; the first of all where none does.

    steps: of a training, by size. Raises NerError where none fits.
    """
    fitting = [size for size in found if size.fits]
    if not fitting:
        raise NerError(
            f"params.yaml, train.batch_size: not even {found[0].batch} subwords fit this device's memory; "
            "set it to half, with train.gradient_accumulation twice as large."
        )
    learning = [size for size in fitting if steps[size.batch] >= LEAST] or fitting[:1]
    fastest = max(size.rate for size in learning)
    return next(size for size in learning if size.rate >= ENOUGH * fastest)


def training_steps(params: Params, prepared: Path, base: Path, batches: list[int]) -> dict[int, int]:
    """How many steps a training of the corpus would have, all epochs together, at each batch size."""
    from ner.training_windows import TrainingWindows
    from tasks.new_model import load_reader
    from tasks.train import batch_plan, documents

    tokenizer, _ = load_reader(base, params.encoding)
    split, train = read_split(prepared, "train"), params.train
    together, longest = documents(split, params.encoding), params.encoding.max_length
    windows = TrainingWindows(tokenizer, split.tokens, together, longest, train.sentences_alone)
    plans = {batch: batch_plan(windows, train.model_copy(update={"batch_size": batch})) for batch in batches}
    together_in_a_step = train.processes * train.gradient_accumulation
    return {batch: int(len(plan) // together_in_a_step * train.epochs) for batch, plan in plans.items()}


def apart(params: Params, labels: list[str], batch: int, steps: int) -> Size:
    """Measure in a process of its own: a size that takes all memory takes only that process with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        try:
            return executor.submit(measured, params, labels, batch, steps).result()
        except BrokenProcessPool:
            return Size(batch, None, None, None)


def measured(params: Params, labels: list[str], batch: int, steps: int, base: Path = BASE) -> Size:
    """Train a few steps as stage `train` does. A device that runs out of memory gives a Size that does not fit."""
    import torch
    from accelerate.utils.memory import should_reduce_batch_size

    from tasks.train import use_gpu
    from tasks.training_clock import Clock

    on_gpu = use_gpu(params.train)
    warm_up = WARM_UP_ON_GPU if on_gpu else WARM_UP
    clock = Clock(warm_up)
    try:
        with TemporaryDirectory(prefix="ner-probe-") as scratch:
            train_steps(params, labels, batch, warm_up + steps, base, Path(scratch), clock)
    except RuntimeError as error:
        if not should_reduce_batch_size(error):
            raise
        return Size(batch, None, None, None)
    result = clock.result()
    if on_gpu:
        memory, of = torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(0).total_memory
    else:
        memory, of = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT, total_memory()
    return Size(batch, result["subwords"] / result["seconds"], memory, of)


def train_steps(
    params: Params, labels: list[str], batch: int, steps: int, base: Path, scratch: Path, clock: Any
) -> None:
    """So many steps on full windows of random subwords, evaluated never, saved never."""
    import numpy as np
    from transformers import PrinterCallback, logging

    from ner.batching import Plan
    from tasks.allocator import keep_memory
    from tasks.new_model import load_reader, new_model, parameter_groups
    from tasks.train import compute_the_same_again, computes_in_half, training_arguments, use_gpu
    from tasks.trainer import TokenTrainer

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    keep_memory()
    if use_gpu(params.train):
        compute_the_same_again()
    tokenizer, twins = load_reader(base, params.encoding)
    model = new_model(base, labels, params.encoding, params.train, twins)
    changes = {"epochs": 1.0, "processes": 1, "gradient_accumulation": 1, "batch_size": batch}
    train = params.train.model_copy(update=changes)
    longest = params.encoding.max_length
    count = max(1, batch // longest) * steps
    draw = np.random.default_rng(train.seed)
    rows = [
        {
            "input_ids": draw.integers(model.config.vocab_size, size=longest).tolist(),
            "labels": draw.integers(len(labels), size=longest).tolist(),
        }
        for _ in range(count)
    ]
    plan = Plan([longest] * count, batch, seed=train.seed, epochs=1)
    trainer = TokenTrainer(
        model=model,
        args=training_arguments(train, scratch, len(plan)),
        features=rows,
        plan=plan,
        groups=parameter_groups(model, train),
        judge=lambda _: {},
        half=computes_in_half(train),
        label_smoothing=train.label_smoothing,
        pad_token_id=tokenizer.pad_token_id,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()


def total_memory() -> int:
    """Bytes of this machine, or of the container's limit where there is one."""
    import psutil

    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(int(text), psutil.virtual_memory().total) if text.isdigit() else psutil.virtual_memory().total


def row(size: Size, steps: int) -> list[str]:
    """A size in the table. steps: of a training."""
    return [f"{size.batch:,}", *speed(size), f"{steps:,}"]


def speed(size: Size) -> tuple[str, str]:
    """Its rate and its memory."""
    if size.rate is None:
        return "does not fit", ""
    return f"{size.rate:,.0f}", f"{size.memory / 1e9:.1f} of {size.of / 1e9:.1f} GB"


def line(size: Size) -> str:
    """A size in words, as it is measured."""
    rate, memory = speed(size)
    return f"{size.batch:,} subwords: {rate}" + (f" subwords/s, {memory}" if memory else "")


def advice(found: list[Size], best: Size, now: int) -> list[str]:
    """Lines about the choice. now: train.batch_size as it is."""
    if best.batch == now:
        lines = [f"train.batch_size: {now} stays."]
    else:
        lines = [
            f"train.batch_size: {best.batch} is {best.rate / found[0].rate:.2f} times as fast as {now}.",
            "Fewer steps an epoch need another train.learning_rate: make sweep, or make experiments, finds it.",
        ]
    if any(size.fits and size.batch > best.batch and size.rate * ENOUGH > best.rate for size in found):
        lines.append(
            f"Larger batches are faster, and leave a training fewer than {LEAST} steps to learn in: "
            "with more train.epochs, or more data, they could be chosen."
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Find the batch that this machine trains fastest with.")
    parser.add_argument("--largest", type=int, default=65536, help="subwords of the largest batch to try")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each size")
    parser.add_argument("--apply", action="store_true", help="write train.batch_size into params.yaml")
    arguments = parser.parse_args()
    if not BASE.exists():
        raise NerError("models/base is not here: run `dvc repro base` first.")
    params = read_params()
    found = probe(params, read_manifest(PREPARED)["labels"], arguments.largest, arguments.steps)
    steps = training_steps(params, PREPARED, BASE, [size.batch for size in found])
    best, now = choose(found, steps), params.train.batch_size
    columns = ["subwords a batch", "subwords/s", "memory at most", "steps of a training"]
    print("\n" + table(columns, [row(size, steps[size.batch]) for size in found]))
    print("\n".join(advice(found, best, now)))
    if arguments.apply and best.batch != now:
        file = YamlFile(PARAMS)
        file.tree["train"]["batch_size"] = best.batch
        print(file.diff())
        file.write()


if __name__ == "__main__":
    run_stage("probe", main)
