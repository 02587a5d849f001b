"""A registered version predicts the present data as it was trained to read it, so that it can be compared there.

    predict_version(resolve("ner@champion"), read_params(), Path("data/prepared"))

Reads   the version's files from the registry; data/prepared, params.yaml [prediction]
Writes  predictions/<data fingerprint>/{validation,test}.parquet into the version's MLflow run
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ner.data.predictions import write_parts
from ner.data.prepared import read_manifest
from ner.errors import ModelError
from ner.evaluation.gate import SPLITS
from ner.params import Params
from ner.registry.champion import run_of, shown
from ner.registry.verify import fetch_verified
from ner.tracking.mlflow_store import client, patience, predictions_folder, registry_errors, upload


def predict_version(version: Any, params: Params, prepared: Path, splits: Sequence[str] = SPLITS) -> None:
    """Predict the splits, and store that in the version's run.

    Raises ModelError where its files are not those that were registered, or it knows other tags than the data has, and
    RegistryError.
    """
    from ner.data.predict_splits import load_fast, predict_parts

    manifest, run_id = read_manifest(prepared), run_of(version)
    with tempfile.TemporaryDirectory() as scratch:
        params = as_trained(params, run_id)
        print(f"fetching {shown(version)} from the registry", flush=True)
        folder = fetch_verified(version, Path(scratch))
        ordered = InOrder(load_fast(folder, params), manifest["labels"], shown(version))
        files = []
        for name in splits:
            files.append(Path(scratch) / f"{name}.parquet")
            write_parts(files[-1], predict_parts(ordered, prepared, name, params, manifest["fingerprint"]))
        with registry_errors(), patience():
            upload(client(), run_id, files, predictions_folder(manifest["fingerprint"]))
    print(f"the predictions of {shown(version)} are in its MLflow run", flush=True)


class InOrder:
    """A Tagger whose columns are in the order of other labels: those of the data. Raises ModelError for other tags."""

    def __init__(self, tagger: Any, labels: Sequence[str], name: str) -> None:
        if sorted(tagger.labels) != sorted(labels):
            raise ModelError(
                f"{name} was trained on the tags {', '.join(sorted(tagger.labels))}, the data has "
                f"{', '.join(sorted(labels))}, so that their scores cannot be compared: take another version, "
                "go back to its data or, where the new tags are meant, take its alias champion away."
            )
        self.tagger, self.labels = tagger, list(labels)
        self.columns = [tagger.labels.index(label) for label in labels]

    def logits(self, *arguments: Any, **options: Any) -> list[np.ndarray]:
        """Return what Tagger.logits takes and returns."""
        return [rows[:, self.columns] for rows in self.tagger.logits(*arguments, **options)]


def as_trained(params: Params, run_id: str) -> Params:
    """Return the present parameters, with the context that a version's run was trained with where it says so."""
    with registry_errors():
        context = client().get_run(run_id).data.params.get("encoding.context", params.encoding.context)
    return params.model_copy(update={"encoding": params.encoding.model_copy(update={"context": context})})
