"""What each idea costs: seconds of a short training, the ideas and the baseline by turns on an idle machine.

costs = measure_costs(plan, bases, prepared, scratch, rounds=2)     # {"own-case": {"seconds": 9.1, "ratio": {...}}}

The seconds of the trainings themselves tell little where other programs ran beside them. Here everyone trains an epoch
of the same few documents in a process of its own, and a ratio is one of seconds that were measured in the same round.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ner.errors import NerError
from tasks.bench_report import spread, turns
from tasks.bench_sample import part_by_words
from tasks.experiments_file import BASELINE, Experiment

WORDS = {"train": 2000, "validation": 200}
SEED = 42  # of the draw of documents
WARM_UP = 2  # steps

Timed = Callable[[Experiment, Path, Path, Sequence[Path]], float]


def measure_costs(
    plan: Sequence[Experiment],
    bases: Mapping[str, Path],
    prepared: Path,
    scratch: Path,
    rounds: int,
    timed: Timed | None = None,
    models: Callable[[Sequence[Experiment]], Sequence[Path]] = lambda ones: [],
) -> dict[str, dict[str, Any]]:
    """By name: seconds of a training (median of the rounds), evaluation left out, and their ratio to the baseline's.

    An idea that fails is left out; one that changes the block `prediction` alone trains as the baseline does, and has
    its numbers. timed: by default `apart`, the seconds of an epoch. models: where trainings have left theirs, for ideas
    that are taught. The trainings of teachers and of those that vote are in it, at the baseline's seconds each.
    """
    ideas = {one.name: one for one in reversed(plan)}  # one seed of each
    first = _training(ideas[BASELINE])
    names = [BASELINE, *(name for name in ideas if _training(ideas[name]) != first)]
    with TemporaryDirectory(dir=scratch, prefix="cost-") as folder:
        part = part_by_words(prepared, Path(folder) / "prepared", WORDS, ideas[BASELINE].params, SEED)
        seconds: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            for name in turns([name for name in names if len(seconds[name]) == number], number):
                one = ideas[name]
                try:
                    teachers = models(one.others()) if one.taught_by else []
                    epoch = (timed or apart)(one, bases[one.params.model.base], part, teachers)
                except (NerError, OSError) as error:  # of this idea's values
                    print(f"{name}: {error}", flush=True)
                    continue
                seconds[name].append(epoch * one.params.train.epochs)
                print(f"round {number + 1} of {rounds}: {name}, {seconds[name][-1]:.1f} s", flush=True)
    measured = {
        name: [mine + len(one.others()) * base for mine, base in zip(own, seconds[BASELINE], strict=False)]
        for name, one in ideas.items()
        if (own := seconds.get(name, seconds[BASELINE]))
    }
    return {
        name: {"seconds": statistics.median(own), "ratio": spread(own, seconds[BASELINE])}
        for name, own in measured.items()
    }


def _training(one: Experiment) -> tuple[Any, ...]:
    tree = one.params.model_dump(include={"model", "encoding", "train"})
    tree["train"].pop("seed")
    return tree, one.technique, one.taught_by


def apart(one: Experiment, base: Path, part: Path, teachers: Sequence[Path]) -> float:
    """Measure in a process of its own, so that nobody's settings, memory or caches are another's."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(epoch_seconds, one, base, part, teachers).result()


def epoch_seconds(one: Experiment, base: Path, part: Path, teachers: Sequence[Path]) -> float:
    """Seconds of an epoch over the training split of `part`, from its steps after the first two."""
    from transformers import logging

    from tasks.teaching import laid_over_all
    from tasks.training_clock import Clock
    from tasks.training_contenders import ours

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    clock = Clock(WARM_UP)
    with TemporaryDirectory(prefix="work-", dir=part.parent) as folder:
        ours(base, part, None, one.params, Path(folder), laid_over_all(one, teachers, clock))
    found = clock.result()
    return found["seconds"] / found["share_of_subwords"]
