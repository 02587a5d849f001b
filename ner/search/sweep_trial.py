"""One trial of a sweep: train with its values, report F1 to Optuna after each epoch, and end as Optuna decides.

The training is that of stage `train`, watched from outside: a TrainingLog whose callback also reports. A killed trial
goes on from its last checkpoint, as the stage does.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna import TrialPruned
from optuna.trial import Trial
from transformers import TrainerCallback

from ner.common.files import read_json, write_json
from ner.errors import NerError
from ner.params import Params
from ner.search.trainings import remove_weights
from ner.tracking.determined import training_record
from ner.tracking.nested_runs import Child, log_child
from ner.tracking.training_log import ChildLog
from ner.training.run import train

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
F1 = "validation/f1"
END, STAGE = "end.json", "sweep-trial"


@dataclass(frozen=True)
class Outcome:
    """How a trial ended. f1: after its last epoch, None for one that failed; reason: why it failed."""

    state: str
    f1: float | None = None
    seconds: float = 0.0
    mlflow_run_id: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Place:
    """Where a sweep works. folder: the study's, with a folder a trial; parent: the MLflow run of the sweep."""

    prepared: Path
    base: Path
    folder: Path
    parent: str | None = None


class TrialLog(ChildLog):
    """Curves and facts of a trial's training; its MLflow run is a child of the sweep's."""

    def __init__(self, reports: Path, trial: Trial, parent: str | None) -> None:
        super().__init__(reports, Child(parent, f"trial {trial.number}", STAGE))
        self.trial = trial
        self.history: list[dict[str, Any]] = []

    def callback(self) -> TrainerCallback:
        return Reporter(self, super().callback())


class Reporter(TrainerCallback):
    """Does what the log's own callback does, then tells Optuna the F1 of an epoch and ends a trial that it prunes."""

    def __init__(self, log: TrialLog, curves: Any) -> None:
        self.log, self.curves = log, curves

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.log.history = state.log_history
        self.curves.on_log(args, state, control, logs=logs, **kwargs)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        trial, epoch = self.log.trial, math.ceil(state.epoch)
        known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if epoch not in known:  # a trial that went on from before an evaluation does it again
            trial.report(metrics["eval_f1"], epoch)
        if state.global_step < state.max_steps and trial.should_prune():
            raise TrialPruned(f"after epoch {epoch}")


def run_trial(trial: Trial, params: Params, place: Place) -> Outcome:
    """Train with `params` and return how it ended; of it all no more than the reports stay.

    Raises OSError for a full disk and the like, and KeyboardInterrupt, after which the same trial goes on another time.
    """
    folder = place.folder / f"trial-{trial.number:03}"
    report = folder / "reports" / "training.json"
    if report.exists() or (folder / END).exists():
        print(f"trial {trial.number}: trained before, in {folder}", flush=True)
    else:
        train_trial(trial, params, place, folder)
    end = read_json(folder / END) if (folder / END).exists() else {"state": COMPLETE, "reason": ""}
    state, reason = end["state"], end["reason"]
    training = training_record(report) if report.exists() else None
    remove_weights(folder)
    kept = (training or {}).get("kept")
    last = [entry[F1] for entry in (training or {}).get("log", []) if F1 in entry and kept in (None, entry["step"])]
    child = Child(place.parent, f"trial {trial.number}", STAGE)
    run_id = log_child(training, params, child, state, reason)
    seconds = (training or {}).get("seconds", 0.0)
    return Outcome(state, last[-1] if last and state != FAILED else None, seconds, run_id, reason)


def train_trial(trial: Trial, params: Params, place: Place, folder: Path) -> None:
    """Write folder/reports/training.json, and where the training was cut short, folder/end.json before it."""
    log = TrialLog(folder / "reports", trial, place.parent)
    try:
        train(params, place.prepared, place.base, folder / "model", folder / "checkpoints", log)
        return
    except TrialPruned as pruned:
        end = {"state": PRUNED, "reason": str(pruned)}
    except (NerError, RuntimeError, ValueError, IndexError, MemoryError) as error:  # of this trial's values
        end = {"state": FAILED, "reason": " ".join((str(error) or type(error).__name__).split())[:300]}
    write_json(folder / END, end)
    if log.facts:
        log.write(log.history)
