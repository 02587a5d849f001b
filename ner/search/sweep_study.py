"""The trials of a sweep in Optuna's SQLite storage: which values are tried, which trials there are, and their ends.

    study = open_study(Path(".ner/sweep"), key, params)
    trial = next_trial(study, params.sweep)            # a new one, or the one that a killed sweep was at
    values = suggest(trial, params.sweep.space)        # {"train": {"learning_rate": 3.1e-05}, "encoding": {}}

What a trial tries depends on the seed, its number and the trials before it alone, so that a sweep that was killed tries
the same as one that was not.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from ner.common.sqlite import sqlite_uri
from ner.params import Params, Range, SweepParams, SweepSpace

Values = dict[str, dict[str, Any]]  # block, key, value
DIGITS = 3  # of a number drawn from a continuous range: what is proposed is exactly what was trained
ENDED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def study_key(params: Params, fingerprint: str, base: str, code: str) -> str:
    """Return 12 hex digits for what all trials share: data, encoder, code, space and the other parameters.

    fingerprint: of the data trained on; base, code: sha256 of the encoder and of the code that shapes the weights.
    """
    sweep = params.sweep.model_dump(exclude={"trials", "startup_trials", "min_epochs"})
    fixed = {
        block: {k: v for k, v in getattr(params, block).model_dump().items() if k not in keys}
        for block, keys in sweep["space"].items()
    }
    known = json.dumps([sweep, fixed, fingerprint, base, code], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def open_study(folder: Path, key: str, params: Params) -> optuna.Study:
    """Return the study of that key; a new one tries the present values first, if the space has them."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    sweep = params.sweep
    pruner = optuna.pruners.MedianPruner(n_startup_trials=sweep.startup_trials, n_warmup_steps=sweep.min_epochs)
    study = optuna.create_study(
        storage=sqlite_uri(folder / "sweep.db"),
        study_name=key,
        direction="maximize",
        pruner=pruner,
        load_if_exists=True,
    )
    present = present_values(params)
    if not study.get_trials(deepcopy=False) and fits(present, sweep.space):
        study.enqueue_trial(flat(present))
    return study


def next_trial(study: optuna.Study, sweep: SweepParams) -> Trial | None:
    """Return the trial that was begun and has not ended, else a new one; None where there are as many as asked for."""
    trials = study.get_trials(deepcopy=False)
    begun = [trial for trial in trials if trial.state == TrialState.RUNNING]
    if not begun and len(ended(study)) >= sweep.trials:
        return None
    waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
    number = begun[0].number if begun else min(waiting, default=len(trials))
    seed = int(np.random.SeedSequence([sweep.seed, number]).generate_state(1)[0])
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=sweep.startup_trials)
    return Trial(study, begun[0]._trial_id) if begun else study.ask()


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that are over, in order."""
    return study.get_trials(deepcopy=False, states=tuple(ENDED))


def suggest(trial: Trial, space: SweepSpace) -> Values:
    """Return the values of a trial, the same ones when asked again."""
    values: Values = {}
    for block, keys in space:
        values[block] = {key: _suggest(trial, f"{block}.{key}", where) for key, where in keys.items()}
    return values


def _suggest(trial: Trial, name: str, where: Range | tuple[Any, ...]) -> Any:
    if not isinstance(where, Range):
        return trial.suggest_categorical(name, where)
    low, high, step = where.low, where.high, where.step or 1
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
        return trial.suggest_int(name, low, high, step=step, log=where.log)
    value = trial.suggest_float(name, where.low, where.high, step=where.step, log=where.log)
    return value if where.step else min(max(float(f"{value:.{DIGITS}g}"), where.low), where.high)


def present_values(params: Params) -> Values:
    """Return what params.yaml has for the keys of the space."""
    return {block: {key: getattr(getattr(params, block), key) for key in keys} for block, keys in params.sweep.space}


def fits(values: Values, space: SweepSpace) -> bool:
    """Return whether the space holds these values."""
    return all(_holds(where, values[block][key]) for block, keys in space for key, where in keys.items())


def _holds(where: Range | Sequence[Any], value: Any) -> bool:
    if isinstance(where, Range):
        return isinstance(value, int | float) and where.low <= value <= where.high  # and no word, as auto
    return value in where


def flat(values: Values) -> dict[str, Any]:
    """Return nested params with dotted names: {"train": {"seed": 42}} as {"train.seed": 42}."""
    return {f"{block}.{key}": value for block, keys in values.items() for key, value in keys.items()}
