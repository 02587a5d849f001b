"""Ideas for better models, one by one: each is trained with several seeds and compared with the baseline.

Run     python -m tasks.experiments                    (make experiments; the same command goes on after a stop)
        python -m tasks.experiments --only NAME        (the baseline and that idea; may be given more than once)
        python -m tasks.experiments --costs            (times all by turns, or --only some; make experiments COSTS=1)
        python -m tasks.experiments --apply NAME       (writes the idea's values into params.yaml)
Reads   experiments.yaml, params.yaml, data/prepared, data/validated.json, models/base, models/base.json
Writes  reports/experiments/{experiments.json, experiments.md, figures/experiments.png}, after every training;
        .ner/experiments (results that are there are not made again; costs.json, by --costs)

Each training is a run in MLflow, child of the run `experiments`. All is judged on validation; test is never looked at.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tasks.cli import run_stage  # isort: skip  first: it switches telemetry off
from ner.errors import NerError, ParamsError
from ner.params import Params, read_blocks
from tasks.experiments_file import BASELINE, Experiment, Experiments, planned, read_experiments
from tasks.experiments_report import REPORT, experiments_report, report_table, to_apply, write_report
from tasks.io import PARAMS, read_json, read_params, sha256_folder, write_json
from tasks.prepared import read_manifest
from tasks.seeds import prepare_libraries, training_code
from tasks.sweep import only_sweep, say
from tasks.sweep_report import applied

PREPARED, BASE = Path("data/prepared"), Path("models/base")
FOLDER, REPORTS, COSTS = Path(".ner/experiments"), Path("reports/experiments"), "costs.json"
ROUNDS = 2


def run_experiments(
    file: Experiments, tree: dict[str, Any], prepared: Path, base: Path, folder: Path, reports: Path,
    only: Sequence[str] = (), rounds: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Run what is missing and return what experiments.json says. tree: the blocks of params.yaml.

    rounds: so many, instead, of timing what each idea costs, or those of `only`; the trainings stay as they are.

    Raises ParamsError for experiments.yaml, BusyError where others run here, NerError where the baseline fails. An idea
    that fails stays in the table with its reason, and is tried again the next time.
    """
    from tasks.experiments_cost import measure_costs
    from tasks.experiments_run import Place, model_folders, result_path, run_experiment
    from tasks.sweep_data import part_of
    from tasks.sweep_tracking import close_parent, open_parent

    plan, wanted = planned(file, tree), chosen(file, only)
    with only_sweep(folder, "run of experiments"):
        part = part_of(prepared, folder / "part", file.baseline, "experiments.yaml, baseline")
        bases = {name: base_folder(name, base, folder) for name in dict.fromkeys(one.params.model.base for one in plan)}
        parent, note = parent_of(plan[0].params, part, bases, folder)
        run = open_parent(parent, plan[0].params.registry.experiment, "experiments", shown_params(file), {})
        if run.run_id:
            write_json(note, {"mlflow_run_id": run.run_id})
        place, failed = Place(part, bases, folder, run.run_id), {}
        if rounds:
            timed, models = [one for one in plan if one.name in wanted], partial(model_folders, place=place)
            measured = measure_costs(timed, bases, part, folder, rounds, models=models)
            write_json(folder / COSTS, known_costs(folder) | measured)
            wanted = set()
        missing = [one for one in plan if one.name in wanted and not result_path(one, place).exists()]
        seconds: list[float] = []
        for number, one in enumerate(missing, start=1):
            head = f"{one.name}, seed {one.seed}, {number} of {len(missing)}{time_left(seconds, len(missing) - number)}"
            began = time.monotonic()
            try:
                result = run_experiment(one, place, head)
                seconds.append(time.monotonic() - began)
                say(f"{head}: F1 {result['documents']['f1']:.4f}, sentences alone {result['alone']['f1']:.4f}")
            except (NerError, RuntimeError, ValueError, IndexError, MemoryError) as error:  # of this idea's values
                failed[one.name] = " ".join((str(error) or type(error).__name__).split())[:300]
                say(f"{head}: failed: {failed[one.name]}")
                if one.name == BASELINE:
                    raise NerError(f"the baseline of experiments.yaml failed: {failed[one.name]}") from error
            write_report(reports, report_of(file, tree, plan, place, failed))
        report = report_of(file, tree, plan, place, failed)
        files = write_report(reports, report)
        f1 = {f"f1_{idea['name']}": idea["f1"]["documents"]["mean"] for idea in report["ideas"] if idea["f1"]}
        close_parent(run, f1, [path for path in files if path.suffix != ".png"], [files[-1]])
    return report


