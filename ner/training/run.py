"""Fine-tunes the encoder for token classification, evaluates after each epoch, and writes the model folder.

train(params, Path("data/prepared"), Path("models/base"), Path("models/ner"), Path("checkpoints"), log)

A killed training goes on from its last checkpoint, in checkpoints/<key of data, encoder and parameters>, and ends with
the same weights.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, logging, set_seed
from transformers.trainer_utils import IntervalStrategy

from ner.common.files import read_json, replacing_folder, sha256_file
from ner.data.prepared import Split, pooled, read_manifest, read_split, to_tags
from ner.encoding.tokenizer import padding_id
from ner.encoding.windows import Window, token_labels
from ner.errors import NerError
from ner.evaluation.scoring import micro_scores
from ner.inference.decoding import best_tags
from ner.inference.tagger import Tagger
from ner.params import EncodingParams, Params, Recipe
from ner.training.batching import Plan
from ner.training.cased_vocabulary import merge_twins
from ner.training.checkpoints import EndEarly, SaveAfterEvaluation, checkpoint_key, kept_step, last_checkpoint
from ner.training.device import compute_the_same_again, computes_in_half, pick_precision, use_gpu
from ner.training.encoder_limits import check_parameters
from ner.training.memory import keep_memory
from ner.training.model import check_reads, load_reader, new_model, parameter_groups
from ner.training.recipe import for_all, table
from ner.training.recipe_facts import choose
from ner.training.trainer import Judge, TokenTrainer
from ner.training.windows import TrainingWindows

LOGS_AN_EPOCH = 50  # points of the training-loss curve
GPU_WORKERS = 2  # processes that pad the next batches while a GPU computes


class Log(Protocol):
    """The interface by which a training logs its facts, curves and end: ner.tracking.training_log.TrainingLog."""

    def start(
        self, params: Params, manifest: dict[str, Any], base: dict[str, Any], facts: dict[str, Any], checkpoints: Path
    ) -> None: ...

    def closed_when_it_ends(self) -> AbstractContextManager[None]: ...

    def callbacks(self) -> list[TrainerCallback]: ...

    def write(self, log_history: list[dict[str, Any]], weights: str | None = None, kept: int | None = None) -> None: ...


def train(
    params: Params,
    prepared: Path,
    base: Path,
    model_folder: Path,
    checkpoints: Path,
    log: Log,
    folds: Mapping[str, Any] | None = None,
) -> None:
    """Fine-tune, evaluate after each epoch on whole validation sentences, and write the model folder.

    folds: what a cross-validation has found. Then it trains on validation too, and no epoch is evaluated.

    Raises ParamsError, before an MLflow run is opened, for a device or precision that this machine has not, and for
    layers or windows that the encoder has not.
    """
    check_parameters(base, params)
    keep_memory()
    if use_gpu(params.train):
        compute_the_same_again()
    manifest = read_manifest(prepared)
    fingerprint = manifest["fingerprint"]
    split, validation = read_split(prepared, "train"), read_split(prepared, "validation")
    if folds:
        fingerprint, split = f"{fingerprint}, with validation", pooled(split, validation)
    recipe, choices = choose(params, base, manifest["labels"], split, split if folds else validation)
    if folds:
        recipe, choices = for_all(recipe, choices, folds)
    params = params.model_copy(update={"train": recipe})
    if choices and os.environ.get("RANK", "0") == "0":
        print(table(choices), flush=True)
    tokenizer, twins = load_reader(base, params.encoding)
    together, longest = documents(split, params.encoding), params.encoding.max_length
    windows = TrainingWindows(tokenizer, split.tokens, together, longest, recipe.sentences_alone)
    plan = batch_plan(windows, recipe)
    folder = checkpoints / checkpoint_key(params, fingerprint, base)
    arguments = training_arguments(recipe, folder, len(plan))
    if folds:
        arguments.eval_strategy = IntervalStrategy.NO
    set_seed(recipe.seed)
    model = new_model(base, manifest["labels"], params.encoding, recipe, twins)
    check_reads(model, tokenizer, params.encoding.max_length)
    groups = parameter_groups(model, recipe)
    about = facts(recipe, windows, plan, split) | {"recipe": {choice.key: choice.why for choice in choices}}
    about |= {"folds": folds} if folds else {}
    log.start(params, manifest, read_json(base.with_suffix(".json")), about, folder)
    with log.closed_when_it_ends():
        trainer = TokenTrainer(
            model=model,
            args=arguments,
            features=features(windows.windows, split),
            plan=plan,
            groups=groups,
            judge=judge(tokenizer, validation, params),
            half=computes_in_half(recipe),
            label_smoothing=recipe.label_smoothing,
            pad_token_id=padding_id(tokenizer),
            callbacks=[SaveAfterEvaluation(), EndEarly(recipe.patience), *log.callbacks()],
        )
        trainer.remove_callback(PrinterCallback)  # the log's own lines say the same, with the time left
        trainer.train(resume_from_checkpoint=last_checkpoint(folder))
        if trainer.is_world_process_zero():
            weights, kept = write_model(trainer, tokenizer, model_folder), kept_step(trainer.state)
            if kept < trainer.state.global_step:
                print(
                    f"the weights are those of step {kept} of {trainer.state.global_step}, the best epoch", flush=True
                )
            log.write(trainer.state.log_history, weights, kept)
            shutil.rmtree(folder, ignore_errors=True)
        trainer.accelerator.wait_for_everyone()


def write_model(trainer: TokenTrainer, tokenizer: Any, folder: Path) -> str:
    """Write the trained model and its tokenizer, and return the sha256 of the weights."""
    trained = trainer.accelerator.unwrap_model(trainer.model)
    merge_twins(trained)
    with replacing_folder(folder) as temporary:
        trained.save_pretrained(temporary, max_shard_size="100GB")
        tokenizer.save_pretrained(temporary)
    return sha256_file(folder / "model.safetensors")


def documents(split: Split, params: EncodingParams) -> list[int] | None:
    """Return the documents for encode_windows: neighbours share a window, or (context: sentence) each sentence is
    alone.
    """
    return split.document_ids if params.context == "document" else None


def batch_plan(windows: TrainingWindows, params: Recipe) -> Plan:
    """Return the batches of every epoch."""
    return Plan(
        [len(window.input_ids) for window in windows.windows],
        params.batch_size,
        by_subwords=params.batch_by == "subwords",
        seed=params.seed,
        epochs=params.epochs,
        processes=params.processes * params.gradient_accumulation,
        pick=windows.pick,
    )


def features(windows: list[Window], split: Split) -> list[dict[str, list[int]]]:
    """Return input_ids and labels of each window, in order; where the windows read the split twice, so do its tags."""
    tags = cycle([tag for sentence in split.tag_ids for tag in sentence])
    return [
        {"input_ids": window.input_ids, "labels": token_labels(window, [next(tags) for _ in window.positions])}
        for window in windows
    ]


def judge(tokenizer: Any, split: Split, params: Params) -> Judge:
    """Return a function that scores a model on whole sentences of a split, read as the model is trained."""
    tags = torch.tensor([tag for sentence in split.tag_ids for tag in sentence])

    def scores(model: Any) -> dict[str, float]:
        tagger = Tagger(model, tokenizer, params.encoding.max_length, str(model.device))
        logits = tagger.logits(split.tokens, documents(split, params.encoding))
        predicted = to_tags([best_tags(rows, tagger.labels) for rows in logits], tagger.labels)
        loss = float(cross_entropy(torch.from_numpy(np.concatenate(logits)), tags))
        results = micro_scores(to_tags(split.tag_ids, tagger.labels), predicted)
        return {"eval_loss": loss, **{f"eval_{name}": value for name, value in results.items()}}

    return scores


def training_arguments(params: Recipe, folder: Path, batches: int) -> TrainingArguments:
    """Translate our parameters; batches: of an epoch, over all processes."""
    on_gpu = use_gpu(params)
    precision = pick_precision(params, on_gpu)
    steps_an_epoch = batches // (params.processes * params.gradient_accumulation)
    steps = max(1, int(steps_an_epoch * params.epochs))
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=params.epochs,
        learning_rate=params.learning_rate,
        lr_scheduler_type=params.schedule,
        warmup_steps=round(params.warmup * steps),
        gradient_accumulation_steps=params.gradient_accumulation,
        weight_decay=params.weight_decay,
        adam_beta1=params.adam_beta1,
        adam_beta2=params.adam_beta2,
        adam_epsilon=params.adam_epsilon,
        max_grad_norm=params.max_grad_norm,
        seed=params.seed,
        data_seed=params.seed,
        use_cpu=not on_gpu,
        bf16=precision == "bf16" and not computes_in_half(params),
        fp16=precision == "fp16",
        tf32=True if on_gpu else None,
        torch_compile=params.compile and on_gpu,
        dataloader_num_workers=GPU_WORKERS if on_gpu else 0,
        accelerator_config={"even_batches": False, "non_blocking": on_gpu},  # the plan is even already
        logging_nan_inf_filter=not on_gpu,  # it would wait for the loss of every step
        ddp_backend=None if on_gpu or params.processes == 1 else "gloo",
        eval_strategy="epoch",
        logging_steps=max(1, steps_an_epoch // LOGS_AN_EPOCH),
        save_strategy=params.keep if params.keep == "best" else "steps",
        load_best_model_at_end=params.keep == "best",
        metric_for_best_model="rank" if params.keep == "best" else None,
        greater_is_better=True,
        save_steps=max(1, steps // params.checkpoints),
        save_total_limit=1,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=not sys.stderr.isatty(),
    )


def facts(params: Recipe, windows: TrainingWindows, plan: Plan, split: Split) -> dict[str, Any]:
    """Return the facts of a training that params.yaml does not set: device, precision, sizes."""
    on_gpu = use_gpu(params)
    packed = windows.windows[: windows.packed]
    return {
        "device": "cuda" if on_gpu else "cpu",
        "precision": pick_precision(params, on_gpu),
        "windows": len(packed),
        "subwords": sum(len(window.input_ids) for window in packed),
        "words": sum(len(tokens) for tokens in split.tokens),
        "padding": round(plan.padding(), 4),
    }


def check_validated(validated: Path, fingerprint: str) -> None:
    """Raise NerError unless `validate` has passed exactly this data."""
    if read_json(validated).get("fingerprint") != fingerprint:
        raise NerError(f"{validated} is about other data than data/prepared holds: run `dvc repro validate` first.")


def prepare_libraries(prepared: Path, validated: Path) -> None:
    """Silence transformers before a training. Raises NerError unless `validate` has passed this data."""
    check_validated(validated, read_manifest(prepared)["fingerprint"])
    logging.set_verbosity_error()  # or every start reports that the classification head is new
    logging.disable_progress_bar()  # of loading and saving; the Trainer has its own
