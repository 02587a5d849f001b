"""The trials of a sweep in Optuna's SQLite storage: which values are tried, which trials there are, and their ends.

    study = open_study(Path(".ner/sweep"), key, params)
    trial = next_trial(study, params.sweep)            # a new one, or the one that a killed sweep was at
    values = suggest(trial, params.sweep.space)        # {"train": {"learning_rate": 3.1e-05}, "encoding": {}}

What a trial tries depends on the seed, its number and the trials before it alone, so that a sweep that was killed tries
the same as one that was not.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from ner.params import Params, Range, SweepParams, SweepSpace

Values = dict[str, dict[str, Any]]  # block, key, value
DIGITS = 3  # of a number drawn from a continuous range: what is proposed is exactly what was trained
ENDED = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


def study_key(params: Params, fingerprint: str, base: str, code: str) -> str:
    """12 hex digits that name what the trials have in common: data, encoder, code, space and what is not searched.

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
    """The study of that key, made where it is not there, with the present values as its first trial if they can be."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    sweep = params.sweep
    pruner = optuna.pruners.MedianPruner(n_startup_trials=sweep.startup_trials, n_warmup_steps=sweep.min_epochs)
    storage = f"sqlite:///{(folder / 'sweep.db').resolve()}"
    study = optuna.create_study(
        storage=storage, study_name=key, direction="maximize", pruner=pruner, load_if_exists=True
    )
    present = present_values(params)
    if not study.get_trials(deepcopy=False) and fits(present, sweep.space):
        study.enqueue_trial(flat(present))
    return study


def next_trial(study: optuna.Study, sweep: SweepParams) -> Trial | None:
    """The trial that was begun and has not ended, else a new one; None where there are as many as asked for."""
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
    """The trials that are over, in order."""
    return study.get_trials(deepcopy=False, states=tuple(ENDED))


def suggest(trial: Trial, space: SweepSpace) -> Values:
    """The values of a trial; asked again, the same."""
    values: Values = {}
    for block, keys in space:
        values[block] = {key: _suggest(trial, f"{block}.{key}", where) for key, where in keys.items()}
    return values


def _suggest(trial: Trial, name: str, where: Range | tuple[Any, ...]) -> Any:
    if not isinstance(where, Range):
        return trial.suggest_categorical(name, where)
    if all(isinstance(edge, int) for edge in (where.low, where.high, where.step or 1)):
        return trial.suggest_int(name, where.low, where.high, step=where.step or 1, log=where.log)
    value = trial.suggest_float(name, where.low, where.high, step=where.step, log=where.log)
    return value if where.step else min(max(float(f"{value:.{DIGITS}g}"), where.low), where.high)


def present_values(params: Params) -> Values:
    """What params.yaml has for the keys of the space."""
    return {block: {key: getattr(getattr(params, block), key) for key in keys} for block, keys in params.sweep.space}


def fits(values: Values, space: SweepSpace) -> bool:
    """Whether the space holds these values."""
    return all(
        where.low <= values[block][key] <= where.high if isinstance(where, Range) else values[block][key] in where
        for block, keys in space
        for key, where in keys.items()
    )


def flat(values: Values) -> dict[str, Any]:
    """{"train": {"seed": 42}} as {"train.seed": 42}."""
    return {f"{block}.{key}": value for block, keys in values.items() for key, value in keys.items()}
