"""A search for better numbers: trials with values from sweep.space, each trained and judged by validation F1.

Run     ner sweep              (the same command resumes a sweep that was stopped)
        ner sweep --apply      (writes what reports/sweep.json proposes into params.yaml)
Reads   data/prepared, data/validated.json, models/base, models/base.json, params.yaml [sweep, encoding, train]
Writes  reports/sweep.json; .ner/sweep while and after it runs (Optuna's SQLite storage)

Each trial is a run in MLflow, child of the run `sweep`. Test is never looked at.
"""

import shutil
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.common.files import PARAMS, read_json, read_params, sha256_folder, write_json
from ner.common.lock import lock_file
from ner.data.prepared import read_manifest
from ner.errors import NerError, ParamsError
from ner.params import Params, Range, check_params
from ner.search.sweep_report import applied, diff, sweep_report
from ner.search.trainings import check_one_process, training_code

PREPARED, VALIDATED, BASE = Path("data/prepared"), Path("data/validated.json"), Path("models/base")
FOLDER, REPORT = Path(".ner/sweep"), Path("reports/sweep.json")
MOST_FAILURES = 3  # one after the other: then it is not the values


def sweep(params: Params, prepared: Path, base: Path, folder: Path, report: Path) -> dict[str, Any]:
    """Run the trials that are missing and return what sweep.json says.

    Raises ParamsError for an empty space or several processes, BusyError where another sweep runs here, NerError where
    no trial finished.
    """
    from ner.data.subset import part_of
    from ner.search.sweep_study import ended, open_study, study_key
    from ner.search.sweep_trial import Place
    from ner.tracking.nested_runs import close_parent, open_parent

    check_sweep(params)
    with only_sweep(folder):
        part = part_of(prepared, folder / "part", params.sweep)
        params = with_numbers(params, part, base)
        manifest = read_manifest(part)
        key = study_key(params, manifest["fingerprint"], sha256_folder(base), training_code())
        study = open_study(folder, key, params)
        if done := len(ended(study)):
            say(f"resuming a sweep of which {done} of {params.sweep.trials} trials have ended")
        known, shown_there = study.user_attrs.get("mlflow_run_id"), {"sweep": params.sweep.model_dump()}
        parent = open_parent(known, params.registry.experiment, "sweep", shown_there, {"ner.study": key})
        study.set_user_attr("mlflow_run_id", parent.run_id)
        run_trials(study, params, Place(part, base, folder / key, parent.run_id))
        outcome = sweep_report(study, params, manifest)
        write_json(report, outcome)
        best = {"best_validation_f1": outcome["best"]["f1"]} if outcome["best"] else {}
        close_parent(parent, best, [report])
    if not outcome["best"]:
        reason = next((t["reason"] for t in outcome["trials"] if t["reason"]), "see the lines above")
        raise NerError(f"no trial finished: {reason}. Change params.yaml, sweep.space, and run it again.")
    return outcome


def run_trials(study: Any, params: Params, place: Any) -> None:
    """Ask for trials and run them until there are as many as asked for."""
    from ner.search.sweep_study import ended, next_trial, suggest

    while trial := next_trial(study, params.sweep):
        values = suggest(trial, params.sweep.space)
        head = f"trial {trial.number}, {len(ended(study)) + 1} of {params.sweep.trials}"
        say(f"{head}: {shown(values)}")
        outcome = run_or_take_over(study, trial, with_values(params, values), values, place, head)
        say(f"{head}: {outcome_text(outcome)}; {standing(study, params.sweep.trials)}")
        last = [attrs.state.name for attrs in ended(study)[-MOST_FAILURES:]]
        if last == ["FAIL"] * MOST_FAILURES:
            raise NerError(f"{MOST_FAILURES} trials failed one after the other, the last with: {outcome.reason}")


