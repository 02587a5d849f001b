"""Cross-validation: a training for each fold of training and validation together, on all the other folds.

cross_validate(params, Path("data/prepared"), Path("models/base"), Path("checkpoints/folds"), Path("reports/folds"))

What each model predicts of its own fold, which it has not seen, stands for the validation split from then on. A killed
run goes on with the fold that it was in, as others of ner/search/trainings.py do.
"""

import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ner.common.files import read_json, replacing_file, replacing_folder, write_json
from ner.common.tables import plain_table
from ner.data.folds import fold_of_sentences
from ner.data.predict_splits import load_tagger, predict_parts
from ner.data.predictions import read_predictions, write_parts, write_pooled
from ner.data.prepared import Split, pooled, read_manifest, read_sentences, read_split
from ner.data.subset import write_part
from ner.evaluation.scoring import score
from ner.params import Params
from ner.search.seeds import spread
from ner.search.trainings import code_of, remove_weights, train_once, training_folder
from ner.tracking.determined import training_record
from ner.tracking.runs import try_log_part
from ner.training.recipe import table
from ner.training.recipe_facts import choose

POOL, HELD_OUT = ("train", "validation"), "validation"
PREDICTIONS, REPORT = f"{HELD_OUT}.parquet", "folds.json"
MEASURES = ("precision", "recall", "f1")


def cross_validate(params: Params, prepared: Path, base: Path, checkpoints: Path, folder: Path) -> dict[str, Any]:
    """Write folds.json and the predictions of all folds into `folder`, and return what is in folds.json.

    Of each fold its result and its predictions stay in `checkpoints`. Raises CorpusError where the documents cannot be
    divided, before any training.
    """
    done = train_folds(params, prepared, base, checkpoints)
    results = list(done.values())
    report = {
        "folds": len(results),
        "epochs": statistics.median(result["epochs"] for result in results),
        "f1": spread([result["f1"] for result in results]),
        "results": results,
    }
    with replacing_folder(folder) as temporary:
        write_pooled(temporary / PREDICTIONS, [fold / PREDICTIONS for fold in done])
        write_json(temporary / REPORT, report)
    return report


def train_folds(params: Params, prepared: Path, base: Path, checkpoints: Path) -> dict[Path, dict[str, Any]]:
    """Train and score each fold with the recipe of the whole, and return the results by their folders."""
    manifest, count = read_manifest(prepared), params.split.folds
    pool = pooled(*(read_split(prepared, name) for name in POOL))
    folds = fold_of_sentences(pool, manifest["labels"], params.split)
    recipe, choices = choose(params, base, manifest["labels"], pool, pool)
    print(table(choices), flush=True)
    params, done = params.model_copy(update={"train": recipe}), {}
    part = checkpoints / "part"
    for fold in range(count):
        title = f"fold {fold + 1} of {count}"
        write_fold(prepared, pool, folds == fold, part, title)
        folder = training_folder(params, part, base, checkpoints)
        done[folder] = fold_result(params, part, base, folder, title, manifest["fingerprint"])
    shutil.rmtree(part)
    return done


def write_fold(prepared: Path, pool: Split, held_out: np.ndarray, folder: Path, title: str) -> None:
    """Write a folder like data/prepared whose validation split is one fold, and whose training split is the others."""
    whole, manifest = pa.concat_tables(read_sentences(prepared, name) for name in POOL), read_manifest(prepared)
    for name, values in (("document_id", pool.document_ids), ("sentence_id", pool.sentence_ids)):
        place = whole.schema.get_field_index(name)
        whole = whole.set_column(place, whole.schema.field(name), pa.array(values, whole.schema.field(name).type))
    tables = {"train": whole.filter(pa.array(~held_out)), HELD_OUT: whole.filter(pa.array(held_out))}
    about = {**manifest, "source": f"{manifest['source']}, {title}"}
    write_part(folder, about, tables, ["held out", np.flatnonzero(held_out).tolist()])


def fold_result(params: Params, part: Path, base: Path, folder: Path, title: str, data: str) -> dict[str, Any]:
    """Train, predict the fold and score it; of it all there stay result.json, the predictions and the reports.

    data: the fingerprint of the whole corpus. What a killed run has left in `folder` is not done again. What other code
    or other parameters have predicted is.
    """
    result, predictor = folder / "result.json", f"{code_of('predict')} {params.prediction.model_dump_json()}"
    before = read_json(result) if result.exists() else {}
    if before.get("predicted_by") == predictor:
        print(f"{title}: F1 {before[HELD_OUT]['f1']:.4f}, trained and scored before, in {folder}", flush=True)
        return before[HELD_OUT]
    tagger = load_tagger(train_once(params, part, base, folder, title), params)
    with replacing_file(folder / PREDICTIONS) as temporary:
        write_parts(temporary, predict_parts(tagger, part, HELD_OUT, params, data))
    predictions = read_predictions(folder, HELD_OUT)
    scores = score(predictions.gold, predictions.tags(predictions.logits))
    training = training_record(folder / "reports" / "training.json")
    try_log_part(training, params.registry.experiment, {HELD_OUT: scores}, "fold")
    known = {
        "documents": len(set(predictions.document_ids)),
        "sentences": len(predictions.tokens),
        "entities": scores["support"],
        "epochs": round(max(entry["epoch"] for entry in training["log"] if entry["step"] == training["kept"]), 4),
        **{name: scores[name] for name in MEASURES},
    }
    print(f"{title}: F1 {known['f1']:.4f} after {known['epochs']:g} epochs", flush=True)
    write_json(result, {HELD_OUT: known, "predicted_by": predictor})
    remove_weights(folder)
    return known


def folds_table(report: dict[str, Any]) -> str:
    """Return a row a fold, then mean and standard deviation of F1, and the epochs of the last training."""
    counts, scores = ("documents", "sentences", "entities", "epochs"), report["f1"]
    rows = [["fold", *counts, "precision", "recall", "F1"]]
    for number, result in enumerate(report["results"], start=1):
        numbers = [f"{result[name]:g}" for name in counts]
        rows.append([str(number), *numbers, *(f"{result[name]:.4f}" for name in MEASURES)])
    rows += [[name, *[""] * 6, f"{scores[name]:.4f}"] for name in ("mean", "sd")]
    epochs = f"{report['epochs']:g} epochs, the median of the folds, for the training on all documents"
    return f"{plain_table(rows)}\n{epochs}"
