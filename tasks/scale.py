"""What eight GPUs and a thousand models would take, worked out from the committed run; assumptions are arguments.

Run     python -m tasks.scale            prints both tables
        python -m tasks.scale --write    puts them into README.md, between the marks
Reads   dvc.lock (sizes), reports/card.md (time and size of the training), params.yaml [train]
"""

import argparse
import math
import re
from pathlib import Path
from typing import NamedTuple

import yaml

from tasks.cli import run_stage  # isort: skip  first: it switches telemetry off
from ner.errors import NerError
from tasks.io import read_params, write_text

LOCK, CARD, README = Path("dvc.lock"), Path("reports/card.md"), Path("README.md")
OPEN, CLOSE = "<!-- scale: python -m tasks.scale --write -->", "<!-- /scale -->"
ONCE = ("ingest", "base")  # stages whose outputs models of one corpus and encoder share
REGISTERED = "models/release"  # what MLflow keeps of a version, in the main
GRADIENT_BYTES = 4  # of a weight: DDP adds up gradients in fp32
OPERATIONS = 6  # a weight and subword: two forward, four backward
LINKS = {"PCIe, 20 GB/s": 20e9, "NVLink, 200 GB/s": 200e9}  # bytes a second that a GPU sends
GPU_RATE = 100e12  # operations a second that a GPU reaches in bf16 on an encoder of this size
GPUS, MODELS, WORKERS = 8, (1, 10, 100, 1000), (1, 10, 100)


class Run(NamedTuple):
    """What a committed run says. Sizes in bytes; minutes: of its training; stages: of its pipeline."""

    minutes: float
    subwords: int
    weights: int
    shared_size: int
    own_size: int
    registered_size: int
    stages: int


def read_run(lock: Path, card: Path) -> Run:
    """Raises NerError where the two files do not say what is needed."""
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    sizes = {name: {out["path"]: out.get("size", 0) for out in stage["outs"]} for name, stage in stages.items()}
    every = {path: size for outs in sizes.values() for path, size in outs.items()}
    text = card.read_text(encoding="utf-8")
    minutes = re.search(r"Wall time:\*\* ([\d.,]+) (second|minute|hour)", text)
    subwords = re.search(r"An epoch is .*?([\d,]+) subwords", text)
    if not minutes or not subwords or not {"models/ner", REGISTERED} <= every.keys():
        raise NerError(f"{card} or {lock} has no time or size of a training: run `dvc repro`, which writes both.")
    return Run(
        minutes=float(minutes[1].replace(",", "")) * {"second": 1 / 60, "minute": 1, "hour": 60}[minutes[2]],
        subwords=int(subwords[1].replace(",", "")),
        weights=every["models/ner"] // GRADIENT_BYTES,
        shared_size=sum(size for name in ONCE for size in sizes.get(name, {}).values()),
        own_size=sum(size for name, outs in sizes.items() if name not in ONCE for size in outs.values()),
        registered_size=every[REGISTERED],
        stages=len(stages),
    )


def exchange_s(weights: int, gpus: int, bytes_a_second: float) -> float:
    """Seconds in which a ring adds up the gradients of a step: each GPU sends 2 (n - 1) / n of them."""
    return 2 * (gpus - 1) / gpus * weights * GRADIENT_BYTES / bytes_a_second


def compute_s(weights: int, subwords: int, rate: float) -> float:
    """Seconds that a step's arithmetic takes, forward and backward."""
    return OPERATIONS * weights * subwords / rate


def hiding_subwords(weights: int, gpus: int, bytes_a_second: float, rate: float) -> int:
    """Subwords a GPU and step from which on computing takes as long as adding up, which can then hide behind it."""
    return math.ceil(exchange_s(weights, gpus, bytes_a_second) * rate / (OPERATIONS * weights))


def makespan_h(models: int, workers: int, minutes: float) -> float:
    """Hours until the last of equal trainings has ended, each worker with one at a time."""
    return math.ceil(models / workers) * minutes / 60


def gpu_table(run: Run, batch: int) -> list[list[str]]:
    """A row a link: what a step of `batch` subwords a GPU costs, and what would pay."""
    rows = [["link between GPUs", "gradients added up", f"step of {batch:,} subwords a GPU", "efficiency at worst",
             "subwords a GPU that hide it", "steps an epoch then"]]  # fmt: skip
    for name, speed in LINKS.items():
        exchange, compute = exchange_s(run.weights, GPUS, speed), compute_s(run.weights, batch, GPU_RATE)
        enough = hiding_subwords(run.weights, GPUS, speed, GPU_RATE)
        steps = math.ceil(run.subwords / (enough * GPUS))
        rows.append([name, f"{exchange * 1000:.1f} ms", f"{compute * 1000:.1f} ms",
                     f"{compute / (compute + exchange):.0%}", f"{enough:,}", str(steps)])  # fmt: skip
    return rows


def model_table(run: Run) -> list[list[str]]:
    """A row a number of models: hours by number of workers, storage, and entries of the run cache."""
    rows = [["models", *(f"hours, {n} worker{'s' * (n > 1)}" for n in WORKERS), "DVC remote at most", "MLflow",
             "notes in the run cache"]]  # fmt: skip
    for models in MODELS:
        remote, registry = run.shared_size + models * run.own_size, models * run.registered_size
        hours = [f"{makespan_h(models, workers, run.minutes):,.1f}" for workers in WORKERS]
        rows.append([f"{models:,}", *hours, _gigabytes(remote), _gigabytes(registry), f"{models * run.stages:,}"])
    return rows


def tables(run: Run, batch: int) -> str:
    """Both tables in Markdown, under each other."""
    return "\n".join([_markdown(gpu_table(run, batch)), "", _markdown(model_table(run))])


def written(readme: str, text: str) -> str:
    """The README with the tables between the marks. Raises NerError where there are none."""
    before, mark, rest = readme.partition(OPEN)
    _, end, after = rest.partition(CLOSE)
    if not mark or not end:
        raise NerError(f"{README} has no place for the tables: a line {OPEN} and below it {CLOSE}.")
    return f"{before}{OPEN}\n{text}\n{CLOSE}{after}"


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:,.1f} GB"


def _markdown(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the tables into README.md")
    arguments = parser.parse_args()
    text = tables(read_run(LOCK, CARD), read_params().train.batch_size)
    if arguments.write:
        write_text(README, written(README.read_text(encoding="utf-8"), text))
    print(text, flush=True)


if __name__ == "__main__":
    run_stage("scale", main)
