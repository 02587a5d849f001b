"""Who runs in the benchmark of training: a plain script, as users of transformers write it, and stage `train`.

facts = plain(Path("models/base"), Path("data/prepared"), 8, params, scratch, clock)    # {"precision": "fp32", ...}
"""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from ner.bench.step_clock import Clock
from ner.data.prepared import Split, read_manifest, read_split
from ner.encoding.tokenizer import load_tokenizer
from ner.encoding.windows import IGNORED
from ner.params import Params
from ner.tracking.training_log import TrainingLog
from ner.training.device import use_gpu
from ner.training.run import train
from ner.training.trainer import tell_batch

LEARNING_RATE, WEIGHT_DECAY = 2e-5, 0.01  # of the example


def plain(base: Path, prepared: Path, batch: int, params: Params, scratch: Path, clock: Clock) -> dict[str, Any]:
    """Train an epoch by the plain script."""
    trainer = plain_trainer(base, prepared, params, scratch, per_device_train_batch_size=batch)
    trainer.add_callback(clock)
    trainer.train()
    return {"precision": "fp32"}


def plain_trainer(base: Path, prepared: Path, params: Params, scratch: Path, **written: Any) -> "Plain":
    """Return the Trainer with its defaults over single sentences, as the guide of transformers has it.

    written: TrainingArguments, other than those of the example.
    """
    labels, tokenizer = read_manifest(prepared)["labels"], load_tokenizer(base)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    model = AutoModelForTokenClassification.from_pretrained(base, local_files_only=True, use_safetensors=True, **names)
    example = {
        "num_train_epochs": 1,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "save_strategy": "no",
    }
    arguments = TrainingArguments(
        output_dir=str(scratch),
        use_cpu=not use_gpu(params.train),
        report_to=[],
        disable_tqdm=True,
        **(example | written),
    )
    trainer = Plain(
        model=model,
        args=arguments,
        train_dataset=labelled(tokenizer, read_split(prepared, "train")),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


class Plain(Trainer):
    """The Trainer as it is, which tells the clock what it reads."""

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **kwargs: Any) -> torch.Tensor:
        tell_batch(self, inputs)
        return super().training_step(model, inputs, *rest, **kwargs)


def labelled(tokenizer: Any, split: Split) -> list[dict[str, list[int]]]:
    """Return each sentence alone, with the tag of a token at its first subword."""
    encoding = tokenizer(split.tokens, is_split_into_words=True, truncation=True)
    rows = []
    for number, tags in enumerate(split.tag_ids):
        words = [None, *encoding.word_ids(number)]
        labels = [
            tags[word] if word is not None and word != before else IGNORED
            for before, word in zip(words, words[1:], strict=False)
        ]
        rows.append({**{name: encoding[name][number] for name in encoding}, "labels": labels})
    return rows


def ours(
    base: Path, prepared: Path, precision: str | None, params: Params, scratch: Path, clock: TrainerCallback
) -> dict[str, Any]:
    """Train an epoch as stage `train` does by params.yaml, or in another precision, in one process."""
    changes = {"epochs": 1.0, "keep": "last", "patience": 0, "processes": 1} | (
        {"precision": precision} if precision else {}
    )
    params = params.model_copy(update={"train": params.train.model_copy(update=changes)})
    log = TimedLog(scratch / "reports", clock)
    train(params, prepared, base, scratch / "model", scratch / "checkpoints", log)
    return {"precision": log.facts["precision"]}


class TimedLog(TrainingLog):
    """Gives the training a clock instead of curves, tells MLflow nothing and writes nothing."""

    def __init__(self, reports: Path, clock: TrainerCallback) -> None:
        super().__init__(reports, live=False)
        self.clock = clock

    def callback(self) -> TrainerCallback:
        return self.clock

    def write(self, log_history: list[dict[str, Any]], weights: str | None = None, kept: int | None = None) -> None:
        pass
