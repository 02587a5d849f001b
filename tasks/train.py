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
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PrinterCallback, TrainerCallback, TrainingArguments, logging, set_seed

from ner.batching import Plan
from ner.case import merge_twins
from ner.decoding import best_tags
from ner.encoding import Window, token_labels
from ner.errors import NerError, ParamsError
from ner.params import EncodingParams, Params, TrainParams
from ner.prediction import Tagger
from ner.scoring import micro_scores
from ner.training_windows import TrainingWindows
from tasks.allocator import keep_memory
from tasks.cli import run_stage
from tasks.io import read_json, read_params, replacing_folder, sha256_folder
from tasks.new_model import load_reader, new_model, parameter_groups
from tasks.prepared import Split, read_manifest, read_split, to_tags
from tasks.trainer import Judge, TokenTrainer
from tasks.training_log import ProgressLines, TrainingLog, hardware

PREPARED, VALIDATED, BASE = Path("data/prepared"), Path("data/validated.json"), Path("models/base")
MODEL, CHECKPOINTS, REPORTS = Path("models/ner"), Path("checkpoints"), Path("reports")
LOGS_AN_EPOCH = 50  # points of the training-loss curve
GPU_WORKERS = 2  # processes that pad the next batches while a GPU computes


def train(params: Params, prepared: Path, base: Path, model_folder: Path, checkpoints: Path, log: TrainingLog) -> None:
    """Fine-tune, evaluate after each epoch on whole validation sentences, and write the model folder.

    Raises ParamsError for a device or precision that this machine has not.
    """
    keep_memory()
    if use_gpu(params.train):
        compute_the_same_again()
    manifest = read_manifest(prepared)
    tokenizer, twins = load_reader(base, params.encoding)
    split, validation = read_split(prepared, "train"), read_split(prepared, "validation")
    together, longest = documents(split, params.encoding), params.encoding.max_length
    windows = TrainingWindows(tokenizer, split.tokens, together, longest, params.train.sentences_alone)
    plan = batch_plan(windows, params.train)
    folder = checkpoints / checkpoint_key(params, manifest["fingerprint"], base)
    arguments = training_arguments(params.train, folder, len(plan))
    log.start(params, manifest, read_json(base.with_suffix(".json")), facts(params.train, folder, windows, plan, split))
    set_seed(params.train.seed)
    model = new_model(base, manifest["labels"], params.encoding, params.train, twins)
    trainer = TokenTrainer(
        model=model,
        args=arguments,
        features=features(windows.windows, split),
        plan=plan,
        groups=parameter_groups(model, params.train),
        judge=judge(tokenizer, validation, params),
        half=computes_in_half(params.train),
        label_smoothing=params.train.label_smoothing,
        pad_token_id=tokenizer.pad_token_id,
        callbacks=[SaveAfterEvaluation(), log.callback(), ProgressLines()],
    )
    trainer.remove_callback(PrinterCallback)  # ProgressLines says the same, with the time left
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    if trainer.is_world_process_zero():
        trained = trainer.accelerator.unwrap_model(trainer.model)
        merge_twins(trained)
        with replacing_folder(model_folder) as temporary:
            trained.save_pretrained(temporary, max_shard_size="100GB")
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


def documents(split: Split, params: EncodingParams) -> list[int] | None:
    """What encode_windows takes: neighbours of one document share a window, or (context: sentence) each is alone."""
    return split.document_ids if params.context == "document" else None


def batch_plan(windows: TrainingWindows, params: TrainParams) -> Plan:
    """The batches of every epoch."""
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
    """input_ids and labels of each window, in order; where the windows read the split twice, so do its tags."""
    tags = cycle([tag for sentence in split.tag_ids for tag in sentence])
    return [
        {"input_ids": window.input_ids, "labels": token_labels(window, [next(tags) for _ in window.positions])}
        for window in windows
    ]


def judge(tokenizer: Any, split: Split, params: Params) -> Judge:
    """A function that scores a model on whole sentences of a split, read as the model is trained."""
    tags = torch.tensor([tag for sentence in split.tag_ids for tag in sentence])

    def scores(model: Any) -> dict[str, float]:
        tagger = Tagger(model, tokenizer, params.encoding.max_length, str(model.device))
        logits = tagger.logits(split.tokens, documents(split, params.encoding))
        predicted = to_tags([best_tags(rows, tagger.labels) for rows in logits], tagger.labels)
        loss = float(cross_entropy(torch.from_numpy(np.concatenate(logits)), tags))
        found = micro_scores(to_tags(split.tag_ids, tagger.labels), predicted)
        return {"eval_loss": loss, **{f"eval_{name}": value for name, value in found.items()}}

    return scores


def training_arguments(params: TrainParams, folder: Path, batches: int) -> TrainingArguments:
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
        save_strategy="steps",
        save_steps=max(1, steps // params.checkpoints),
        save_total_limit=1,
        remove_unused_columns=False,
        report_to=[],
        disable_tqdm=not sys.stderr.isatty(),
    )


def facts(params: TrainParams, folder: Path, windows: TrainingWindows, plan: Plan, split: Split) -> dict[str, Any]:
    """What is measured and resolved rather than set: device, precision, sizes."""
    on_gpu = use_gpu(params)
    packed = windows.windows[: windows.packed]
    return {
        **hardware(on_gpu),
        "precision": pick_precision(params, on_gpu),
        "windows": len(packed),
        "subwords": sum(len(window.input_ids) for window in packed),
        "words": sum(len(tokens) for tokens in split.tokens),
        "padding": round(plan.padding(), 4),
        "checkpoints": str(folder),
    }


def computes_in_half(params: TrainParams) -> bool:
    """Whether a bf16 copy of the weights computes: in one process that is not compiled. Elsewhere autocast does it."""
    on_gpu = use_gpu(params)
    is_compiled = on_gpu and params.compile
    return not is_compiled and params.processes == 1 and pick_precision(params, on_gpu) == "bf16"


def compute_the_same_again() -> None:
    """Let CUDA take only kernels whose results do not depend on the order in which its blocks end.

    The Trainer's full_determinism does that too, but also waits for every kernel, gives cuBLAS 128 KiB to work in, and
    new memory is filled before it is written. Source: PyTorch, "Reproducibility".
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False


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
