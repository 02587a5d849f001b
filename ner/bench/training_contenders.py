"""Who runs in the benchmark of training: a plain script, as users of transformers write it, and stage `train`.

plain(Path("models/base"), Path("data/prepared"), 8, params, scratch, clock := Clock(2))
clock.result()      # {"seconds": 41.2, "steps": 30, "share_of_steps": 0.94}
"""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from transformers import (
    AutoModelForTokenClassification,
    BatchEncoding,
    DataCollatorForTokenClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from ner.data.prepared import read_manifest
from ner.encoding.tokenizer import load_tokenizer
from ner.encoding.windows import IGNORED
from ner.errors import NerError
from ner.params import Params
from ner.tracking.training_log import TrainingLog
from ner.training.device import use_gpu
from ner.training.run import train

LEARNING_RATE, WEIGHT_DECAY = 2e-5, 0.01  # of the example


def plain(base: Path, prepared: Path, batch: int, params: Params, scratch: Path, clock: TrainerCallback) -> str:
    """Train an epoch by the plain script; returns the precision."""
    trainer = plain_trainer(base, prepared, params, scratch, per_device_train_batch_size=batch)
    trainer.add_callback(clock)
    trainer.train()
    return "fp32"


def plain_trainer(base: Path, prepared: Path, params: Params, scratch: Path, **written: Any) -> Trainer:
    """Return the Trainer with its defaults over single sentences, as the guide of transformers has it.

    written: TrainingArguments, other than those of the example.
    """
    labels, tokenizer = read_manifest(prepared)["labels"], load_tokenizer(base)
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    model = AutoModelForTokenClassification.from_pretrained(base, local_files_only=True, use_safetensors=True, **names)
    example: dict[str, Any] = {
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
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=labelled(tokenizer, prepared / "train.parquet", scratch),
        data_collator=DataCollatorForTokenClassification(tokenizer),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def labelled(tokenizer: Any, path: Path, cache: Path) -> Dataset:
    """Return each sentence of a prepared split alone, with the tag of a token at its first subword."""

    def encode(rows: dict[str, list[Any]]) -> BatchEncoding:
        encoding = tokenizer(rows["tokens"], is_split_into_words=True, truncation=True)
        encoding["labels"] = [
            [
                tags[word] if word is not None and word != before else IGNORED
                for before, word in pairwise([None, *encoding.word_ids(number)])
            ]
            for number, tags in enumerate(rows["ner_tags"])
        ]
        return encoding

    disable_progress_bars()
    sentences = Dataset.from_parquet(str(path), cache_dir=str(cache))
    return sentences.map(encode, batched=True, remove_columns=sentences.column_names)


def ours(base: Path, prepared: Path, params: Params, scratch: Path, clock: TrainerCallback) -> str:
    """Train an epoch as stage `train` does by params.yaml, in one process; returns the precision."""
    changes = {"epochs": 1.0, "keep": "last", "patience": 0, "processes": 1}
    params = params.model_copy(update={"train": params.train.model_copy(update=changes)})
    log = TimedLog(scratch / "reports", clock)
    train(params, prepared, base, scratch / "model", scratch / "checkpoints", log)
    return log.facts["precision"]


class TimedLog(TrainingLog):
    """Gives the training a clock instead of curves, tells MLflow nothing and writes nothing."""

    def __init__(self, reports: Path, clock: TrainerCallback) -> None:
        super().__init__(reports, live=False)
        self.clock = clock

    def callback(self) -> TrainerCallback:
        return self.clock

    def write(self, log_history: list[dict[str, Any]], weights: str | None = None, kept: int | None = None) -> None:
        pass


class Clock(TrainerCallback):
    """Times each step from where its data are asked for to its end; nothing is evaluated or saved in between.

    warm_up: the first steps, which do not count.
    """

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.seconds: list[float] = []
        self.mark = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.mark = now()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds.append(now() - self.mark)
        self.on_epoch_end(args, state, control)
        self.mark = now()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_save = control.should_evaluate = False

    on_evaluate = on_save = on_train_begin  # where a later callback has asked for it all the same

    def result(self) -> dict[str, Any]:
        """Return seconds and number of the steps after the warm-up. Raises NerError where there are none."""
        timed = self.seconds[self.warm_up :]
        if not timed:
            steps = len(self.seconds)
            raise NerError(f"{steps} steps are no more than the {self.warm_up} of warm-up: use more --words.")
        return {"seconds": sum(timed), "steps": len(timed), "share_of_steps": len(timed) / len(self.seconds)}


def now() -> float:
    """Return the time when all that was begun has ended."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
