"""Checkpoints: what they belong to, when they are written, from which a training goes on, and when it ends early."""

import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState
from transformers.trainer_utils import SaveStrategy

from ner.common.files import sha256_folder
from ner.params import Params


class SaveAfterEvaluation(TrainerCallback):
    """Writes a checkpoint that is due with an epoch's last step after the evaluation, not before it.

    The evaluation moves the random generator and adds to the history; a run that went on from before it would skip it.
    """

    is_due = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if args.save_strategy == SaveStrategy.BEST:  # which by itself saves after an evaluation alone
            control.should_save = state.global_step % args.save_steps == 0
        self.is_due = control.should_save and (state.epoch % 1 == 0 or state.global_step >= state.max_steps)
        if self.is_due:
            control.should_save = False
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self.is_due:
            control.should_save, self.is_due = True, False
        return control


def rank(scores: Mapping[str, float]) -> float:
    """Return by what epochs are compared: F1 and, between equal ones, the loss."""
    loss = scores["eval_loss"]
    return scores["eval_f1"] - (1e-9 * loss if math.isfinite(loss) else 1e-6)


class EndEarly(TrainerCallback):
    """Ends a training whose last `patience` epochs (0: never) brought none that was better: by F1, then by loss.

    It looks at the history alone, which a checkpoint has too, so that a resumed run ends where an undisturbed one does.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        ranks = [rank(entry) for entry in state.log_history if "eval_f1" in entry]
        if self.patience and max(ranks) > 0 and len(ranks) - 1 - ranks.index(max(ranks)) >= self.patience:
            control.should_training_stop = True
        return control


def kept_step(state: TrainerState) -> int:
    """Return the step whose weights a training ends with."""
    return state.best_global_step if state.best_model_checkpoint and state.best_global_step else state.global_step


def checkpoint_key(params: Params, fingerprint: str, base: Path) -> str:
    """Return 16 hex digits that name what a checkpoint belongs to: data, encoder and every parameter of the
    training.
    """
    known = [params.train.model_dump(), params.encoding.model_dump(), fingerprint, sha256_folder(base)]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that was written to its end; one cut short by a kill is removed."""
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[-1]), reverse=True)
    for path in checkpoints:
        try:
            json.loads((path / "trainer_state.json").read_text())  # the Trainer writes it last
        except (OSError, json.JSONDecodeError):
            shutil.rmtree(path)
            continue
        print(f"going on from {path}", flush=True)
        return str(path)
    return None
