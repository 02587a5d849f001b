"""Stage `train`: fine-tune the encoder for token classification.

Run     python -m tasks.train        (DVC runs the same line; train.processes > 1 starts torchrun by itself)
Reads   data/prepared, data/validated.json, models/base, models/base.json, params.yaml [encoding, train]
Writes  models/ner, reports/training.json, reports/history.csv (an epoch a row), reports/loss.csv

A killed run goes on from its last checkpoint, in checkpoints/<key of data, encoder and parameters>, and ends with the
same weights. Curves go to MLflow while it trains; without MLflow the training goes on and later stages send them.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    logging,
    set_seed,
)

from ner.encoding import IGNORED, Window, encode_windows, token_labels
from ner.errors import NerError, ParamsError
from ner.params import EncodingParams, Params, TrainParams
from ner.prediction import MAX_LENGTH, load_tokenizer
from ner.scoring import micro_scores
from tasks.cli import run_stage
from tasks.io import read_json, read_params, replacing_folder, sha256_folder
from tasks.prepared import Split, read_manifest, read_split
from tasks.training_log import ProgressLines, TrainingLog, hardware

PREPARED, VALIDATED, BASE = Path("data/prepared"), Path("data/validated.json"), Path("models/base")
MODEL, CHECKPOINTS, REPORTS = Path("models/ner"), Path("checkpoints"), Path("reports")
LOGS_AN_EPOCH = 50  # points of the training-loss curve


def train(params: Params, prepared: Path, base: Path, model_folder: Path, checkpoints: Path, log: TrainingLog) -> None:
    """Fine-tune, evaluate after each epoch on whole validation sentences, and write the model folder.

    Raises ParamsError for a device or precision that this machine has not.
    """
    manifest = read_manifest(prepared)
    tokenizer = load_tokenizer(base)
    train_split, validation = read_split(prepared, "train"), read_split(prepared, "validation")
    train_windows = split_windows(tokenizer, train_split, params.encoding)
    validation_windows = split_windows(tokenizer, validation, params.encoding)
    folder = checkpoints / checkpoint_key(params, manifest["fingerprint"], base)
    arguments = training_arguments(params.train, folder, len(train_windows))
    log.start(params, manifest, read_json(base.with_suffix(".json")), facts(arguments, train_windows, train_split))
    set_seed(params.train.seed)
    trainer = Trainer(
        model=new_model(base, manifest["labels"], params.encoding),
        args=arguments,
        train_dataset=features(train_windows, train_split),
        eval_dataset=features(validation_windows, validation),
        data_collator=DataCollatorForTokenClassification(tokenizer, pad_to_multiple_of=8),
        compute_metrics=sentence_metrics(validation, manifest["labels"]),
        preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1),
        callbacks=[SaveAfterEvaluation(), log.callback(), ProgressLines()],
    )
    trainer.remove_callback(PrinterCallback)  # ProgressLines says the same, with the time left
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    if trainer.is_world_process_zero():
        with replacing_folder(model_folder) as temporary:
            trainer.accelerator.unwrap_model(trainer.model).save_pretrained(temporary, max_shard_size="100GB")
            tokenizer.save_pretrained(temporary)
        log.write(trainer.state.log_history)
        shutil.rmtree(folder, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()


class SaveAfterEvaluation(TrainerCallback):
    """Writes a checkpoint that is due with an epoch's last step after the evaluation, not before it.

    The evaluation moves the random generator and adds to the history; a run that went on from before it would skip it.
    """

    is_due = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self.is_due = control.should_save and (state.epoch % 1 == 0 or state.global_step >= state.max_steps)
        if self.is_due:
            control.should_save = False
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self.is_due:
            control.should_save, self.is_due = True, False
        return control


def split_windows(tokenizer: Any, split: Split, params: EncodingParams) -> list[Window]:
    """The windows of a split: neighbours of one document together, or (context: sentence) each sentence alone."""
    documents = split.document_ids if params.context == "document" else None
    return encode_windows(tokenizer, split.tokens, documents, params.max_length)


def features(windows: list[Window], split: Split) -> list[dict[str, list[int]]]:
    """What the collator pads: input_ids and labels of each window, in order."""
    tags = iter(tag for sentence in split.tag_ids for tag in sentence)
    return [
        {"input_ids": window.input_ids, "labels": token_labels(window, [next(tags) for _ in window.positions])}
        for window in windows
    ]


def sentence_metrics(split: Split, labels: list[str]) -> Any:
    """A compute_metrics for the Trainer that puts the windows' predictions together to whole sentences again."""
    ends = np.cumsum([len(tokens) for tokens in split.tokens])[:-1]
    names = np.array(labels, dtype=object)
    gold = [names[tags].tolist() for tags in split.tag_ids]

    def compute(prediction: Any) -> dict[str, float]:
        flat = names[prediction.predictions[prediction.label_ids != IGNORED]]
        return micro_scores(gold, [part.tolist() for part in np.split(flat, ends)])

    return compute


