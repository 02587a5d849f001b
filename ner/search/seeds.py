"""Trains once more with each seed in seeds.extra, scores each training, and compares the scores.

compare_seeds(params, Path("data/prepared"), Path("models/base"), Path("checkpoints/seeds"), Path("reports"))

A killed run goes on with the seed that it was at: what a seed has reached lies in checkpoints/seeds/<key>, and its
result stays. No library of deep learning is loaded without extra seeds.
"""

import gc
import hashlib
import shutil
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ner.common.files import read_json, sha256_file, write_json, write_text
from ner.common.stages import read_stages, written
from ner.common.tables import plain_table, to_csv
from ner.errors import ParamsError
from ner.params import Params
from ner.tracking.determined import training_record
from ner.tracking.runs import try_log_seed

SPLITS = ("validation", "test")
MEASURES = ("f1", "precision", "recall")
SCORES = (*MEASURES, "accuracy", "f1_strict")
OWN = ("ner/search/seeds.py", "tasks/seeds.py")  # of this stage, but neither train nor score
ROOT = Path(__file__).resolve().parents[2]


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


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Return mean, sample standard deviation (n - 1 below the line; None for one value), min and max."""
    return {
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else None,
        "min": min(values),
        "max": max(values),
    }


def summarize(results: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return the spread of each measure on each split.

    results: one a seed, {"validation": {"f1": ..., "precision": ..., "recall": ...}, "test": {...}}; at least one.
    """
    return {split: {name: spread([result[split][name] for result in results]) for name in MEASURES} for split in SPLITS}


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
            f"params.yaml, seeds.extra: {', '.join(map(str, repeated))} is listed more than once; name each seed once."
        )
    if extra and params.train.processes > 1:
        raise ParamsError(
            f"params.yaml, seeds.extra: several seeds are trained in one process; set train.processes to 1 (it is "
            f"{params.train.processes}), or seeds.extra to []."
        )


def main_result(params: Params, reports: Path) -> dict[str, Any]:
    """Return the main model's entry, from what `evaluate` has written."""
    return entry(params.train.seed, read_json(reports / "metrics.json"))


def entry(seed: int, scores: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of one seed in seeds.json."""
    return {"seed": seed, **{split: {name: scores[split][name] for name in SCORES} for split in SPLITS}}


def seed_folder(params: Params, prepared: Path, base: Path, checkpoints: Path) -> Path:
    """Return the folder of one seed's training, named by data, encoder, code and parameters (with the seed)."""
    from ner.data.prepared import read_manifest
    from ner.training.checkpoints import checkpoint_key

    return checkpoints / f"{checkpoint_key(params, read_manifest(prepared)['fingerprint'], base)}-{training_code()[:8]}"


def training_code() -> str:
    """Return Hex sha256 of the code that shapes the weights."""
    return code_of("train")


@cache
def code_of(stage: str, without: tuple[str, ...] = ()) -> str:
    """Return Hex sha256 of the code that dvc.yaml names as dependencies of a stage, with all files of a folder."""
    stages = read_stages(ROOT)
    outs = [out for other in stages.values() for out in written(other)]
    deps = [Path(dep) for dep in stages[stage]["deps"] if dep not in without]
    code = [ROOT / dep for dep in deps if not any(dep.is_relative_to(out) for out in outs)]
    files = [file for path in code for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    sources = [file for file in files if file.is_file() and "__pycache__" not in file.parts]
    return hashlib.sha256("".join(map(sha256_file, sources)).encode()).hexdigest()


def seed_result(params: Params, prepared: Path, base: Path, folder: Path, title: str) -> dict[str, Any]:
    """Train with params.train.seed, score, and keep of it all no more than result.json and the reports.

    What a killed run has left in `folder` is not done again. A result by another scorer is: mean and sd are of one.
    """
    result, scorer = folder / "result.json", code_of("seeds", without=OWN)
    known = read_json(result) if result.exists() else {}
    if known.pop("scored_by", None) == scorer:
        print(f"{title}: scored before, in {result}", flush=True)
        return known
    train_seed(params, prepared, base, folder, title)
    print(f"{title}: scoring", flush=True)
    scores = score_model(params, prepared, folder / "model")
    try_log_seed(training_record(folder / "reports" / "training.json"), params.registry.experiment, scores)
    seed = entry(params.train.seed, scores)
    write_json(result, {**seed, "scored_by": scorer})
    for left in ("model", "checkpoints"):
        shutil.rmtree(folder / left, ignore_errors=True)
    return seed


def train_seed(params: Params, prepared: Path, base: Path, folder: Path, title: str) -> None:
    """Write folder/model and folder/reports, unless a killed run has come so far."""
    from ner.tracking.training_log import TrainingLog
    from ner.training.run import train

    model, reports = folder / "model", folder / "reports"
    if model.exists() and (reports / "training.json").exists():  # the latter is what a training writes last
        print(f"{title}: trained before, in {model}", flush=True)
        return
    print(f"{title}: training", flush=True)
    train(params, prepared, base, model, folder / "checkpoints", TrainingLog(reports))
    gc.collect()  # a Trainer refers to itself: without this its weights and moments are still there with the next one's


def score_model(params: Params, prepared: Path, model: Path) -> dict[str, dict[str, Any]]:
    """Return scores of validation and test, predicted in the context that the model was trained in."""
    from ner.common.progress import on_progress
    from ner.data.predict_splits import load_tagger
    from ner.data.prepared import read_split, to_tags
    from ner.evaluation.scoring import score
    from ner.inference.decoding import best_tags

    tagger = load_tagger(model, params)
    scores = {}
    for name in SPLITS:
        split = read_split(prepared, name)
        documents = split.document_ids if params.encoding.context == "document" else None
        logits = tagger.logits(split.tokens, documents, on_progress(name, " windows"))
        predicted = to_tags([best_tags(rows, tagger.labels) for rows in logits], tagger.labels)
        scores[name] = score(to_tags(split.tag_ids, tagger.labels), predicted)
    return scores


def seeds_csv(results: list[dict[str, Any]]) -> str:
    """Return seeds.csv: a row a seed, with validation_f1 and so on for each split and measure."""
    columns = [(split, name) for split in SPLITS for name in MEASURES]
    rows = [[result["seed"], *(result[split][name] for split, name in columns)] for result in results]
    return to_csv(["seed", *("_".join(column) for column in columns)], rows)


def seeds_table(report: dict[str, Any]) -> str:
    """Return F1 of each seed, then mean and sd."""
    rows = [["seed", *(f"{split} F1" for split in SPLITS)]]
    rows += [[str(r["seed"]), *(f"{r[split]['f1']:.4f}" for split in SPLITS)] for r in report["seeds"]]
    for name in ("mean", "sd"):
        values = [report["summary"][split]["f1"][name] for split in SPLITS]
        rows.append([name, *("-" if value is None else f"{value:.4f}" for value in values)])
    return plain_table(rows)
