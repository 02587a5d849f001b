"""The champion: the version in use, by its alias in the registry, and how this model compares with it.

    champion = against_champion("ner", metrics, Path("reports"))      # for the gate

Both models are scored on the same documents, and the bootstrap draws the same ones for both. What a version predicts
lies in its MLflow run, as predictions/<data fingerprint>/{validation,test}.parquet; for new data somebody has to let it
predict first (ner.registry.predict_version), which the gate does.
"""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ner.data.entities import count, entity_table, mark_correct, unit_numbers
from ner.data.predictions import Predictions, read_predictions
from ner.errors import NerError, RegistryError
from ner.evaluation.bootstrap import difference, draws
from ner.evaluation.gate import SPLIT, SPLITS, TEST, Champion, is_pooled, split_name
from ner.registry.reproduce import recorded
from ner.registry.versions import as_registered
from ner.tracking.mlflow_store import client, exists, patience, predictions_folder, registry_errors

ALIAS = "champion"
PREDICT = "run `dvc repro --force --single-item gate` with gate.champion_predicts: true in params.yaml"


def against_champion(
    model: str, metrics: Mapping[str, Any], reports: Path, predict: Callable[[Any, Sequence[str]], None] | None = None
) -> Champion:
    """Return the champion for the gate: the paired comparison on validation, or why there is none.

    predict: lets a version predict splits of the present data and store that in its run; called only where the
    champion's run lacks what can be compared. Raises NerError where this model's own predictions are missing, and
    RegistryError where the registry cannot be asked: then there is nothing to judge by. Whatever the champion lacks is
    in the answer.
    """
    version, folder = find_champion(model), reports / "predictions"
    if version is None:
        return Champion(absent=f"no version of {model!r} has the alias {ALIAS!r}, so there is none to be worse than")
    ours = read_predictions(folder, SPLIT)
    try:
        settings = bootstrap_settings(metrics, ours)
        pooled = [is_pooled(metrics), bool(cross_validated(version))]
        split, ours, theirs = both_predictions(version, folder, pooled, predict)
    except RegistryError:
        raise
    except NerError as error:
        return Champion(problem=str(error).rstrip("."))
    overall, _ = compare(ours, theirs, settings)
    is_same = ours.tags(ours.logits) == theirs.tags(theirs.logits)
    return Champion(
        name=shown(version),
        difference=overall,
        confidence=settings["confidence"],
        is_same=is_same,
        split=split_name(metrics, split),
    )


def both_predictions(
    version: Any, folder: Path, pooled: Sequence[bool], predict: Callable[[Any, Sequence[str]], None] | None
) -> tuple[str, Predictions, Predictions]:
    """Return the split to compare on, our predictions and the champion's: as stored or, with `predict`, made now.

    pooled: whether each of the two was cross-validated, so that it has learnt validation. Where the stored predictions
    are not both of the same pool, it is test, which neither has learnt. Raises NerError where there is nothing to
    compare, and RegistryError.
    """
    splits: Sequence[str] = (TEST,) if any(pooled) else SPLITS
    for split in (SPLIT, TEST) if all(pooled) else splits[:1]:
        ours = read_predictions(folder, split)
        try:
            return split, ours, _same_sentences(version, ours, split)
        except RegistryError:
            raise
        except NerError:
            if split == splits[0] and predict is None:
                raise
    assert predict is not None
    predict(version, splits)
    return split, ours, _same_sentences(version, ours, split)


def cross_validated(version: Any) -> int:
    """Return the number of folds that a version was cross-validated with, 0 for none."""
    return recorded(version.tags.get("params") or "{}").get("split", {}).get("folds", 0)


def find_champion(model: str) -> Any | None:
    """Return the version with the alias `champion`, or None. Raises RegistryError."""
    return find_alias(model, ALIAS)


def find_alias(model: str, alias: str) -> Any | None:
    """Return the version with the alias, or None; a store that does not exist is not made. Raises RegistryError."""
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
        return as_registered(store.get_model_version(model, str(aliases[alias]))) if alias in aliases else None