def report_of(file: Experiments, tree: Any, plan: list[Experiment], place: Any, failed: Any) -> dict[str, Any]:
    """What is known by now, whichever run found it out."""
    from tasks.experiments_run import result_path

    found: dict[str, list[dict[str, Any]]] = {}
    for one in plan:
        if (path := result_path(one, place)).exists():
            found.setdefault(one.name, []).append(read_json(path))
    costs = known_costs(place.folder)
    return experiments_report(file, tree, read_manifest(place.prepared), found, failed, place.parent, costs)


def known_costs(folder: Path) -> dict[str, Any]:
    """What --costs has found by now; a ratio stays true beside one of another time, each being to its own baseline."""
    return read_json(folder / COSTS) if (folder / COSTS).exists() else {}


def chosen(file: Experiments, only: Sequence[str]) -> set[str]:
    """The baseline and the ideas to run; all where none is named. Raises ParamsError for a name that is no idea's."""
    names = [idea.name for idea in file.ideas]
    for name in only:
        if name not in names:
            raise ParamsError(f"--only {name}: experiments.yaml has no such idea; it has {', '.join(names) or 'none'}.")
    return {BASELINE, *(only or names)}


def base_folder(name: str, base: Path, folder: Path) -> Path:
    """The encoder's folder: models/base where that is the one, else fetched once beside the experiments."""
    from tasks.base import fetch_base

    if read_json(base.with_suffix(".json"))["name"] == name:
        return base
    own = folder / "bases" / hashlib.sha256(name.encode()).hexdigest()[:12]
    if not own.with_suffix(".json").exists():  # written after the folder
        say(f"fetching the encoder {name}")
        fetch_base(name, own)
    return own


def parent_of(params: Params, part: Path, bases: dict[str, Path], folder: Path) -> tuple[str | None, Path]:
    """The id of the parent run of experiments with this baseline, data and code, None for a new one, and its note."""
    about = [params.model_dump(include={"encoding", "train", "prediction"}), read_manifest(part)["fingerprint"]]
    known = json.dumps([about, sha256_folder(bases[params.model.base]), training_code()], sort_keys=True)
    note = folder / f"parent-{hashlib.sha256(known.encode()).hexdigest()[:12]}.json"
    return (read_json(note)["mlflow_run_id"] if note.exists() else None), note


def shown_params(file: Experiments) -> dict[str, Any]:
    """What the parent run shows of experiments.yaml."""
    tree = file.model_dump(by_alias=True)
    more = ("technique", "taught_by", "votes_with")
    ideas = {idea["name"]: idea["set"] | {name: idea[name] or "none" for name in more} for idea in tree["ideas"]}
    return {BASELINE: tree[BASELINE], "seeds": list(tree["seeds"]), "ideas": ideas}


def time_left(seconds: Sequence[float], after: int) -> str:
    """About how long this training and those `after` it take, once one has ended."""
    return f", about {sum(seconds) / len(seconds) * (after + 1) / 60:.0f} min left" if seconds else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.experiments", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="run this idea and the baseline")
    parser.add_argument("--costs", action="store_true", help="time a short training of each idea, by turns")
    parser.add_argument("--apply", metavar="NAME", help="write the values of an idea that was run into params.yaml")
    arguments = parser.parse_args()
    if arguments.apply:
        print(applied(PARAMS, to_apply(REPORTS / REPORT, arguments.apply)), flush=True)
        return
    read_params()  # says what is wrong with the file, all of it
    tree, file = read_blocks(PARAMS.read_text(encoding="utf-8")), read_experiments()
    planned(file, tree)
    prepare_libraries()
    report = run_experiments(file, tree, PREPARED, BASE, FOLDER, REPORTS, arguments.only, ROUNDS * arguments.costs)
    say(f"{report_table(report)}\n{REPORTS}/experiments.md, MLflow run {report['mlflow_run_id'] or 'none'}")


if __name__ == "__main__":
    run_stage("experiments", main)
