"""One experiment: train with its values as stage `train` does, read validation in both ways, keep counts of entities.

Of a finished training a result of some kB stays, and of the baseline the model too, so that an idea that changes the
block `prediction` alone trains nothing. Test is never read.
"""

import gc
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from ner.entities import count, entity_table, mark_correct, unit_numbers
from ner.params import Params
from ner.probability import log_probabilities, softmax
from tasks import teaching, techniques
from tasks.experiments_file import BASELINE, Experiment
from tasks.io import read_json, sha256_file, write_json
from tasks.predict import load_tagger, predict_split
from tasks.predictions import Predictions
from tasks.prepared import read_manifest, read_split
from tasks.seeds import seed_folder
from tasks.sweep_tracking import adopt, log_trial
from tasks.teaching import laid_over_all
from tasks.train import train
from tasks.training_log import TrainingLog

STAGE = "experiment"
READINGS = ("documents", "alone")  # as trained, and each sentence by itself
MACHINE = ("device", "cores", "threads", "gpus", "precision")


@dataclass(frozen=True)
class Place:
    """Where experiments work. bases: an encoder's folder by its name; folder: keeps a folder a training."""

    prepared: Path
    bases: dict[str, Path]
    folder: Path
    parent: str | None = None


class ChildLog(TrainingLog):
    """Curves and facts of a training whose MLflow run is a child of the experiments' run."""

    def __init__(self, reports: Path, name: str, parent: str | None, one: Experiment, teachers: Sequence[Path]) -> None:
        super().__init__(reports)
        self.name, self.parent, self.one, self.teachers = name, parent, one, teachers

    def callback(self) -> TrainerCallback:
        return laid_over_all(self.one, self.teachers, super().callback())

    def start(self, *arguments: Any) -> None:
        super().start(*arguments)
        if self.run and self.run.run_id:
            technique, taught_by = self.one.technique, self.one.taught_by
            tags = {"ner.technique": technique.model_dump_json(exclude_none=True)} if technique else {}
            tags |= {"ner.taught_by": ", ".join(map(str, taught_by))} if taught_by else {}
            adopt(self.run.run_id, self.parent, self.name, STAGE, tags)


def training_folder(one: Experiment, place: Place) -> Path:
    """Named by data, encoder, code and every parameter of the training: equal trainings are done once."""
    folder = seed_folder(one.params, place.prepared, place.bases[one.params.model.base], place.folder)
    if one.technique:
        known = one.technique.model_dump_json() + sha256_file(Path(techniques.__file__))
    elif one.taught_by:
        teachers = [training_folder(other, place).name for other in one.others()]
        known = json.dumps(teachers) + sha256_file(Path(teaching.__file__))
    else:
        return folder
    return folder.with_name(f"{folder.name}-{hashlib.sha256(known.encode()).hexdigest()[:8]}")


def result_path(one: Experiment, place: Place) -> Path:
    """Where the result of an experiment is, or will be: one a way of predicting."""
    way = json.dumps(one.params.prediction.model_dump(), sort_keys=True)
    way += json.dumps(one.votes_with) if one.votes_with else ""
    return training_folder(one, place) / f"result-{hashlib.sha256(way.encode()).hexdigest()[:8]}.json"


def run_experiment(one: Experiment, place: Place, head: str) -> dict[str, Any]:
    """Train and score what is not there yet. Raises what a training raises; the same command then goes on."""
    path, folder = result_path(one, place), training_folder(one, place)
    if path.exists():
        return read_json(path)
    beside = [
        run_experiment(other, place, f"{head}: model {number} of {len(one.others())} beside it, seed {other.seed}")
        for number, other in enumerate(one.others(), start=1)
    ]
    others = model_folders(one.others(), place)
    model, report, title = folder / "model", folder / "reports" / "training.json", f"{one.name} seed {one.seed}"
    if not (model.exists() and report.exists()):
        print(f"{head}: training", flush=True)
        base = place.bases[one.params.model.base]
        log = ChildLog(folder / "reports", title, place.parent, one, others)
        if one.technique or one.taught_by:
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # they have nothing of it
        try:
            train(one.params, place.prepared, base, model, folder / "checkpoints", log)
        except Exception:
            if log.run:
                log.run.close("FAILED")
            raise
        gc.collect()  # a Trainer refers to itself: without this its weights are still there with the next one's
    print(f"{head}: scoring", flush=True)
    together = [model, *(others if one.votes_with else [])]
    scores, training = score_validation(one.params, place.prepared, together), read_json(report)
    metrics = {f"validation_f1_{reading}": scores[reading]["f1"] for reading in READINGS}
    own = None if training.get("resumed") else training["seconds"]  # then it is only the last part's
    seconds = [own, *(result["seconds"] for result in beside)]
    run_id = log_trial(training, one.params, title, "complete", place.parent, stage=STAGE, metrics=metrics)
    result = {
        "seed": one.seed,
        **scores,
        "seconds": None if None in seconds else sum(seconds),
        "machine": {name: training[name] for name in MACHINE if name in training},
        "mlflow_run_id": run_id,
    }
    write_json(path, result)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if one.name != BASELINE and not (folder / "of-the-baseline").exists():
        shutil.rmtree(model, ignore_errors=True)
    elif one.name == BASELINE:
        (folder / "of-the-baseline").touch()
    return result


def model_folders(ones: Sequence[Experiment], place: Place) -> list[Path]:
    """Where trainings leave their models; those of the baseline stay."""
    return [training_folder(one, place) / "model" for one in ones]


def score_validation(params: Params, prepared: Path, models: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """For each reading precision, recall, f1 and `counts`: [correct, predicted, gold] of every document.

    Of several models the probabilities are averaged.
    """
    fingerprint = read_manifest(prepared)["fingerprint"]
    split = read_split(prepared, "validation")
    read = [predict_split(load_tagger(model, params), split, params, "validation", fingerprint) for model in models]
    logits = {"documents": voted([one.logits for one in read]), "alone": voted([one.logits_alone for one in read])}
    return {reading: _scores(read[0], logits[reading]) for reading in READINGS}


def voted(logits: Sequence[np.ndarray]) -> np.ndarray:
    """The logarithm of the mean probabilities of models, each [words, labels]; a single model's logits as they are."""
    if len(logits) == 1:
        return logits[0]
    return log_probabilities(np.mean([softmax(each) for each in logits], axis=0))


def _scores(predictions: Predictions, logits: np.ndarray) -> dict[str, Any]:
    gold, found = entity_table(predictions.gold), entity_table(predictions.tags(logits))
    mark_correct(gold, found)
    types = sorted({*gold["type"], *found["type"]})
    counts = count(gold, found, unit_numbers(predictions.document_ids)[0], types).sum(axis=1)
    correct, predicted, annotated = (int(number) for number in counts.sum(axis=0))
    return {
        "precision": correct / predicted if predicted else 0.0,
        "recall": correct / annotated if annotated else 0.0,
        "f1": 2 * correct / (predicted + annotated) if predicted + annotated else 0.0,
        "counts": counts.tolist(),
    }
