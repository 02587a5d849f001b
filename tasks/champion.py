"""The champion: the version in use, by its alias in the registry, and what it predicts on the present data.

Run     python -m tasks.champion             (this model against the champion, overall and by entity type)
        python -m tasks.champion --predict   (let the champion predict the present data, so that the gate can compare)
Reads   reports/metrics.json, reports/predictions, params.yaml [registry]; with --predict data/prepared and [prediction]
Writes  with --predict: predictions/<data fingerprint>/{validation,test}.parquet into the champion's MLflow run

Both models are scored on the same documents, and the bootstrap draws the same ones for both.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ner.bootstrap import difference, draws
from ner.entities import count, entity_table, mark_correct, unit_numbers
from ner.errors import ModelError, NerError, RegistryError
from ner.gate import SPLIT, SPLITS, Champion
from ner.params import Params
from tasks.cli import run_stage
from tasks.io import read_json, read_params
from tasks.predictions import Predictions, read_predictions, write_predictions
from tasks.prepared import read_manifest, read_split
from tasks.store import client, exists, patience, predictions_folder, registry_errors, upload
from tasks.tables import plain_table

ALIAS = "champion"
PREPARED, REPORTS = Path("data/prepared"), Path("reports")
PREDICT = "run `python -m tasks.champion --predict`, then `dvc repro gate`"


def against_champion(model: str, metrics: Mapping[str, Any], reports: Path) -> Champion:
    """What the gate is told: the paired comparison on validation, or why there is none.

    Raises NerError where this model's own predictions are missing; whatever the registry lacks is in the answer.
    """
    try:
        version = find_champion(model)
    except RegistryError as error:
        return Champion(problem=str(error).rstrip("."))
    if version is None:
        return Champion(absent=f"no version of {model!r} has the alias {ALIAS!r}, so there is none to be worse than")
    ours = read_predictions(reports / "predictions", SPLIT)
    try:
        settings = bootstrap_settings(metrics, ours)
        theirs = stored_predictions(version, ours, SPLIT)
    except NerError as error:
        return Champion(problem=str(error).rstrip("."))
    overall, _ = compare(ours, theirs, settings)
    is_same = ours.tags(ours.logits) == theirs.tags(theirs.logits)
    return Champion(name=shown(version), difference=overall, confidence=settings["confidence"], is_same=is_same)


def find_champion(model: str) -> Any | None:
    """The version with the alias, or None; a store that does not exist is not made. Raises RegistryError."""
    from mlflow.exceptions import MlflowException

    if not exists() and not os.environ.get("MLFLOW_REGISTRY_URI"):
        return None
    with registry_errors():
        store = client()
        try:
            aliases = store.get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return store.get_model_version(model, str(aliases[ALIAS])) if ALIAS in aliases else None


def stored_predictions(version: Any, ours: Predictions, split: str) -> Predictions:
    """What the champion's run has of the data that `ours` is of.

    Raises NerError where it has none, or what it has cannot be read or is of other sentences, and RegistryError.
    """
    folder = predictions_folder(ours.fingerprint)
    run_id, path = run_of(version), f"{folder}/{split}.parquet"
    with registry_errors(), patience(), tempfile.TemporaryDirectory() as scratch:
        store = client()
        if path not in {entry.path for entry in store.list_artifacts(run_id, folder)}:
            data = f"the {split} split of the present data (fingerprint {ours.fingerprint[:16]})"
            raise NerError(f"the run of {shown(version)} has no predictions for {data}: {PREDICT}.")
        local = Path(store.download_artifacts(run_id, path, scratch))
        try:
            theirs = read_predictions(local.parent, split)
        except NerError:
            raise NerError(f"{path} in the run of {shown(version)} cannot be read: {PREDICT}.") from None
    if theirs.fingerprint != ours.fingerprint or theirs.tokens != ours.tokens:
        raise NerError(f"{path} in the run of {shown(version)} is of other sentences than {split} has now: {PREDICT}.")
    return theirs


def compare(
    ours: Predictions, theirs: Predictions, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """ner.bootstrap.difference, ours minus theirs: over all entities, and by entity type.

    Both are of the same sentences; their labels may be in different orders. settings: resamples, confidence, seed.
    """
    units, _ = unit_numbers(ours.document_ids)
    found = [entity_table(each.tags(each.logits)) for each in (ours, theirs)]
    gold = entity_table(ours.gold)
    types = sorted({*gold["type"], *found[0]["type"], *found[1]["type"]})
    counts = [_counts(gold.copy(), table, units, types) for table in found]
    drawn = draws(len(counts[0]), settings["resamples"], settings["seed"])
    confidence = settings["confidence"]
    by_type = {
        name: difference(counts[0][:, index], counts[1][:, index], drawn, confidence)
        for index, name in enumerate(types)
    }
    return difference(counts[0].sum(1), counts[1].sum(1), drawn, confidence), by_type


def predict_champion(params: Params, prepared: Path) -> str:
    """Predict both splits with the champion, read as it was trained, and store that in its run; returns its name.

    Raises RegistryError where there is no champion, and ModelError where it knows other tags than the data has.
    """
    import torch

    from ner.prediction import Tagger
    from tasks.predict import predict_split

    version = find_champion(params.registry.model)
    if version is None:
        raise RegistryError(f"{no_champion(params.registry.model)}: nothing is to be predicted.")
    manifest, run_id = read_manifest(prepared), run_of(version)
    with tempfile.TemporaryDirectory() as scratch:
        params = as_trained(params, run_id)
        print(f"fetching {shown(version)} from the registry", flush=True)
        folder = fetch_model(version, Path(scratch))
        tagger = Tagger.load(folder, device="cuda" if torch.cuda.is_available() else "cpu")
        ordered = InOrder(tagger, manifest["labels"], shown(version))
        files = []
        for name in SPLITS:
            split = read_split(prepared, name)
            predictions = predict_split(ordered, split, params, name, manifest["fingerprint"])
            files.append(Path(scratch) / f"{name}.parquet")
            write_predictions(files[-1], predictions)
        with registry_errors(), patience():
            upload(client(), run_id, files, predictions_folder(manifest["fingerprint"]))
    return shown(version)


class InOrder:
    """A Tagger whose columns are in the order of other labels: those of the data. Raises ModelError for other tags."""

    def __init__(self, tagger: Any, labels: Sequence[str], name: str) -> None:
        if sorted(tagger.labels) != sorted(labels):
            raise ModelError(
                f"{name} was trained on the tags {', '.join(sorted(tagger.labels))}, the data has "
                f"{', '.join(sorted(labels))}, so that their scores cannot be compared: take the alias {ALIAS!r} from "
                "that version, or go back to its data."
            )
        self.tagger, self.labels = tagger, list(labels)
        self.columns = [tagger.labels.index(label) for label in labels]

    def logits(self, *arguments: Any) -> list[np.ndarray]:
        """What Tagger.logits takes and returns."""
        return [rows[:, self.columns] for rows in self.tagger.logits(*arguments)]


def as_trained(params: Params, run_id: str) -> Params:
    """The present parameters, with the context that the run of the champion was trained with where it says so."""
    with registry_errors():
        context = client().get_run(run_id).data.params.get("encoding.context", params.encoding.context)
    return params.model_copy(update={"encoding": params.encoding.model_copy(update={"context": context})})


def fetch_model(version: Any, folder: Path) -> Path:
    """Download the files of a version's model below `folder`; returns where they are. Raises RegistryError."""
    from mlflow.artifacts import download_artifacts

    from tasks.registry import use_this_store

    use_this_store()
    with registry_errors(), patience():
        uri = f"models:/{version.name}/{version.version}/artifacts"
        local = Path(download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    found = sorted(path.parent for path in local.rglob("config.json"))
    if not found:
        raise RegistryError(f"the files of {shown(version)} are gone from the registry: set the alias on another one.")
    return found[0]


def bootstrap_settings(metrics: Mapping[str, Any], ours: Predictions) -> Mapping[str, Any]:
    """Those of metrics.json. Raises NerError where it has none, or is of other data than the predictions."""
    if metrics.get("fingerprint") != ours.fingerprint or not metrics.get("bootstrap"):
        raise NerError("reports/metrics.json does not belong to reports/predictions: run `dvc repro evaluate`.")
    return metrics["bootstrap"]


def run_of(version: Any) -> str:
    """The id of the MLflow run that a version comes from. Raises RegistryError where it comes from none."""
    if not version.run_id:
        raise RegistryError(
            f"{shown(version)} was not registered by this pipeline, so it has no run that keeps its predictions: "
            f"set the alias {ALIAS!r} on a version that was."
        )
    return version.run_id


def shown(version: Any) -> str:
    """`ner version 3`."""
    return f"{version.name} version {version.version}"


def no_champion(model: str) -> str:
    """The beginning of a sentence that says so."""
    return f"no version of {model!r} has the alias {ALIAS!r}"


def comparison_table(
    ours: Predictions, theirs: Predictions, split: str, settings: Mapping[str, Any]
) -> list[list[str]]:
    """A row for all entities of the split and one for each type: F1 of both, difference, its interval, chance."""
    overall, by_type = compare(ours, theirs, settings)
    rows = {split: overall} | {f"  {name}": said for name, said in by_type.items()}
    return [
        [
            name,
            f"{said['f1']:.4f}",
            f"{said['other_f1']:.4f}",
            f"{said['difference']:+.4f}",
            f"{said['interval'][0]:+.4f} to {said['interval'][1]:+.4f}",
            f"{said['p_worse']:.3f}",
        ]
        for name, said in rows.items()
    ]


def describe(model: str, metrics: Mapping[str, Any], reports: Path) -> str:
    """The comparison of both splits as text. Raises NerError where validation cannot be compared."""
    version = find_champion(model)
    if version is None:
        return f"{no_champion(model)}: there is nothing to compare with."
    rows = [["", "this model", "champion", "difference", "interval", "share worse"]]
    notes = []
    for split in SPLITS:
        ours = read_predictions(reports / "predictions", split)
        settings = bootstrap_settings(metrics, ours)
        try:
            rows += comparison_table(ours, stored_predictions(version, ours, split), split, settings)
        except NerError as error:
            if split == SPLIT or isinstance(error, RegistryError):
                raise
            notes.append(str(error))
    percent = f"{100 * settings['confidence']:g} %"
    heading = f"This model against the champion, {shown(version)}, by F1; {percent} intervals of the difference, paired"
    legend = f"share worse: of {settings['resamples']:,} resamples of documents, those in which this model is worse"
    return "\n".join([heading, "", plain_table(rows), "", legend, *notes])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.champion", description="Compare with the champion.")
    parser.add_argument("--predict", action="store_true", help="let the champion predict the present data")
    if parser.parse_args().predict:
        name = predict_champion(read_params(), PREPARED)
        print(f"the predictions of {name} are in its MLflow run: now `dvc repro gate` can compare", flush=True)
    else:
        print(describe(read_params().registry.model, read_json(REPORTS / "metrics.json"), REPORTS), flush=True)


def _counts(gold: Any, found: Any, units: np.ndarray, types: Sequence[str]) -> np.ndarray:
    mark_correct(gold, found)
    return count(gold, found, units, types)


if __name__ == "__main__":
    run_stage("champion", main)
