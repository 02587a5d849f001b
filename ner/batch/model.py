"""The model of a batch: an alias becomes a number once, so that every row is of one version; loaded once a process.

model = fetch(choose("ner@champion"), Path("out.parquet.parts/model"))     # or ner/3, or a folder
read_inputs(["Marta Okafor joined Helvion Steel."], False, model, 0.0, code_digest(), None)
"""

import hashlib
import os
import tempfile
import threading
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from ner.common.files import replacing_folder, sha256_file, sha256_folder
from ner.errors import ModelError, NerError
from ner.registry.verify import check_content, fetch_verified, model_folder
from ner.registry.versions import code_files, content_digest, resolve
from ner.tracking.mlflow_store import exists, tracking_uri

_ONE_AT_A_TIME = threading.Lock()  # a process has one set of threads for the network


@dataclass(frozen=True)
class Model:
    """A version of the registry, or a folder. content: its digest; registry: the address to fetch it from."""

    reference: str
    name: str
    version: str
    content: str
    registry: str | None = None
    folder: str = ""  # where its files are on this machine
    files: str = ""  # sha256 of them

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.registry else self.name


def choose(reference: str) -> Model:
    """Return the model of a folder, or the version that a name with an alias or a number means now.

    Raises RegistryError, or ModelError where it is neither.
    """
    folder = Path(reference)
    if (folder / "config.json").is_file():
        content = sha256_folder(folder)
        return Model(reference, reference, content[:12], content, None, str(folder.resolve()), content)
    if "@" not in reference and "/" not in reference:
        raise ModelError(f"{reference!r} is no model: write ner@champion, ner/3, or a folder with a config.json.")
    if not exists():
        raise ModelError(f"{reference!r} is no folder with a model, and there is no registry here: run `make train`.")
    version = resolve(reference)
    return Model(reference, version.name, str(version.version), version.tags.get("content", ""), tracking_uri())


def fetch(model: Model, folder: Path) -> Model:
    """Return the model with its files in `folder`, downloaded where they are not there yet.

    Raises ModelError where they are not those that were registered, and RegistryError.
    """
    if model.registry is None:
        return model
    if folder.exists():  # of a batch that goes on
        check_content(folder / "version", model.content, str(model))
    else:
        with replacing_folder(folder) as temporary:
            fetch_verified(resolve(f"{model.name}/{model.version}"), temporary)
    path = model_folder(folder / "version").resolve()
    return replace(model, folder=str(path), files=sha256_folder(path))


def other_code(model: Model) -> str | None:
    """Return a warning where the version answers requests with other code than this checkout has."""
    if model.registry is None or content_digest(Path(model.folder)) == model.content:
        return None
    return (
        f"{model} was registered with other code than this checkout has: this batch reads texts with the code here, "
        "serving with the version's own, so that some entities may differ"
    )


@cache
def code_digest() -> str:
    """Return the digest of the code that finds entities; all processes of a batch must have the same."""
    return hashlib.sha256("".join(sha256_file(path) for path in code_files().values()).encode()).hexdigest()


def read_inputs(
    inputs: list[Any], observe: bool, model: Model, min_score: float, code: str, threads: int | None
) -> tuple[list[list[dict[str, Any]]], list[dict[str, Any]] | None]:
    """Return the entities of each input and, where asked for, what monitoring keeps of it, here or on a worker.

    code: the asker's code_digest(); threads: see `load`.
    """
    from ner.inference.annotate import annotate
    from ner.inference.observation import Reading, Vocabulary

    with _ONE_AT_A_TIME:
        tagger = load(model, code, threads)
        if not observe:
            return annotate(tagger, inputs, min_score=min_score), None
        reading = Reading(tagger, Vocabulary.read(model.folder))
        predictions = annotate(reading, inputs)
        observed = reading.observations(predictions)
    return [[entity for entity in entities if entity["score"] >= min_score] for entities in predictions], observed


@cache
def load(model: Model, code: str, threads: int | None) -> Any:
    """Load the tagger once a process: from the model's folder, or from the registry on another machine.

    threads: of this process's network, None for as many as torch takes. Raises NerError where it cannot be had.
    """
    import torch
    from transformers.utils import logging

    from ner.inference.tagger import Tagger

    if code != code_digest():
        raise NerError("a worker of the cluster has other code than this checkout: start the workers in a copy of it.")
    logging.disable_progress_bar()  # a batch has its own
    if threads:
        torch.set_num_threads(threads)
    if Path(model.folder).is_dir() and sha256_folder(Path(model.folder)) == model.files:
        return Tagger.load(model.folder, device="auto")
    if model.registry is None:
        raise ModelError(f"a worker of the cluster does not have {model.name}: use a version of the registry.")
    os.environ.setdefault("MLFLOW_TRACKING_URI", model.registry)
    with tempfile.TemporaryDirectory() as scratch:
        return Tagger.load(fetch(model, Path(scratch) / "model").folder, device="auto")
