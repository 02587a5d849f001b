"""Ways of training that stage `train` does not know, for experiments: a callback that lays one over a training.

callback = laid_over(one.technique, curves)        # the Trainer that gets it trains that way
"""

from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import TrainerCallback

from ner.errors import ParamsError
from tasks.experiments_file import TechniqueParams
from tasks.new_model import layers

ADAPTER = "default"


class Technique(TrainerCallback):
    """What `params` name, done to the model in its place; after the training the model has its old shape again.

    - fresh_layers: so many of the top layers start from random weights (Zhang et al., 2021, "Revisiting Few-sample BERT
      Fine-tuning").
    - lora_rank: the encoder's matrices stay, and learn a product of two narrow ones beside them (Hu et al., 2021, alpha
      twice the rank), at the rate of the head; merged at the end.
    - ema_decay: the model that is kept is the exponential moving average of the weights, a step a time.
    - averaged_from: it is their mean over the steps after this share of the training (Izmailov et al., 2018).
    - late_layers: so many of the lowest layers, and what lies under them, learn in the second half of the steps alone;
      before it no gradient is computed for them.

    The evaluations in between are of the weights as they are trained. Nothing of it is in a checkpoint: a stopped
    training begins again.
    """

    def __init__(self, params: TechniqueParams) -> None:
        self.params = params
        self.averaged: AveragedModel | None = None
        self.adapted: LoraModel | None = None
        self.is_early = True  # in the first half of the steps
        self.hook: Any = None

    def __deepcopy__(self, memo: Any) -> "Technique":
        return self  # a copy of the network needs no other

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, optimizer: Any = None, **kwargs: Any
    ) -> None:
        if self.params.fresh_layers:
            begin_anew(model, self.params.fresh_layers)
        if self.params.lora_rank:
            self.adapted = adapt(model, self.params.lora_rank, optimizer)
        if self.params.late_layers:
            self.is_early = state.max_steps > 1
            found = at_least(self.params.late_layers, model, "late_layers")
            self.hook = found[self.params.late_layers - 1].register_forward_hook(self.cut)

    def cut(self, layer: nn.Module, inputs: Any, output: Any) -> Any:
        """End the way of the gradient above a layer, in the first half of the steps."""
        if not self.is_early or not layer.training:
            return output
        return output.detach() if isinstance(output, torch.Tensor) else (output[0].detach(), *output[1:])

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.is_early = state.global_step < state.max_steps // 2
        if self.params.ema_decay is not None:
            self.averaged = self.averaged or AveragedModel(
                model, multi_avg_fn=get_ema_multi_avg_fn(self.params.ema_decay)
            )
            self.averaged.update_parameters(model)
        elif self.params.averaged_from is not None and state.global_step >= self.params.averaged_from * state.max_steps:
            self.averaged = self.averaged or AveragedModel(model)
            self.averaged.update_parameters(model)

    @torch.no_grad()
    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if self.averaged is not None:
            torch._foreach_copy_(list(model.parameters()), list(self.averaged.module.parameters()))
            self.averaged = None
        if self.adapted is not None:
            self.adapted.merge_and_unload()
            self.adapted = None
        if self.hook is not None:
            self.hook.remove()
            self.hook = None


def begin_anew(model: Any, number: int) -> None:
    """Give the top layers random weights. Raises ParamsError where there are not so many."""
    found = at_least(number, model, "fresh_layers")
    for layer, fresh in zip(found[-number:], layers(type(model)(model.config))[-number:], strict=True):
        layer.load_state_dict(fresh.state_dict())


def at_least(number: int, model: Any, key: str) -> nn.ModuleList:
    """The layers of a model. Raises ParamsError, with the technique's key, where it has fewer."""
    found = layers(model)
    if number > len(found):
        raise ParamsError(
            f"experiments.yaml: technique.{key} {number} is more than the {len(found)} layers that are trained."
        )
    return found


def adapt(model: Any, rank: int, optimizer: torch.optim.Optimizer) -> LoraModel:
    """Freeze the encoder's weights and train low-rank additions to them; head and vectors of upper case learn on."""
    core = model.base_model_prefix + "."
    own = [p for name, p in model.named_parameters() if p.requires_grad and not is_encoders(name, core)]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=linear_layers(model, core))
    adapted = LoraModel(model, config, ADAPTER)
    for parameter in own:
        parameter.requires_grad_(True)
    known = {id(parameter) for parameter in own}
    narrow = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
    max(optimizer.param_groups, key=lambda group: (group["initial_lr"], group["weight_decay"]))["params"].extend(narrow)
    return adapted


def is_encoders(name: str, core: str) -> bool:
    """Whether a parameter came with the encoder."""
    return name.startswith(core) and not name.endswith(".case")


def linear_layers(model: Any, core: str) -> list[str]:
    return [name for name, part in model.named_modules() if isinstance(part, nn.Linear) and name.startswith(core)]


def laid_over(params: TechniqueParams | None, callback: TrainerCallback) -> TrainerCallback:
    """The callback, after that of the technique where there is one."""
    return chained(Technique(params), callback) if params else callback


def chained(*callbacks: TrainerCallback) -> TrainerCallback:
    """Several callbacks where one is asked for: each event goes to all that have it, in their order."""

    def told(event: str) -> Any:
        def to_all(_: Any, *args: Any, **kwargs: Any) -> None:
            for callback in callbacks:
                if hasattr(callback, event):
                    getattr(callback, event)(*args, **kwargs)

        return to_all

    events = {name: told(name) for callback in callbacks for name in dir(callback) if name.startswith("on_")}
    return type("Chained", (TrainerCallback,), events)()
