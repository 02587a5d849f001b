"""Trains once more with each seed in seeds.extra, scores each training, and compares the scores.

compare_seeds(params, Path("data/prepared"), Path("models/base"), Path("checkpoints/seeds"), Path("reports"))

A killed run goes on with the seed that it was at: what a seed has reached lies in checkpoints/seeds/<key>, and its
result stays. No library of deep learning is loaded without extra seeds.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.common.files import read_json, write_json, write_text
from ner.common.tables import plain_table, to_csv
from ner.errors import ParamsError
from ner.params import Params
from ner.search.trainings import kept_result, predicted_tags, train_once, training_folder
from ner.tracking.determined import training_record
from ner.tracking.runs import try_log_part

SPLITS = ("validation", "test")
MEASURES = ("f1", "precision", "recall")
SCORES = (*MEASURES, "accuracy", "f1_strict")


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
        folder = training_folder(params_of_seed, prepared, base, checkpoints)
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


def seed_result(params: Params, prepared: Path, base: Path, folder: Path, title: str) -> dict[str, Any]:
    """Return the entry of params.train.seed, trained and scored, or as an earlier run has kept it in `folder`.

    A result by another scorer is made again: mean and sd are of one.
    """

    def score(model: Path) -> dict[str, Any]:
        scores = score_model(params, prepared, model)
        try_log_part(training_record(folder / "reports" / "training.json"), params.registry.experiment, scores)
        return entry(params.train.seed, scores)

    return kept_result(params, folder, title, lambda: train_once(params, prepared, base, folder, title), score)


def score_model(params: Params, prepared: Path, model: Path) -> dict[str, dict[str, Any]]:
    """Return scores of validation and test, predicted in the context that the model was trained in."""
    from ner.data.predict_splits import load_tagger
    from ner.evaluation.scoring import score

    tagger = load_tagger(model, params)
    return {name: score(*predicted_tags(tagger, prepared, name, params)) for name in SPLITS}


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
