"""Forward and backward in bf16, from a copy of the weights that the optimizer keeps in fp32.

half = HalfCopy(model)
step = RecordedSteps(half, loss_of)         # on a GPU: as CUDA graphs; elsewhere half.step does it
loss = step(inputs, count)                  # and the gradients are at the parameters of `model`

The way of mixed-precision training by Micikevicius et al., 2018, without a scale of the loss, which bf16 does not need.
"""

import copy
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

LossOf = Callable[[Any, dict[str, torch.Tensor], torch.Tensor], torch.Tensor]
Pair = tuple[nn.Parameter, nn.Parameter]
LAUNCHED = 2  # times that a shape is met before it is recorded: a rare one is not worth it


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

    def with_gradients(self) -> Iterator[Pair]:
        """The pairs of which the last backward has reached the bf16 one."""
        return (pair for pair in self.pairs if pair[1].grad is not None)

    def has_hooks(self) -> bool:
        """Whether Python code wants to run within the network, where a recording would run it once."""
        return any(module._forward_hooks or module._forward_pre_hooks for module in self.model.modules())


class Recording(NamedTuple):
    """A CUDA graph, the tensors that it reads and writes, and the parameters that its gradients are of."""

    graph: torch.cuda.CUDAGraph
    inputs: dict[str, torch.Tensor]
    count: torch.Tensor
    loss: torch.Tensor
    gradients: list[tuple[nn.Parameter, torch.Tensor]]


class RecordedSteps:
    """Steps of a HalfCopy that are recorded as a CUDA graph, one for each shape of a batch, and then replayed.

    The kernels of a small batch take longer to launch one by one than to run; a graph is launched at once. All graphs
    write the gradients to the same tensors, so a step of the optimizer follows each batch (gradient_accumulation: 1).
    A network that cannot be recorded (it asks the GPU for a value midway) goes on being launched, which a line says.
    See CUDA's programming guide, "CUDA Graphs", and torch.cuda.CUDAGraph.
    """

    def __init__(self, half: HalfCopy, loss_of: LossOf) -> None:
        self.half, self.loss_of = half, loss_of
        self.met: Counter[torch.Size] = Counter()
        self.recordings: dict[torch.Size, Recording] = {}
        self.gradients = [torch.zeros_like(full) for full, _ in half.pairs]
        self.can_record = True

    def __call__(self, inputs: dict[str, torch.Tensor], count: torch.Tensor) -> torch.Tensor:
        """What HalfCopy.step gives."""
        shape = inputs["input_ids"].shape
        self.met[shape] += 1
        if shape not in self.recordings and self.is_due(shape):
            self.record(shape, inputs, count)
        recording = self.recordings.get(shape)
        if recording is None:
            return self.half.step(self.loss_of, inputs, count)
        for name, value in inputs.items():
            recording.inputs[name].copy_(value)
        recording.count.copy_(count)
        recording.graph.replay()
        for parameter, gradient in recording.gradients:
            parameter.grad = gradient
        return recording.loss.clone()

    def is_due(self, shape: torch.Size) -> bool:
        return self.can_record and self.met[shape] > LAUNCHED and not self.half.has_hooks()

    def record(self, shape: torch.Size, inputs: dict[str, torch.Tensor], count: torch.Tensor) -> None:
        """Record a step of that shape; it is not computed by that."""
        inputs, count = {name: value.clone() for name, value in inputs.items()}, count.clone()
        pool = next((known.graph.pool() for known in self.recordings.values()), None)
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: the next batches are pinned by another thread meanwhile
            with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                loss = self.loss_of(self.half.refreshed().train(), inputs, count)
                loss.backward()
                gradients = self.kept_gradients()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            print(f"steps are launched kernel by kernel, this network cannot be recorded: {reason}", file=sys.stderr)
            self.can_record = False
            return
        finally:
            for _, half in self.half.pairs:
                half.grad = None
        self.recordings[shape] = Recording(graph, inputs, count, loss.detach(), gradients)

    @torch.no_grad()
    def kept_gradients(self) -> list[tuple[nn.Parameter, torch.Tensor]]:
        """Copy the gradients of the bf16 model to where they stay, in fp32; the parameters that they are of."""
        own = {half: gradient for (_, half), gradient in zip(self.half.pairs, self.gradients, strict=True)}
        found = list(self.half.with_gradients())
        torch._foreach_copy_([own[half] for _, half in found], [half.grad for _, half in found])
        return [(full, own[half]) for full, half in found]