def new_model(base: Path, labels: list[str], encoding: EncodingParams) -> Any:
    """The encoder with a fresh classification head; its config remembers the tags and the window."""
    model = AutoModelForTokenClassification.from_pretrained(
        base,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
        use_safetensors=True,
        local_files_only=True,
        dtype=torch.float32,
    )
    setattr(model.config, MAX_LENGTH, encoding.max_length)
    model.config.ner_context = encoding.context
    return model


def training_arguments(params: TrainParams, folder: Path, windows: int) -> TrainingArguments:
    """Translate our parameters; steps are counted as the Trainer does, over all processes."""
    on_gpu = use_gpu(params)
    precision = pick_precision(params, on_gpu)
    per_step = params.batch_size * params.processes * params.gradient_accumulation
    steps_an_epoch = -(-windows // per_step)
    steps = max(1, int(steps_an_epoch * params.epochs))
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=params.epochs,
        learning_rate=params.learning_rate,
        lr_scheduler_type=params.schedule,
        warmup_steps=round(params.warmup * steps),
        per_device_train_batch_size=params.batch_size,
        per_device_eval_batch_size=params.eval_batch_size,
        gradient_accumulation_steps=params.gradient_accumulation,
        weight_decay=params.weight_decay,
        adam_beta1=params.adam_beta1,
        adam_beta2=params.adam_beta2,
        adam_epsilon=params.adam_epsilon,
        max_grad_norm=params.max_grad_norm,
        seed=params.seed,
        data_seed=params.seed,
        full_determinism=on_gpu,
        use_cpu=not on_gpu,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        ddp_backend=None if on_gpu or params.processes == 1 else "gloo",
        eval_strategy="epoch",
        logging_steps=max(1, steps_an_epoch // LOGS_AN_EPOCH),
        save_strategy="steps",
        save_steps=max(1, steps // params.checkpoints),
        save_total_limit=1,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=not sys.stderr.isatty(),
    )


def facts(arguments: TrainingArguments, windows: list[Window], split: Split) -> dict[str, Any]:
    """What is measured and resolved rather than set: device, precision, sizes."""
    precision = "bf16" if arguments.bf16 else "fp16" if arguments.fp16 else "fp32"
    return {
        **hardware(not arguments.use_cpu),
        "precision": precision,
        "windows": len(windows),
        "subwords": sum(len(window.input_ids) for window in windows),
        "words": sum(len(tokens) for tokens in split.tokens),
        "checkpoints": arguments.output_dir,
    }


def use_gpu(params: TrainParams) -> bool:
    """Whether to train on CUDA. Raises ParamsError where it is asked for and not there."""
    if params.device == "cuda" and not torch.cuda.is_available():
        raise ParamsError("params.yaml, train.device: no CUDA device is visible here; write auto or cpu.")
    return params.device != "cpu" and torch.cuda.is_available()


def pick_precision(params: TrainParams, on_gpu: bool) -> str:
    """Resolve `auto` to what the hardware multiplies fastest: bf16 where it has instructions for it, else fp16 on GPUs.

    Mixed precision: weights, optimizer and softmax stay in fp32. Raises ParamsError for fp16 on a CPU.
    """
    if on_gpu:
        best = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    else:
        best = "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
    if params.precision == "fp16" and not on_gpu:
        raise ParamsError("params.yaml, train.precision: fp16 needs a GPU; write auto, bf16 or fp32.")
    return best if params.precision == "auto" else params.precision


def checkpoint_key(params: Params, fingerprint: str, base: Path) -> str:
    """16 hex digits that name what a checkpoint belongs to: data, encoder and every parameter of the training."""
    known = [params.train.model_dump(), params.encoding.model_dump(), fingerprint, sha256_folder(base)]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end; one cut short by a kill is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[-1]), reverse=True)
    for path in found:
        try:
            json.loads((path / "trainer_state.json").read_text())  # the Trainer writes it last
        except (OSError, json.JSONDecodeError):
            shutil.rmtree(path)
            continue
        print(f"going on from {path}", flush=True)
        return str(path)
    return None


def check_validated(validated: Path, fingerprint: str) -> None:
    """Raise NerError unless `validate` has passed exactly this data."""
    if read_json(validated).get("fingerprint") != fingerprint:
        raise NerError(f"{validated} is about other data than data/prepared holds: run `dvc repro validate` first.")


def main() -> None:
    params = read_params()
    logging.set_verbosity_error()  # or every start reports that the classification head is new
    logging.disable_progress_bar()  # of loading and saving; the Trainer has its own
    if params.train.processes > 1 and "LOCAL_RANK" not in os.environ:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={params.train.processes}"]
        os.execv(sys.executable, [sys.executable, *launcher, "-m", "tasks.train"])
    check_validated(VALIDATED, read_manifest(PREPARED)["fingerprint"])
    log = TrainingLog(REPORTS, live=os.environ.get("RANK", "0") == "0")
    train(params, PREPARED, BASE, MODEL, CHECKPOINTS, log)


if __name__ == "__main__":
    run_stage("train", main)
