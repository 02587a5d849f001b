"""The Trainer of Transformers with this project's batches, bf16, learning rates by layer, and evaluation by the
prediction core.

trainer = TokenTrainer(model=model, args=arguments, features=rows, plan=plan, groups=groups, judge=judge, half=True)
"""

from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_all_start_methods
from typing import Any, cast

import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import Trainer, TrainingArguments

from ner.encoding.windows import IGNORED
from ner.training.batching import Plan
from ner.training.bf16 import HalfCopy, Update
from ner.training.checkpoints import rank
from ner.training.cuda_graphs import RecordedSteps

Judge = Callable[[Any], dict[str, float]]
LENGTHS = 8  # windows of recorded steps are padded to a multiple of it: fewer shapes, each of which is recorded


class TokenTrainer(Trainer):
    """A Trainer for token classification. features: input_ids and labels of each window of the plan. groups: parameters
    with learning rate and decay, and the name under which the rate is logged.

    judge: scores a model after each epoch: eval_loss and the like. half: compute by ner.training.bf16, on a GPU
    recorded
    where a step is one batch; otherwise as the TrainingArguments say. label_smoothing: of the loss.
    A callback with a method `on_batch` is given the inputs of each batch before they are computed.
    """

    def __init__(
        self,
        *,
        features: list[dict[str, list[int]]],
        plan: Plan,
        groups: list[dict[str, Any]],
        judge: Judge,
        half: bool,
        label_smoothing: float,
        pad_token_id: int,
        **kwargs: Any,
    ) -> None:
        take_one_gpu(kwargs["args"])
        super().__init__(
            train_dataset=features, compute_loss_func=token_loss(label_smoothing), eval_dataset=[], **kwargs
        )
        self.plan, self.groups, self.judge, self.pad_token_id = plan, groups, judge, pad_token_id
        self.is_half = half
        self.is_recorded = half and not self.args.use_cpu and self.args.gradient_accumulation_steps == 1
        self._half: HalfCopy | None = None
        self._recorded: RecordedSteps | None = None

    def get_train_dataloader(self) -> DataLoader:
        loader = DataLoader(
            cast(Dataset, self.train_dataset),
            batch_sampler=EpochSampler(self.plan),
            collate_fn=partial(padded, pad_token_id=self.pad_token_id, multiple=LENGTHS if self.is_recorded else 1),
            num_workers=self.args.dataloader_num_workers,
            multiprocessing_context=forked() if self.args.dataloader_num_workers else None,
            pin_memory=self.args.dataloader_pin_memory and not self.args.use_cpu,
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            kind, settings = Trainer.get_optimizer_cls_and_kwargs(self.args)
            self.optimizer = kind(self.groups, **settings)
        return self.optimizer

    def _get_learning_rate(self) -> float:
        """Return the learning rate of the first group, before the schedule moves on; `log` logs those of all groups."""
        now = zip(self.groups, cast(LRScheduler, self.lr_scheduler).get_last_lr(), strict=True)
        self.rates = {group["name"]: rate for group, rate in now}
        return super()._get_learning_rate()

    def log(self, logs: dict[str, float], *arguments: Any) -> None:
        if "learning_rate" in logs:
            del logs["learning_rate"]
            logs |= self.rates
        super().log(logs, *arguments)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        tell_batch(self, inputs)
        if not self.is_half:
            return super().training_step(model, inputs, num_items_in_batch)
        if self._half is None:
            self._half = HalfCopy(self.model)  # not before: a resumed run has its weights only now
            self._recorded = self.recorded_steps(self._half) if self.is_recorded else None
        inputs = self._prepare_inputs(inputs)
        if self._recorded is not None:
            return self._recorded(inputs, num_items_in_batch)
        return self._half.step(self.loss_of, inputs, num_items_in_batch)

    def recorded_steps(self, half: HalfCopy) -> RecordedSteps:
        optimizer: Any = getattr(self.optimizer, "optimizer", self.optimizer)  # accelerate wraps it
        return RecordedSteps(half, self.loss_of, Update(half, optimizer, self.args.max_grad_norm))

    def _clip_grad_norm(self, model: Any) -> torch.Tensor:
        """Return the norm of the gradients; recorded steps have clipped them, and moved the weights, already."""
        return super()._clip_grad_norm(model) if self._recorded is None else self._recorded.norm

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        return super()._get_grad_norm(model, grad_norm) if self._recorded is None else self._recorded.norm

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0 operations: nobody reads their sum, and counting would walk all parameters at every step."""
        return 0

    def loss_of(self, model: Any, inputs: dict[str, Any], count: torch.Tensor) -> torch.Tensor:
        """Return the loss of a model. count: tokens with a tag in the whole step."""
        return cast(torch.Tensor, self.compute_loss(model, dict(inputs), num_items_in_batch=count))

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Return the scores by `judge`, computed once and sent to all processes."""
        model = self.accelerator.unwrap_model(self.model)
        if self._half is not None:
            model = self._half.refreshed()
        scores = [self.judge(model) if self.is_world_process_zero() else {}]
        if self.args.world_size > 1:
            torch.distributed.broadcast_object_list(scores)
        model.train()
        self.log(scores[0])
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores[0])
        return scores[0] | {"eval_rank": rank(scores[0])}


class EpochSampler(Sampler[list[int]]):
    """The batches of the epoch that the Trainer names by set_epoch."""

    batch_size = None  # varies; accelerate asks
    drop_last = False

    def __init__(self, plan: Plan) -> None:
        self.plan, self.epoch = plan, 0

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.plan.batches(self.epoch))

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def forked() -> str | None:
    """Return how data workers are started: by a fork, also where Python's default would import everything anew."""
    return "fork" if "fork" in get_all_start_methods() else None


def take_one_gpu(arguments: TrainingArguments) -> None:
    """Keep the Trainer from spreading the batches of one process over every GPU that it sees (DataParallel).

    train.processes says how many GPUs there are to be. TrainingArguments have no public setting for it.
    """
    arguments._n_gpu = min(1, arguments.n_gpu)


def tell_batch(trainer: Trainer, inputs: dict[str, Any]) -> None:
    """Give the inputs of a batch to those callbacks that have a method `on_batch`."""
    for callback in trainer.callback_handler.callbacks:
        if hasattr(callback, "on_batch"):
            callback.on_batch(inputs)


def token_loss(label_smoothing: float) -> Callable[..., torch.Tensor]:
    """Return the cross-entropy per token, averaged over the tokens of a step, in all its batches and processes
    alike.
    """

    def loss(outputs: Any, labels: torch.Tensor, num_items_in_batch: Any = None) -> torch.Tensor:
        logits = outputs.logits.float().flatten(0, 1)
        total = cross_entropy(
            logits, labels.flatten(), ignore_index=IGNORED, reduction="sum", label_smoothing=label_smoothing
        )
        return total / (num_items_in_batch if num_items_in_batch is not None else (labels != IGNORED).sum())

    return loss


def padded(rows: list[dict[str, list[int]]], pad_token_id: int, multiple: int = 1) -> dict[str, torch.Tensor]:
    """Return input_ids, attention_mask and labels of windows, each [windows, subwords of the longest, up to a
    multiple].
    """
    longest = -(-max(len(row["input_ids"]) for row in rows) // multiple) * multiple
    ids = torch.full((len(rows), longest), pad_token_id)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for index, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[index, :length] = torch.tensor(row["input_ids"])
        labels[index, :length] = torch.tensor(row["labels"])
        mask[index, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
