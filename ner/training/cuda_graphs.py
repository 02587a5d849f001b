"""Whole training steps recorded as CUDA graphs, one for each shape of a batch, and then replayed.

step = RecordedSteps(half, loss_of, Update(half, optimizer, max_norm=1.0))
loss = step(inputs, count)                  # the parameters of the model have moved
"""

import sys
from collections import Counter
from typing import NamedTuple

import torch

from ner.training.bf16 import HalfCopy, LossOf, Update

LAUNCHED = 1  # times that a shape is met before it is recorded: a rare one is not worth it


class Recording(NamedTuple):
    """A CUDA graph and the tensors that it reads and writes. tokens: how many have a tag; norm: of the gradients."""

    graph: torch.cuda.CUDAGraph
    inputs: dict[str, torch.Tensor]
    tokens: torch.Tensor
    loss: torch.Tensor
    norm: torch.Tensor


class RecordedSteps:
    """Whole steps, update and all, that are recorded as a CUDA graph, one for each shape of a batch, and then replayed.

    The kernels of a small batch take longer to launch one by one than to run; a graph is launched at once. Each batch
    is a step of its own (gradient_accumulation: 1), and nobody sees its gradients. norm: that of the last step's.
    A network that cannot be recorded (it asks the GPU for a value midway) goes on being launched, which a line says.
    See CUDA's programming guide, "CUDA Graphs", and torch.cuda.CUDAGraph.
    """

    def __init__(self, half: HalfCopy, loss_of: LossOf, update: Update) -> None:
        self.half, self.loss_of, self.update = half, loss_of, update
        self.met: Counter[torch.Size] = Counter()
        self.recordings: dict[torch.Size, Recording] = {}
        self.can_record = True
        self.norm = torch.zeros(())

    def __call__(self, inputs: dict[str, torch.Tensor], count: torch.Tensor) -> torch.Tensor:
        """Run one step and return its loss. count: how many of its tokens have a tag."""
        self.update.refresh()
        shape = inputs["input_ids"].shape
        self.met[shape] += 1
        if shape not in self.recordings and self.is_due(shape):
            self.record(shape, inputs, count)
        recording = self.recordings.get(shape)
        if recording is None:
            loss, self.norm = self.step(inputs, count)
            return loss
        for name, value in inputs.items():
            recording.inputs[name].copy_(value)
        recording.tokens.copy_(count)
        recording.graph.replay()
        self.norm = recording.norm
        return recording.loss.clone()

    def is_due(self, shape: torch.Size) -> bool:
        return self.can_record and self.met[shape] > LAUNCHED and not self.half.has_hooks()

    def step(
        self, inputs: dict[str, torch.Tensor], count: torch.Tensor, is_recording: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return loss and gradient norm of a step that is launched kernel by kernel."""
        return self.half.step(self.loss_of, inputs, count), self.update(is_recording)

    def record(self, shape: torch.Size, inputs: dict[str, torch.Tensor], count: torch.Tensor) -> None:
        """Record a step of that shape, without computing it."""
        inputs, count = {name: value.clone() for name, value in inputs.items()}, count.clone()
        pool = next((known.graph.pool() for known in self.recordings.values()), None)
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: the next batches are pinned by another thread meanwhile
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                loss, norm = self.step(inputs, count, is_recording=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            print(f"steps are launched kernel by kernel, this network cannot be recorded: {reason}", file=sys.stderr)
            self.can_record = False
            self.update.forget()
            self.half.forget()
            return
        self.recordings[shape] = Recording(graph, inputs, count, loss, norm)
