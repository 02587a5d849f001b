"""A callback of the Trainer that times optimizer steps and counts what the network reads in them.

clock = Clock(warm_up=2)
Trainer(..., callbacks=[clock]).train()
clock.result()      # {"seconds": 41.2, "subwords": 5210, "share_of_subwords": 0.91, "padding": 0.02, ...}
"""

import time
from typing import Any, NamedTuple

import torch
from transformers import TrainerCallback

from ner.errors import NerError


class Step(NamedTuple):
    """One optimizer step."""

    seconds: float
    subwords: int
    cells: int  # subwords and padding


class Clock(TrainerCallback):
    """Counts from where a step's data are asked for to its end; there is no evaluation and no checkpoint meanwhile.

    warm_up: the first steps, which do not count.
    """

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.steps: list[Step] = []
        self.mark = 0.0
        self.read: list[torch.Tensor] = []  # kept where they are, or a GPU would have to wait for each
        self.cells = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.mark = now()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        seconds = now() - self.mark
        subwords = int(sum(self.read, torch.tensor(0)))
        self.steps.append(Step(seconds, subwords, self.cells))
        self.on_epoch_end(args, state, control)
        self.read, self.cells, self.mark = [], 0, now()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_save = control.should_evaluate = False

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.mark = now()  # where a later callback has asked for it all the same

    on_save = on_evaluate

    def on_batch(self, inputs: dict[str, Any]) -> None:
        """Count a batch; ner.training.trainer.tell_batch gives it."""
        mask = inputs.get("attention_mask")
        read = torch.ones_like(inputs["input_ids"]) if mask is None else mask
        self.read.append(read.sum().cpu() if read.device.type == "cpu" else read.sum())
        self.cells += read.numel()

    def result(self) -> dict[str, Any]:
        """Return sums over the steps after the warm-up. Raises NerError where there are none.

        share_of_subwords: theirs among those of all steps.
        """
        timed = self.steps[self.warm_up :]
        if not timed:
            raise NerError(f"{len(self.steps)} steps are no more than the {self.warm_up} of warm-up: use more --words.")
        subwords = sum(step.subwords for step in timed)
        return {
            "seconds": sum(step.seconds for step in timed),
            "steps": len(timed),
            "subwords": subwords,
            "share_of_subwords": subwords / sum(step.subwords for step in self.steps),
            "padding": 1 - subwords / sum(step.cells for step in timed),
        }


def now() -> float:
    """Return the time when all that was begun has ended."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
