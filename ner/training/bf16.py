"""Forward and backward in bf16, from a copy of the weights that the optimizer keeps in fp32.

half = HalfCopy(model)
loss = half.step(loss_of, inputs, count)    # the gradients are at the parameters of `model`
norm = Update(half, optimizer, max_norm=1.0)()      # the parameters of `model` have moved

On a GPU ner/training/cuda_graphs.py records both as one CUDA graph.

The way of mixed-precision training by Micikevicius et al., 2018, without a scale of the loss, which bf16 does not need.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

LossOf = Callable[[Any, dict[str, torch.Tensor], torch.Tensor], torch.Tensor]
Pair = tuple[nn.Parameter, nn.Parameter]


class HalfCopy:
    """A model in bf16 beside the one in fp32 whose parameters are trained. pairs: (fp32, bf16) of each parameter."""

    def __init__(self, model: Any) -> None:
        self.model = copy.deepcopy(model).to(torch.bfloat16)
        pairs = zip(model.parameters(), self.model.parameters(), strict=True)
        self.pairs: list[Pair] = [(full, half) for full, half in pairs if full.requires_grad]

    def step(self, loss_of: LossOf, inputs: dict[str, torch.Tensor], count: torch.Tensor) -> torch.Tensor:
        """Compute the loss of a batch and add its gradients to those of the model in fp32.

        loss_of: of a model, its inputs and how many tokens of the whole step have a tag.
        """
        loss = loss_of(self.refreshed().train(), inputs, count)
        loss.backward()
        self.give_gradients()
        return loss.detach()

    @torch.no_grad()
    def refreshed(self) -> Any:
        """Return the bf16 model with the present weights."""
        torch._foreach_copy_([half for _, half in self.pairs], [full for full, _ in self.pairs])
        return self.model

    @torch.no_grad()
    def give_gradients(self) -> None:
        """Add the gradients of the bf16 model to those of the fp32 model, and clear them."""
        for full, half in self.pairs:
            if half.grad is not None:
                full.grad = half.grad.float() if full.grad is None else full.grad.add_(half.grad)
                half.grad = None

    def forget(self) -> None:
        """Clear the gradients of the bf16 model."""
        for _, half in self.pairs:
            half.grad = None

    def has_hooks(self) -> bool:
        """Whether Python code wants to run within the network, where a recording would run it once."""
        return any(module._forward_hooks or module._forward_pre_hooks for module in self.model.modules())


class Update:
    """The end of a step: gradients are clipped, the optimizer moves the weights, the gradients are cleared.

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
        """Update the weights and return the norm of the gradients before clipping."""
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
        """Clear the gradients."""
        for weights in self.weights:
            weights.grad = None
