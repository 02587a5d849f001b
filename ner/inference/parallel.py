"""Batches side by side on the CPU: one thread each, so that none waits for another within a layer."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Batch], Result], batches: Sequence[Batch], threads: int) -> Iterator[Result]:
    """Yield the result of each batch, in order: `threads` of them at a time; a single batch has all threads for itself.

    threads: what torch.set_num_threads takes, and what it has again afterwards; inside, torch computes with one.
    """
    if threads == 1 or len(batches) == 1:
        yield from map(work, batches)
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield from pool.map(work, batches)
        finally:
            torch.set_num_threads(threads)  # a worker's setting is the default of every thread that is new
