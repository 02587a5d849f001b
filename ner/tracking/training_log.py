"""The log of a training: lines on the terminal, curves in MLflow while it runs, and the reports at its end."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from filelock import FileLock, Timeout
from transformers import TrainerCallback

from ner.common.files import read_json, write_json, write_text
from ner.common.lock import acquire
from ner.common.place import git_refusal
from ner.common.provenance import provenance
from ner.common.stages import read_stages, shaping
from ner.common.tables import to_csv
from ner.params import Params, flatten
from ner.tracking.determined import write_training
from ner.tracking.live_run import LiveRun, watch_system
from ner.tracking.nested_runs import Child, adopt
from ner.tracking.runs import run_name, try_tag_training

CURVES = {
    "loss": "train/loss",
    "grad_norm": "train/grad_norm",
    "eval_loss": "validation/loss",
    "eval_precision": "validation/precision",
    "eval_recall": "validation/recall",
    "eval_f1": "validation/f1",
    "eval_accuracy": "validation/accuracy",
}
NOTE, LOCK = "mlflow_run.json", "training.lock"  # in the folder of checkpoints
RATE = "learning_rate"  # how the names of the groups' rates begin (ner/training/model.py)
ROOT = Path(__file__).resolve().parents[2]
HISTORY = ["epoch", "step", "training_loss", "validation_loss", "precision", "recall", "f1", "accuracy"]


class TrainingLog:
    """Facts and curves of one training, sent to MLflow as they come and written to `reports` at the end.

    facts: what the inputs determine. measured: what is measured or named anew each time; the two lie apart.
    """

    def __init__(self, reports: Path, live: bool = True) -> None:
        self.reports, self.live = reports, live
        self.began = time.monotonic()  # a clock that is set meanwhile makes no time negative
        self.cpu_began = cpu_seconds()
        self.facts: dict[str, Any] = {}
        self.measured: dict[str, Any] = {}
        self.run: LiveRun | None = None
        self.lock: FileLock | None = None  # held while the training goes on, and let go by a kill

    def start(
        self, params: Params, manifest: dict[str, Any], base: dict[str, Any], facts: dict[str, Any], checkpoints: Path
    ) -> None:
        """Open the MLflow run, or the one that a killed training had opened, whose id its checkpoint folder keeps.

        facts: of the training, determined by its inputs; device (cpu, cuda) and precision among them.
        """
        if refusal := git_refusal(Path.cwd()):
            print(f"warning: {refusal}", file=sys.stderr, flush=True)
        self.facts = {
            **facts,
            "params": shaping_params(params, "train"),
            "base": base,
            "data": {name: manifest.get(name) for name in ("source", "origin", "revision", "license", "fingerprint")},
        }
        self.measured = {
            "experiment": params.registry.experiment,
            **provenance(),
            **hardware(facts["device"]),
            # with those of the stages before: another limit of `validation`, by itself, does not train anew
            "params": shaping_params(params),
        }
        if any(checkpoints.glob("checkpoint-*/trainer_state.json")):
            self.measured["resumed"] = True  # then time is that since
        if not self.live:
            return
        note = checkpoints / NOTE
        busy = "the same training (data, encoder, parameters) is already running, in {}: wait until it has ended."
        self.lock = acquire(note.with_name(LOCK), busy.format(note.parent))
        known = read_json(note)["mlflow_run_id"] if note.exists() else None
        if known:
            self.run = LiveRun.resume(known)
        else:
            tags = {"ner.stage": "train", "data_fingerprint": manifest["fingerprint"], "precision": facts["precision"]}
            name = run_name(manifest, base, params.train.seed)
            self.run = LiveRun.open(params.registry.experiment, name, self.measured["params"], tags)
            self.run.log_dataset(manifest)
        if self.run.run_id:
            watch_system(self.run.run_id)
            write_json(note, {"mlflow_run_id": self.run.run_id})
            print(f"MLflow run {self.run.run_id}", flush=True)
            self.close_killed(self.run, note)

    def close_killed(self, run: LiveRun, own: Path) -> None:
        """End the MLflow runs of trainings that were killed before they could: nobody holds their lock any more."""
        for note in own.parent.parent.rglob(own.name):
            try:
                with FileLock(note.with_name(LOCK), timeout=0):
                    run.close_killed(read_json(note)["mlflow_run_id"])
            except Timeout:  # it goes on; so does our own
                continue

    @contextmanager
    def closed_when_it_ends(self) -> Iterator[None]:
        """Close the MLflow run if the training ends early inside: a signal as KILLED, an error as FAILED."""
        try:
            yield
        except BaseException as error:
            if self.run:
                self.run.close("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        finally:
            if self.lock:
                self.lock.release()

    def callbacks(self) -> list[TrainerCallback]:
        """Return the callbacks that watch the training: curves, and lines on the terminal."""
        return [self.callback(), ProgressLines()]

    def callback(self) -> TrainerCallback:
        """Return the callback that sends the Trainer's logs to the MLflow run, renamed as `curve` does."""
        log = self

        class Curves(TrainerCallback):
            def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
                metrics = curve(logs or {})
                if log.run and state.is_world_process_zero and metrics:
                    log.run.log({**metrics, "epoch": state.epoch or 0.0}, step=state.global_step)

        return Curves()

    def write(self, log_history: list[dict[str, Any]], weights: str | None = None, kept: int | None = None) -> None:
        """Write history.csv, loss.csv and both parts of the training, and close the MLflow run as finished.

        weights: their sha256, and kept: the step that they are of; None where the training was cut short.
        """
        entries = [{"step": e["step"], "epoch": e["epoch"], **curve(e)} for e in log_history if curve(e)]
        seconds = time.monotonic() - self.began
        steps = max((entry["step"] for entry in entries), default=0)
        write_text(self.reports / "history.csv", to_csv(HISTORY, epoch_rows(entries)))
        losses = [[e["step"], f"{e['epoch']:.4f}", f"{e['train/loss']:.6f}"] for e in entries if "train/loss" in e]
        write_text(self.reports / "loss.csv", to_csv(["step", "epoch", "loss"], losses))
        if self.run:
            self.run.close("FINISHED")
        run_id = self.run.run_id if self.run else None
        determined = {**self.facts, "steps": steps, "kept": kept, "weights": weights, "log": entries}
        measured = {"mlflow_run_id": run_id, **self.measured, "seconds": round(seconds, 1), **self.used()}
        key = write_training(self.reports, determined, measured)
        if run_id:
            try_tag_training(run_id, key)

    def used(self) -> dict[str, Any]:
        """Return processor time and peak memory so far; nothing where other processes train too."""
        if os.environ.get("WORLD_SIZE", "1") != "1":
            return {}
        return {"cpu_seconds": round(cpu_seconds() - self.cpu_began, 1), "peak_memory_mb": peak_memory_mb()}


