"""Forward and backward in bf16, from a copy of the weights that the optimizer keeps in fp32.

half = HalfCopy(model)
loss = half.step(loss_of, inputs, count)    # the gradients are at the parameters of `model`
step = RecordedSteps(half, loss_of, Update(half, optimizer, max_norm=1.0))      # on a GPU, as CUDA graphs:
loss = step(inputs, count)                  # the parameters of `model` have moved

The way of mixed-precision training by Micikevicius et al., 2018, without a scale of the loss, which bf16 does not need.
"""

import copy
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

LossOf = Callable[[Any, dict[str, torch.Tensor], torch.Tensor], torch.Tensor]
Pair = tuple[nn.Parameter, nn.Parameter]
LAUNCHED = 1  # times that a shape is met before it is recorded: a rare one is not worth it


class HalfCopy:
    """A model in bf16 beside the one in fp32 whose parameters are trained. pairs: (fp32, bf16) of each parameter."""

    def __init__(self, model: Any) -> None:
        self.model = copy.deepcopy(model).to(torch.bfloat16)
        pairs = zip(model.parameters(), self.model.parameters(), strict=True)
        self.pairs: list[Pair] = [(full, half) for full, half in pairs if full.requires_grad]

    def step(self, loss_of: LossOf, inputs: dict[str, torch.Tensor], count: torch.Tensor) -> torch.Tensor:
        """The loss of a batch; its gradients are added to those of the model in fp32.

        loss_of: of a model, its inputs and how many tokens of the whole step have a tag.
        """
        loss = loss_of(self.refreshed().train(), inputs, count)
        loss.backward()
        self.give_gradients()
        return loss.detach()

    @torch.no_grad()
    def refreshed(self) -> Any:
        """The bf16 model with the present weights."""
        torch._foreach_copy_([half for _, half in self.pairs], [full for full, _ in self.pairs])
        return self.model

    @torch.no_grad()
    def give_gradients(self) -> None:
        """Add the gradients of the bf16 model to those of the other, and forget them."""
        for full, half in self.with_gradients():
            full.grad = half.grad.float() if full.grad is None else full.grad.add_(half.grad)
            half.grad = None

    def forget(self) -> None:
        """Let go of the gradients of the bf16 model."""
        for _, half in self.pairs:
            half.grad = None

    def with_gradients(self) -> Iterator[Pair]:
        """The pairs of which the last backward has reached the bf16 one."""
        return (pair for pair in self.pairs if pair[1].grad is not None)

    def has_hooks(self) -> bool:
        """Whether Python code wants to run within the network, where a recording would run it once."""
        return any(module._forward_hooks or module._forward_pre_hooks for module in self.model.modules())


class Update:
    """The end of a step: gradients are clipped, the optimizer moves the weights, the gradients are forgotten.

    max_norm: of the gradients of all weights together; 0 clips nothing. The learning rates are read from where they lie
    on the device, so that what is recorded of an update follows the schedule: `refresh` puts them there.
    """

    def __init__(self, half: HalfCopy, optimizer: torch.optim.Optimizer, max_norm: float) -> None:
        self.weights = [full for full, _ in half.pairs]
        self.optimizer, self.max_norm = optimizer, max_norm or math.inf
        self.rates = [torch.zeros((), device=self.weights[0].device) for _ in optimizer.param_groups]

    def refresh(self) -> None:
        """Take the learning rates that the schedule has set."""
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])

    def __call__(self, is_recording: bool = False) -> torch.Tensor:
        """Do it and return the norm of the gradients before."""
        norm = clip_grad_norm_(self.weights, self.max_norm)
        groups = self.optimizer.param_groups
        before = [(group["lr"], group["capturable"]) for group in groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"], group["capturable"] = rate, is_recording
        try:
            self.optimizer.step()
        finally:
            for group, (rate, capturable) in zip(groups, before, strict=True):
                group["lr"], group["capturable"] = rate, capturable
        self.forget()
        return norm

    def forget(self) -> None:
        """Let go of the gradients."""
        for weights in self.weights:
            weights.grad = None


class Recording(NamedTuple):
    """A CUDA graph and the tensors that it reads and writes. norm: of the gradients."""

    graph: torch.cuda.CUDAGraph
    inputs: dict[str, torch.Tensor]
    count: torch.Tensor
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
        """Do the step and return its loss. count: how many of its tokens have a tag."""
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
        recording.count.copy_(count)
        recording.graph.replay()
        self.norm = recording.norm
        return recording.loss.clone()

    def is_due(self, shape: torch.Size) -> bool:
        return self.can_record and self.met[shape] > LAUNCHED and not self.half.has_hooks()

    def step(
        self, inputs: dict[str, torch.Tensor], count: torch.Tensor, is_recording: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss and norm of a step that is launched kernel by kernel."""
        return self.half.step(self.loss_of, inputs, count), self.update(is_recording)

    def record(self, shape: torch.Size, inputs: dict[str, torch.Tensor], count: torch.Tensor) -> None:
        """Record a step of that shape; it is not computed by that."""
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
