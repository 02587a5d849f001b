"""Batches of about as many subwords, with little padding, in an order that depends only on the seed and the epoch.

    plan = Plan(lengths, 512, seed=42, epochs=2)
    plan.batches(0)                     # the first epoch: lists of indices into `lengths`

Windows are shuffled, those of about one length come together, and the batches are shuffled again. An epoch may read
some of the windows only (`pick`). Every epoch has as many batches as every other, a multiple of `processes`, so that a
learning-rate schedule can be laid over them.
"""

import math
import random
from collections.abc import Callable, Sequence

# Sorted by length together are so many windows, or of large batches so many: more means less padding, and less chance.
NEIGHBOURS, BATCHES = 128, 32

Pick = Callable[[random.Random], list[int]]


class Plan:
    """The batches of each epoch.

    lengths: subwords of each window. size: of a batch, in subwords, padding included (a longer window is a batch of its
    own), or with by_subwords False in windows, whatever their length. pick: which windows an epoch reads, by default
    all. epochs: how many, a part of one counts as one. processes: batches that lie side by side in a step.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        size: int,
        seed: int,
        epochs: float,
        by_subwords: bool = True,
        processes: int = 1,
        pick: Pick | None = None,
    ) -> None:
        self.lengths, self.size, self.by_subwords, self.processes = lengths, size, by_subwords, processes
        everything = list(range(len(lengths)))
        drawn = []
        for epoch in range(math.ceil(epochs)):
            chance = random.Random(f"{seed} {epoch}")
            windows = pick(chance) if pick else list(everything)
            drawn.append((chance, self._grouped(windows, chance)))
        steps = max(len(batches) for _, batches in drawn)
        steps = math.ceil(steps / processes) * processes
        self._epochs = [self._ordered(_split(batches, steps), chance) for chance, batches in drawn]

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self._epochs[0])

    def batches(self, epoch: int) -> list[list[int]]:
        """Return the batches of an epoch, counted from 0; after the last one they begin again."""
        return self._epochs[epoch % len(self._epochs)]

    def _grouped(self, windows: list[int], chance: random.Random) -> list[list[int]]:
        chance.shuffle(windows)
        if not self.by_subwords:
            return [windows[first : first + self.size] for first in range(0, len(windows), self.size)]
        batches, together = [], max(NEIGHBOURS, BATCHES * self.size // max(1, max(self.lengths, default=1)))
        for first in range(0, len(windows), together):
            group = sorted(windows[first : first + together], key=lambda window: -self.lengths[window])
            while group:
                count = max(1, self.size // max(1, self.lengths[group[0]]))
                batches.append(group[:count])
                group = group[count:]
        return batches

    def _ordered(self, batches: list[list[int]], chance: random.Random) -> list[list[int]]:
        """Return the batches shuffled; those of one step are of about one length, so that no process waits for
        another.
        """
        batches = sorted(batches, key=self._padded)
        steps = [batches[first : first + self.processes] for first in range(0, len(batches), self.processes)]
        chance.shuffle(steps)
        return [batch for step in steps for batch in step]

    def _padded(self, batch: list[int]) -> tuple[int, list[int]]:
        return len(batch) * max(self.lengths[window] for window in batch), batch

    def padding(self) -> float:
        """Return the share of padding in what the network reads, over all epochs."""
        batches = [batch for epoch in self._epochs for batch in epoch]
        read = sum(self._padded(batch)[0] for batch in batches)
        return 1 - sum(self.lengths[window] for batch in batches for window in batch) / read


def _split(batches: list[list[int]], steps: int) -> list[list[int]]:
    """Split into so many batches, by halving those with the most windows; with too few windows some are repeated."""
    batches = list(batches)
    while len(batches) < steps:
        largest = max(range(len(batches)), key=lambda index: len(batches[index]))
        batch = batches[largest]
        half = len(batch) // 2
        batches[largest : largest + 1] = [batch[:half], batch[half:]] if half else [batch, batch]
    return batches