class ChildLog(TrainingLog):
    """The log of one of many trainings, whose MLflow run is a child of theirs."""

    def __init__(self, reports: Path, child: Child) -> None:
        super().__init__(reports)
        self.child = child

    def start(self, *arguments: Any) -> None:
        super().start(*arguments)
        if self.run and self.run.run_id:
            adopt(self.run.run_id, self.child)


def shaping_params(params: Params, *stages: str) -> dict[str, Any]:
    """Return the parameters that shape models/ner, by dotted name. stages: whose they are; without, all."""
    known = read_stages(ROOT)
    return flatten(shaping(params.model_dump(), {name: known[name] for name in stages or known}, "models/ner"))


def cpu_seconds() -> float:
    """Return the processor time of this process and of its children that have ended, user and system."""
    return sum(os.times()[:4])


def peak_memory_mb() -> int:
    """Return the most memory that this process has held since it began."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(most / (2**20 if sys.platform == "darwin" else 2**10))


class ProgressLines(TrainerCallback):
    """A line now and then where no terminal shows the progress bar: epoch, step, loss, time left."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.since, self.first = time.monotonic(), state.global_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        logs = logs or {}
        if not state.is_world_process_zero or not (curve(logs)):
            return
        if "eval_f1" in logs:
            say(f"epoch {state.epoch:.2f}: validation F1 {logs['eval_f1']:.4f}, loss {logs['eval_loss']:.4f}")
        elif args.disable_tqdm:
            rate = (time.monotonic() - self.since) / max(1, state.global_step - self.first)
            left = rate * (state.max_steps - state.global_step) / 60
            say(
                f"epoch {state.epoch:.2f} of {args.num_train_epochs:g}, step {state.global_step} of {state.max_steps}, "
                f"loss {logs['loss']:.4f}, {left:.0f} min left"
            )


def say(line: str) -> None:
    """Print one line of progress at once, above the progress bar where there is one."""
    print(line, file=sys.stderr, flush=True)


def curve(logs: dict[str, Any]) -> dict[str, float]:
    """Return the curves in a Trainer log by the names that MLflow shows; sorted, as in a checkpoint."""
    names = CURVES | {name: f"train/{name}" for name in logs if name.startswith(RATE)}
    return {names[name]: float(value) for name, value in sorted(logs.items()) if name in names}


def epoch_rows(entries: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each evaluation, in HISTORY's order; training loss is the mean of that epoch's log points."""
    rows, losses = [], []
    for entry in entries:
        if "train/loss" in entry:
            losses.append(entry["train/loss"])
        if "validation/f1" in entry:
            names = ("loss", "precision", "recall", "f1", "accuracy")
            mean = f"{fmean(losses):.6f}" if losses else ""
            scores = [f"{entry[f'validation/{name}']:.6f}" for name in names]
            rows.append([f"{entry['epoch']:g}", str(entry["step"]), mean, *scores])
            losses = []
    return rows


def hardware(device: str) -> dict[str, Any]:
    """Return the GPUs, or on a CPU how many cores and threads computed."""
    if device == "cpu":
        return {"cores": os.cpu_count(), "threads": torch.get_num_threads()}
    return {"gpu": torch.cuda.get_device_name(), "gpus": torch.cuda.device_count()}
