"""Stage `seeds`: train once more with each seed in seeds.extra, to tell an effect from luck.

Run     python -m tasks.seeds
Reads   reports/scores.json, reports/training.json, params.yaml [encoding, train, prediction, seeds], and with extra
        seeds data/prepared, data/validated.json, models/base, models/base.json
Writes  reports/seeds.json, reports/seeds.csv (a row a seed)

Without extra seeds the main model's scores are all there is, and no library of deep learning is loaded. A killed run
goes on with the seed that it was at: what a seed has reached lies in checkpoints/seeds/<key>, and its result stays.
"""

import gc
import hashlib
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ner.errors import ParamsError
from ner.params import Params
from ner.seed_summary import MEASURES, SPLITS, summarize
from tasks.cli import run_stage
from tasks.io import read_json, read_params, sha256_file, write_json, write_text
from tasks.tables import plain_table, to_csv
from tasks.tracking import try_log_seed

PREPARED, VALIDATED, BASE = Path("data/prepared"), Path("data/validated.json"), Path("models/base")
CHECKPOINTS, REPORTS = Path("checkpoints/seeds"), Path("reports")
SCORES = (*MEASURES, "accuracy", "f1_strict")
ROOT = Path(__file__).resolve().parent.parent


def compare_seeds(params: Params, prepared: Path, base: Path, checkpoints: Path, reports: Path) -> dict[str, Any]:
    """Write seeds.json and seeds.csv and return what is in seeds.json.

    Of each seed a result of a few kB stays in `checkpoints`, so that one more seed does not train the others again.

    Raises ParamsError for seeds that repeat, and for seeds with train.processes > 1.
    """
    check_seeds(params)
    results = [main_result(params, reports)]
    for position, seed in enumerate(params.seeds.extra, start=2):
        title = f"seed {seed}, {position} of {len(params.seeds.extra) + 1}"
        params_of_seed = params.model_copy(update={"train": params.train.model_copy(update={"seed": seed})})
        folder = seed_folder(params_of_seed, prepared, base, checkpoints)
        results.append(seed_result(params_of_seed, prepared, base, folder, title))
    report = {"seeds": results, "summary": summarize(results), "n": len(results)}
    write_text(reports / "seeds.csv", seeds_csv(results))
    write_json(reports / "seeds.json", report)
    return report


def check_seeds(params: Params) -> None:
    """Raise ParamsError unless every seed is another one, and this process alone can train."""
    extra = params.seeds.extra
    if params.train.seed in extra:
        raise ParamsError(
            f"params.yaml, seeds.extra: {params.train.seed} is train.seed, with which the main model is trained "
            "already; leave it out."
        )
    repeated = sorted({seed for seed in extra if extra.count(seed) > 1})
    if repeated:
        raise ParamsError(
            f"params.yaml, seeds.extra: {', '.join(map(str, repeated))} stands there more than once; name each "
            "seed once."
        )
    if extra and params.train.processes > 1:
        raise ParamsError(
            f"params.yaml, seeds.extra: several seeds are trained in one process; set train.processes to 1 (it is "
            f"{params.train.processes}), or seeds.extra to []."
        )


def main_result(params: Params, reports: Path) -> dict[str, Any]:
    """The main model's entry, from what `train` and `evaluate` have written."""
    scores, training = read_json(reports / "scores.json"), read_json(reports / "training.json")
    return entry(params.train.seed, scores, training)


def entry(seed: int, scores: dict[str, Any], training: dict[str, Any]) -> dict[str, Any]:
    """One seed in seeds.json."""
    return {
        "seed": seed,
        **{split: {name: scores[split][name] for name in SCORES} for split in SPLITS},
        "mlflow_run_id": training["mlflow_run_id"],
        "seconds": training["seconds"],
    }


def seed_folder(params: Params, prepared: Path, base: Path, checkpoints: Path) -> Path:
    """Where one seed's training is kept: its name tells data, encoder, code and parameters, among them the seed."""
    from tasks.prepared import read_manifest
    from tasks.train import checkpoint_key

    return checkpoints / f"{checkpoint_key(params, read_manifest(prepared)['fingerprint'], base)}-{training_code()[:8]}"