def stored_predictions(version: Any, fingerprint: str, split: str, advice: str) -> Predictions:
    """Return what the run of a version has of the data with that fingerprint, of which the first 16 digits suffice.

    Raises NerError, which ends with `advice`, where it has none or what it has cannot be read, and RegistryError.
    """
    folder = predictions_folder(fingerprint)
    run_id, path = run_of(version), f"{folder}/{split}.parquet"
    with registry_errors(), patience(), tempfile.TemporaryDirectory() as scratch:
        store = client()
        if path not in {entry.path for entry in store.list_artifacts(run_id, folder)}:
            data = f"the {split} split of the data with fingerprint {fingerprint[:16]}"
            raise NerError(f"the run of {shown(version)} has no predictions for {data}: {advice}.")
        local = Path(store.download_artifacts(run_id, path, scratch))
        try:
            return read_predictions(local.parent, split)
        except NerError:
            raise NerError(f"{path} in the run of {shown(version)} cannot be read: {advice}.") from None


def check_same_sentences(theirs: Predictions, ours: Predictions, name: str, split: str, advice: str) -> None:
    """Raise NerError where the predictions of `name` are of other sentences than ours."""
    if theirs.fingerprint == ours.fingerprint and len(theirs.tokens) != len(ours.tokens):
        raise NerError(
            f"one of the two models was cross-validated, so its predictions of {split} are of training too: compare "
            "them on test (`ner compare` with --split test)."
        )
    if theirs.fingerprint != ours.fingerprint or theirs.tokens != ours.tokens:
        raise NerError(f"the predictions of {name} on {split} are of other sentences than those to compare: {advice}.")


def compare(
    ours: Predictions, theirs: Predictions, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the paired bootstrap of ours minus theirs (ner.evaluation.bootstrap): all entities, and by type.

    Both are of the same sentences; their labels may be in different orders. settings: resamples, confidence, seed.
    """
    units, _ = unit_numbers(ours.document_ids)
    tables = [entity_table(each.tags(each.logits)) for each in (ours, theirs)]
    gold = entity_table(ours.gold)
    types = sorted({*gold["type"], *tables[0]["type"], *tables[1]["type"]})
    counts = [_counts(gold.copy(), table, units, types) for table in tables]
    drawn = draws(len(counts[0]), settings["resamples"], settings["seed"])
    confidence = settings["confidence"]
    by_type = {
        name: difference(counts[0][:, index], counts[1][:, index], drawn, confidence)
        for index, name in enumerate(types)
    }
    return difference(counts[0].sum(1), counts[1].sum(1), drawn, confidence), by_type


def bootstrap_settings(metrics: Mapping[str, Any], ours: Predictions) -> Mapping[str, Any]:
    """Return the bootstrap settings of metrics.json. Raises NerError where it has none or is of other data."""
    if metrics.get("fingerprint") != ours.fingerprint or not metrics.get("bootstrap"):
        raise NerError("reports/metrics.json does not belong to reports/predictions: run `dvc repro evaluate`.")
    return metrics["bootstrap"]


def run_of(version: Any) -> str:
    """Return the id of the MLflow run that a version comes from. Raises NerError where it comes from none."""
    if not version.run_id:
        raise NerError(
            f"{shown(version)} was not registered by this pipeline, so it has no run that keeps its predictions: "
            "take a version that was."
        )
    return version.run_id


def shown(version: Any) -> str:
    """Return a version's name as people read it: `ner version 3`."""
    return f"{version.name} version {version.version}"


def _same_sentences(version: Any, ours: Predictions, split: str) -> Predictions:
    theirs = stored_predictions(version, ours.fingerprint, split, PREDICT)
    check_same_sentences(theirs, ours, shown(version), split, PREDICT)
    return theirs


def _counts(gold: Any, predicted: Any, units: np.ndarray, types: Sequence[str]) -> np.ndarray:
    mark_correct(gold, predicted)
    return count(gold, predicted, units, types)
