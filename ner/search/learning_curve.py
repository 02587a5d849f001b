"""How much more annotation is worth: trainings on 1/8, 1/4, 1/2 and all of the training documents, and their curve.

Run     ner learning-curve     (the same command resumes one that was stopped)
Reads   data/prepared, data/validated.json, models/base, models/base.json, params.yaml; models/ner and
        reports/training.json, which are the last point where they are of this data, encoder and recipe
Writes  reports/learning_curve.json, reports/learning_curve (points.csv, curve.png); .ner/learning-curve

Each part holds the one before it. It is judged by F1 on validation; test is never looked at.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ner.common.files import read_json, read_params, sha256_file, write_json
from ner.common.lock import lock_file
from ner.common.tables import plain_table
from ner.data.prepared import read_manifest, read_split
from ner.errors import NerError
from ner.params import Params
from ner.search.trainings import check_one_process, kept_result, predicted_tags, train_once, training_folder

STAGE, BUSY = "learning-curve", "another learning curve is drawn in this checkout: wait until it ends."
PARTS = (8, 4, 2, 1)  # a part is one of so many of the documents
PREPARED, BASE, MODEL, REPORTS = Path("data/prepared"), Path("models/base"), Path("models/ner"), Path("reports")


def learning_curve(params: Params, root: Path = Path()) -> dict[str, Any]:
    """Train what is missing, smallest part first, until the curve is flat; return what learning_curve.json says.

    Raises NerError for fewer documents than parts and for a validation split without an entity, BusyError where another
    curve is drawn here.
    """
    from ner.data.subset import with_documents
    from ner.search.learning_report import is_flat, learning_report, write
    from ner.tracking.nested_runs import close_parent, open_parent

    prepared, base, folder = root / PREPARED, root / BASE, root / ".ner" / STAGE
    entities, unit = check(params, prepared)
    order, points = nested_order(entities, params.sweep.seed), []
    with lock_file(folder / "lock", BUSY):
        note = training_folder(params, prepared, base, folder) / "curve.json"
        known = read_json(note)["mlflow_run_id"] if note.exists() else None
        parent = open_parent(known, params.registry.experiment, STAGE, params.model_dump(exclude={"sweep"}), {})
        write_json(note, {"mlflow_run_id": parent.run_id})
        for number, share in enumerate(PARTS, start=1):
            own = order[: len(order) // share]
            part = prepared if share == 1 else with_documents(prepared, folder / "part", own)
            title = f"part {number} of {len(PARTS)}, {len(own)} of {len(order)} {unit}s"
            result = part_result(params, part, root, title, parent.run_id)
            points.append({"size": len(own), "entities": int(entities[own].sum()), **result})
            if is_flat(points, params.evaluation):
                break
        report = learning_report(points, params.evaluation, unit, len(order))
        report |= {"fingerprint": read_manifest(prepared)["fingerprint"], "mlflow_run_id": parent.run_id}
        files = write(report, root / REPORTS)
        twice = {"expected_f1_of_twice_the_size": report["twice"]["f1"]} if report["twice"] else {}
        close_parent(parent, {"validation_f1": report["points"][-1]["f1"], **twice}, files)
    return report


def check(params: Params, prepared: Path) -> tuple[np.ndarray, str]:
    """Return the entities of training, [documents, types], and whether a unit is a document or a sentence.

    Raises NerError where there is too little to draw a curve of, or to judge it by.
    """
    check_one_process(params, "a learning curve")
    labels = read_manifest(prepared)["labels"]
    entities, unit = entity_counts(prepared, "train", labels)
    if len(entities) < PARTS[0]:
        raise NerError(
            f"{prepared} has {len(entities)} {unit}s of training, and a learning curve needs {PARTS[0]} or more: "
            "annotate some first."
        )
    if not entity_counts(prepared, "validation", labels)[0].any():
        raise NerError(f"{prepared}: validation has no entity to judge a training by: annotate some of its documents.")
    return entities, unit


def entity_counts(prepared: Path, split: str, labels: Sequence[str]) -> tuple[np.ndarray, str]:
    """Return the entities of a split, [units, types], and what its unit is called (ner.data.entities.unit_numbers)."""
    from ner.data.entities import unit_numbers

    rows, begins = read_split(prepared, split), [index for index, name in enumerate(labels) if name.startswith("B-")]
    units, unit = unit_numbers(rows.document_ids)
    counts = np.zeros((int(units.max(initial=-1)) + 1, len(begins)), int)
    np.add.at(counts, units, np.array([[tags.count(begin) for begin in begins] for tags in rows.tag_ids], int))
    return counts, unit


def nested_order(entities: np.ndarray, seed: int) -> np.ndarray:
    """Return the documents in an order drawn by the seed, of which each part is a beginning.

    entities: [documents, types]. In front stand the first documents of the order that have the rarest types, so that
    every part has every type, where that can be.
    """
    order = np.random.default_rng(seed).permutation(len(entities)).tolist()
    front: list[int] = []
    for kind in np.argsort((entities > 0).sum(0), kind="stable"):
        if entities[:, kind].any() and not any(entities[document, kind] for document in front):
            front.append(next(document for document in order if entities[document, kind]))
    return np.array(front + [document for document in order if document not in front])


def part_result(params: Params, prepared: Path, root: Path, title: str, parent: str | None) -> dict[str, Any]:
    """Return the counts of one training on validation, and its facts. prepared: the part; parent: the MLflow run."""
    from ner.tracking.determined import training_record
    from ner.tracking.nested_runs import Child, log_child
    from ner.tracking.training_log import ChildLog

    base, child = root / BASE, Child(parent, f"{STAGE}, {title}", f"{STAGE}-part")
    folder = training_folder(params, prepared, base, root / ".ner" / STAGE)
    is_main = prepared == root / PREPARED and is_trained(params, root)

    def train() -> Path:
        if is_main:
            print(f"{title}: {MODEL} is this training", flush=True)
            return root / MODEL
        return train_once(params, prepared, base, folder, title, ChildLog(folder / "reports", child))

    def score(model: Path) -> dict[str, Any]:
        training = training_record((root if is_main else folder) / REPORTS / "training.json")
        run = training.get("mlflow_run_id") if is_main else log_child(training, params, child, "complete")
        known = {"epochs": training["params"]["train.epochs"], "seconds": training.get("seconds"), "mlflow_run_id": run}
        return {**known, "counts": counts_of(model, prepared, params).tolist()}

    return kept_result(params, folder, title, train, score)


def is_trained(params: Params, root: Path) -> bool:
    """Return whether models/ner is what this data, encoder and recipe make, by reports/training.json."""
    from ner.tracking.training_log import shaping_params
    from ner.training.recipe_facts import resolved

    report, weights = root / REPORTS / "training.json", root / MODEL / "model.safetensors"
    if not (report.exists() and weights.exists()):
        return False
    training, recipe = read_json(report), resolved(params, root / PREPARED, root / BASE)
    return (
        not training.get("folds")  # which has learnt validation too
        and training["params"] == shaping_params(recipe, "train")
        and training["data"]["fingerprint"] == read_manifest(root / PREPARED)["fingerprint"]
        and training["base"] == read_json((root / BASE).with_suffix(".json"))
        and training["weights"] == sha256_file(weights)
    )


def counts_of(model: Path, prepared: Path, params: Params) -> np.ndarray:
    """Return the entity counts of a model on validation, [units, (correct, predicted, gold)]."""
    from ner.data.entities import entity_table, mark_correct, sentence_counts, unit_numbers
    from ner.data.predict_splits import load_tagger

    tags = predicted_tags(load_tagger(model, params), prepared, "validation", params)
    gold, predicted = (entity_table(own) for own in tags)
    mark_correct(gold, predicted)
    units, _ = unit_numbers(read_split(prepared, "validation").document_ids)
    counts = np.zeros((int(units.max()) + 1, 3), int)
    np.add.at(counts, units, sentence_counts(gold, predicted, len(units)))
    return counts


def main() -> dict[str, Any]:
    """Draw the curve of this checkout and print it; return the report."""
    params = read_params()
    check(params, PREPARED)
    from ner.search.learning_report import table_rows
    from ner.training.run import prepare_libraries

    prepare_libraries(PREPARED, Path("data/validated.json"))
    report = learning_curve(params)
    print(f"\n{plain_table(table_rows(report), 'rrrrr')}\n\n{report['sentence']}\n", flush=True)
    print(f"{REPORTS / 'learning_curve'}, MLflow run {report['mlflow_run_id'] or 'none'}", flush=True)
    return report