def run_or_take_over(study: Any, trial: Any, params: Params, values: Any, place: Any, head: str) -> Any:
    """Run a trial and tell Optuna its end; one with the values of a trial before it takes over what that reached."""
    from optuna.trial import TrialState

    from ner.search.sweep_study import ended
    from ner.search.sweep_trial import Outcome, run_trial

    same = next((t for t in ended(study) if t.user_attrs.get("values") == values), None)
    trial.set_user_attr("values", values)
    if same:
        say(f"{head}: the values of trial {same.number}, whose end it takes over")
        outcome = Outcome(**{**same.user_attrs["outcome"], "seconds": 0.0})
        for epoch, f1 in same.intermediate_values.items():
            trial.report(f1, epoch)
        trial.set_user_attr("same_as", same.number)
    else:
        outcome = run_trial(trial, params, place)
    trial.set_user_attr("outcome", outcome.__dict__)
    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    study.tell(trial, outcome.f1 if outcome.state == "complete" else None, states[outcome.state])
    return outcome


def check_sweep(params: Params) -> None:
    """Raise ParamsError for a space with nothing to search or with what no trial takes, and for several processes."""
    if not any(keys for _, keys in params.sweep.space):
        raise ParamsError("params.yaml, sweep.space: no key of train or encoding to search; name one with its values.")
    for block, keys in params.sweep.space:
        for key, where in keys.items():
            for value in (where.low, where.high) if isinstance(where, Range) else where:
                with_values(params, {block: {key: value}})
    check_one_process(params, "a sweep")


def only_sweep(folder: Path) -> AbstractContextManager[None]:
    """Hold the lock of a sweep. Raises BusyError where another one runs in this checkout."""
    return lock_file(folder / "sweep.lock", "another sweep runs in this checkout: wait until it ends.")


def with_values(params: Params, values: dict[str, dict[str, Any]]) -> Params:
    """Return the parameters of one trial, all checked."""
    tree = params.model_dump()
    return check_params({**tree, **{block: tree[block] | keys for block, keys in values.items()}}, "a trial's values")


def with_numbers(params: Params, prepared: Path, base: Path) -> Params:
    """Return the parameters in which the keys that are searched have what `auto` stands for, to be compared with."""
    from ner.training.recipe_facts import resolved

    chosen = resolved(params, prepared, base).train.model_dump()
    return with_values(params, {"train": {key: chosen[key] for key in params.sweep.space.train}})


def shown(values: dict[str, dict[str, Any]]) -> str:
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for keys in values.values()
        for key, value in keys.items()
    )


def outcome_text(outcome: Any) -> str:
    f1 = "" if outcome.f1 is None else f", F1 {outcome.f1:.4f}"
    return f"{outcome.state} {outcome.reason}".rstrip() + f1 + f" in {outcome.seconds:.0f} s"


def standing(study: Any, wanted: int) -> str:
    """Return the best so far, and about how long the rest takes."""
    from optuna.trial import TrialState

    from ner.search.sweep_study import ended

    trials = ended(study)
    best = max((t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: t.value or 0.0, default=None)
    seconds = [t.user_attrs["outcome"]["seconds"] for t in trials]
    left = max(0, wanted - len(trials)) * sum(seconds) / len(seconds) / 60
    return (f"best so far {best.value:.4f} (trial {best.number}), " if best else "") + f"about {left:.0f} min left"


def say(line: str) -> None:
    print(line, flush=True)


def main(
    apply: Annotated[bool, typer.Option("--apply", help="Write the last proposal into params.yaml.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete all sweeps of this checkout; start again.")] = False,
) -> None:
    """Run the trials of the sweep that are missing, and print what they propose."""
    if apply:
        report = read_proposal()
        print(applied(PARAMS, report), flush=True)
        return
    params = read_params()
    from ner.training.run import prepare_libraries

    prepare_libraries(PREPARED, VALIDATED)
    if fresh:
        with only_sweep(FOLDER):
            for left in FOLDER.glob("*"):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
    began = time.monotonic()
    report = sweep(params, PREPARED, BASE, FOLDER, REPORT)
    say(f"{diff(report)}\n{time.monotonic() - began:.0f} s; {REPORT}, MLflow run {report['mlflow_run_id'] or 'none'}")


def read_proposal() -> dict[str, Any]:
    if not REPORT.exists():
        raise NerError(f"{REPORT} is missing: run `ner sweep`, which writes it.")
    return read_json(REPORT)