@cache
def training_code() -> str:
    """Hex sha256 of the modules that shape the weights: those that dvc.yaml names as dependencies of stage `train`."""
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["train"]["deps"]
    return hashlib.sha256(
        "".join(sha256_file(ROOT / name) for name in deps if name.endswith(".py")).encode()
    ).hexdigest()


def seed_result(params: Params, prepared: Path, base: Path, folder: Path, title: str) -> dict[str, Any]:
    """Train with params.train.seed, score, and keep of it all no more than result.json and the reports.

    What a killed run has left in `folder` is not done again.
    """
    result = folder / "result.json"
    if result.exists():
        print(f"{title}: scored before, in {result}", flush=True)
        return read_json(result)
    train_seed(params, prepared, base, folder, title)
    print(f"{title}: scoring", flush=True)
    scores = score_model(params, prepared, folder / "model")
    training = read_json(folder / "reports" / "training.json")
    run_id = try_log_seed(training, params.registry.experiment, scores)
    found = entry(params.train.seed, scores, {**training, "mlflow_run_id": run_id})
    write_json(result, found)
    for left in ("model", "checkpoints"):
        shutil.rmtree(folder / left, ignore_errors=True)
    return found


def train_seed(params: Params, prepared: Path, base: Path, folder: Path, title: str) -> None:
    """Write folder/model and folder/reports, unless a killed run has come so far."""
    from tasks.train import train
    from tasks.training_log import TrainingLog

    model, reports = folder / "model", folder / "reports"
    if model.exists() and (reports / "training.json").exists():  # the latter is what a training writes last
        print(f"{title}: trained before, in {model}", flush=True)
        return
    print(f"{title}: training", flush=True)
    train(params, prepared, base, model, folder / "checkpoints", TrainingLog(reports))
    gc.collect()  # a Trainer refers to itself: without this its weights and moments are still there with the next one's


def score_model(params: Params, prepared: Path, model: Path) -> dict[str, dict[str, Any]]:
    """Scores of validation and test, predicted as `predict` does in the context that the model was trained in."""
    from ner.decoding import best_tags
    from ner.scoring import score
    from tasks.predict import Bar, load_tagger
    from tasks.prepared import read_split, to_tags

    tagger = load_tagger(model, params)
    scores = {}
    for name in SPLITS:
        split = read_split(prepared, name)
        documents = split.document_ids if params.encoding.context == "document" else None
        logits = tagger.logits(split.tokens, documents, Bar(name))
        predicted = to_tags([best_tags(rows, tagger.labels) for rows in logits], tagger.labels)
        scores[name] = score(to_tags(split.tag_ids, tagger.labels), predicted)
    return scores


def seeds_csv(results: list[dict[str, Any]]) -> str:
    """seed, then validation_f1 and so on for each split and measure."""
    columns = [(split, name) for split in SPLITS for name in MEASURES]
    rows = [[result["seed"], *(result[split][name] for split, name in columns)] for result in results]
    return to_csv(["seed", *("_".join(column) for column in columns)], rows)


def seeds_table(report: dict[str, Any]) -> str:
    """F1 of each seed, then mean and sd."""
    rows = [["seed", *(f"{split} F1" for split in SPLITS)]]
    rows += [[str(r["seed"]), *(f"{r[split]['f1']:.4f}" for split in SPLITS)] for r in report["seeds"]]
    for name in ("mean", "sd"):
        values = [report["summary"][split]["f1"][name] for split in SPLITS]
        rows.append([name, *("-" if value is None else f"{value:.4f}" for value in values)])
    return plain_table(rows)


def main() -> None:
    params = read_params()
    if params.seeds.extra:
        check_seeds(params)
        prepare_libraries()
    print(seeds_table(compare_seeds(params, PREPARED, BASE, CHECKPOINTS, REPORTS)), flush=True)


def prepare_libraries() -> None:
    """What `train` does before it trains: data checked, transformers silent."""
    from transformers import logging

    from tasks.prepared import read_manifest
    from tasks.train import check_validated

    check_validated(VALIDATED, read_manifest(PREPARED)["fingerprint"])
    logging.set_verbosity_error()
    logging.disable_progress_bar()


if __name__ == "__main__":
    run_stage("seeds", main)
