"""What `train` tells: lines on the terminal, curves in MLflow while it goes on, and the reports at its end."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ner.params import Params
from tasks.energy import Meter
from tasks.io import read_json, write_json, write_text
from tasks.provenance import provenance
from tasks.tables import to_csv
from tasks.tracking import LiveRun

CURVES = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "grad_norm": "train/grad_norm",
    "eval_loss": "validation/loss",
    "eval_precision": "validation/precision",
    "eval_recall": "validation/recall",
    "eval_f1": "validation/f1",
    "eval_accuracy": "validation/accuracy",
}
HISTORY = ["epoch", "step", "training_loss", "validation_loss", "precision", "recall", "f1", "accuracy"]


class TrainingLog:
    """Facts and curves of one training, sent to MLflow as they come and written to `reports` at the end."""

    def __init__(self, reports: Path, live: bool = True) -> None:
        self.reports, self.live = reports, live
        self.began = time.monotonic()  # a clock that is set meanwhile makes no time negative
        self.meter = Meter()
        self.facts: dict[str, Any] = {}
        self.run: LiveRun | None = None

    def start(self, params: Params, manifest: dict[str, Any], base: dict[str, Any], facts: dict[str, Any]) -> None:
        """Open the MLflow run, or the one that a killed training had opened, whose id its checkpoint folder keeps."""
        self.facts = {
            **provenance(),
            **facts,
            "params": flatten(params.model_dump()),
            "base": base,
            "data": {name: manifest.get(name) for name in ("source", "origin", "revision", "license", "fingerprint")},
        }
        if facts["device"] != "cpu":
            self.meter.watch_gpus()
        if any(Path(facts["checkpoints"]).glob("checkpoint-*/trainer_state.json")):
            self.facts["resumed"] = True  # then time and energy are those since
        if not self.live:
            return
        note = Path(facts["checkpoints"]) / "mlflow_run.json"
        known = read_json(note)["mlflow_run_id"] if note.exists() else None
        if known:
            self.run = LiveRun.resume(known)
        else:
            tags = {"ner.stage": "train", "data_fingerprint": manifest["fingerprint"], "precision": facts["precision"]}
            name = f"{base['name']} seed {params.train.seed}"
            self.run = LiveRun.open(params.registry.experiment, name, self.facts["params"], tags)
            self.run.log_dataset(manifest)
        if self.run.run_id:
            write_json(note, {"mlflow_run_id": self.run.run_id})
            print(f"MLflow run {self.run.run_id}", flush=True)

    def callback(self) -> TrainerCallback:
        """Sends what the Trainer logs to the MLflow run, renamed by CURVES."""
        log = self

        class Curves(TrainerCallback):
            def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
                metrics = curve(logs or {})
                log.meter.sample()
                if log.run and state.is_world_process_zero and metrics:
                    log.run.log({**metrics, "epoch": state.epoch or 0.0}, step=state.global_step)

        return Curves()

    def write(self, log_history: list[dict[str, Any]]) -> None:
        """Write history.csv, loss.csv and training.json, and close the MLflow run as finished."""
        entries = [{"step": e["step"], "epoch": e["epoch"], **curve(e)} for e in log_history if curve(e)]
        seconds = time.monotonic() - self.began
        steps = max((entry["step"] for entry in entries), default=0)
        self.facts.pop("checkpoints", None)
        write_text(self.reports / "history.csv", to_csv(HISTORY, epoch_rows(entries)))
        losses = [[e["step"], f"{e['epoch']:.4f}", f"{e['train/loss']:.6f}"] for e in entries if "train/loss" in e]
        write_text(self.reports / "loss.csv", to_csv(["step", "epoch", "loss"], losses))
        if self.run:
            self.run.close("FINISHED")
        run_id = self.run.run_id if self.run else None
        write_json(
            self.reports / "training.json",
            {
                "mlflow_run_id": run_id,
                **self.facts,
                "steps": steps,
                "seconds": round(seconds, 1),
                **self.used(),
                "log": entries,
            },
        )

    def used(self) -> dict[str, Any]:
        """Processor time, memory and energy so far; of several processes, energy alone, which is the machine's."""
        one_process = os.environ.get("WORLD_SIZE", "1") == "1"
        return {k: v for k, v in self.meter.facts().items() if one_process or k.startswith("energy")}


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
    """The entries of a Trainer log that are curves, under the names that MLflow shows."""
    return {CURVES[name]: float(value) for name, value in logs.items() if name in CURVES}


def epoch_rows(entries: list[dict[str, Any]]) -> list[list[str]]:
    """A row for each evaluation, in the order of HISTORY; training loss is the mean over that epoch's log points."""
    rows, losses = [], []
    for entry in entries:
        if "train/loss" in entry:
            losses.append(entry["train/loss"])
        if "validation/f1" in entry:
            names = ("loss", "precision", "recall", "f1", "accuracy")
            mean = f"{sum(losses) / len(losses):.6f}" if losses else ""
            scores = [f"{entry[f'validation/{name}']:.6f}" for name in names]
            rows.append([f"{entry['epoch']:g}", str(entry["step"]), mean, *scores])
            losses = []
    return rows


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{'train': {'seed': 42}} as {'train.seed': 42}; an empty dict stays a value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def hardware(on_gpu: bool) -> dict[str, Any]:
    """Device, and on a CPU how many cores and threads computed."""
    if on_gpu:
        return {"device": torch.cuda.get_device_name(), "gpus": torch.cuda.device_count()}
    return {"device": "cpu", "cores": os.cpu_count(), "threads": torch.get_num_threads()}
