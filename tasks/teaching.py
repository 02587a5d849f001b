"""Distillation, for experiments: a callback that lets a model learn from other models' probabilities as well.

callback = Teaching([folder_of_a_model, ...])        # the Trainer that gets it trains that way
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, TrainerCallback

from tasks.experiments_file import Experiment
from tasks.techniques import chained, laid_over

SHARE = 0.5  # of the loss


class Teaching(TrainerCallback):
    """Half of the loss is the cross-entropy with the annotated tags, half that with the teachers' mean probabilities.

    After Hinton et al., 2015, "Distilling the Knowledge in a Neural Network", at temperature 1. The teachers read every
    batch beside the model, so that windows which are drawn anew are taught too. The batches of a step are not summed up
    (train.gradient_accumulation: 1).
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self.teachers: list[Any] = []

    def __deepcopy__(self, memo: Any) -> "Teaching":
        return self  # a copy of the network has the same teachers

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.teachers = [
            AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True, local_files_only=True).eval()
            for folder in self.folders
        ]
        model.register_forward_hook(self.teach, with_kwargs=True)

    def teach(self, model: Any, _: Any, inputs: dict[str, Any], output: Any) -> None:
        """Mix the teachers' part into the gradient of the logits, while the model is trained."""
        if not model.training:
            return
        like = next(model.parameters())
        read = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            said = [teacher.to(like.device, like.dtype)(**read).logits for teacher in self.teachers]
            wanted = torch.stack([logits.float().softmax(-1) for logits in said]).mean(0)
            found = output.logits.float().softmax(-1)

        def mixed(gradient: torch.Tensor) -> torch.Tensor:
            """That of a mean cross-entropy is (probability - wanted) / tokens; it is 0 where a token has no tag."""
            has_tag = (gradient != 0).any(-1, keepdim=True)
            taught = (found - wanted).to(gradient.dtype) * has_tag / has_tag.sum().clamp(min=1)
            return torch.lerp(gradient, taught, SHARE)

        output.logits.register_hook(mixed)

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self.teachers = []


def laid_over_all(one: Experiment, teachers: Sequence[Path], callback: TrainerCallback) -> TrainerCallback:
    """The callback, after those of the experiment's teachers and of its technique, where it has any."""
    taught = chained(Teaching(teachers), callback) if one.taught_by else callback
    return laid_over(one.technique, taught)
