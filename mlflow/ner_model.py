"""The model as MLflow serves it: text or tokens in, entities out. MLflow loads this file by its path.

    mlflow.pyfunc.load_model("models:/ner@champion").predict({"text": ["Marta Okafor joined Helvion Steel."]})
    mlflow.pyfunc.load_model("models:/ner@champion").predict([{"tokens": ["Marta", "Okafor", "joined"]}])

Takes rows that all have `text`, or all have `tokens` (a list of strings), or {"text": one text, or a list of texts};
with the parameter `min_score`, entities under it are left out. Answers a list of {"text", "entities"}, where an entity
has type, start, end (text[start:end]), text and score (how probable it is, calibrated, 0 to 1); of tokens, `text` is
these with a space between, and an entity has token_start and token_end too. With NER_OBSERVE=1 in the environment an
answer also has `observed`: counts and confidences for monitoring (ner.inference.observation). NER_PRECISION is what
Tagger.load takes, fp32 where it is not set. `make serve` calls `answer` (mlflow/serve.py).
Artifacts: `model`, a folder that `save_pretrained` or stage `export` wrote. The modules of `ner` that it needs travel
with it. Other files than those that were registered are refused: `files` of its configuration is their digest.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, INVALID_STATE
from mlflow.pyfunc import PythonModel

from ner.errors import InputError
from ner.inference.annotate import annotate
from ner.inference.observation import OBSERVED, Reading, Vocabulary
from ner.inference.tagger import Tagger

COLUMNS = ("text", "tokens")
CARD = "README.md"  # may say something else later


class NerModel(PythonModel):
    """The registered model: loads once, on the GPU where there is one."""

    def load_context(self, context: Any) -> None:
        folder, registered = Path(context.artifacts["model"]), (context.model_config or {}).get("files")
        if registered != files_digest(folder):
            raise MlflowException(
                "the model's files are not those that were registered, so it is not loaded: take another version.",
                error_code=INVALID_STATE,
            )
        self.tagger = Tagger.load(folder, device="auto", precision=os.environ.get("NER_PRECISION") or "fp32")
        self.observes = os.environ.get("NER_OBSERVE") == "1"
        self.vocabulary = Vocabulary.read(folder) if self.observes else None

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[dict[str, Any]]:
        try:
            inputs = read(model_input)
        except InputError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None
        return self.answer(inputs, **(params or {}))

    def answer(self, inputs: Sequence[str | list[str]], min_score: float = 0.0) -> list[dict[str, Any]]:
        """Return what `predict` returns, of texts and token lists as they are; several threads may call it."""
        reading = Reading(self.tagger, self.vocabulary) if self.observes else None
        try:
            predictions = annotate(reading or self.tagger, inputs)
        except InputError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None
        texts = [value if isinstance(value, str) else " ".join(value) for value in inputs]
        filtered = [[entity for entity in entities if entity["score"] >= min_score] for entities in predictions]
        answers = [{"text": text, "entities": entities} for text, entities in zip(texts, filtered, strict=True)]
        if reading:
            for answer, observed in zip(answers, reading.observations(predictions), strict=True):
                answer[OBSERVED] = observed
        return answers


def files_digest(folder: Path) -> str:
    """Return Hex sha256 over the sorted relative names and contents of the files below `folder`, as
    ner.common.files.sha256_folder."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / CARD):
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()


def read(frame: pd.DataFrame) -> list[str | list[str]]:
    """Return the inputs of a frame. Raises InputError. A row has a text or tokens.

    A cell of `text` may hold a list of texts, as {"text": [...]} comes as one row.

    A cell of `text` may hold a list of texts, as {"text": [...]} comes as one row. Raises InputError.
    """
    if not any(name in frame for name in COLUMNS):
        raise InputError("need a column `text` (strings) or `tokens` (lists of strings), got neither.")
    inputs: list[str | list[str]] = []
    for index, row in enumerate(frame.to_dict("records")):
        cells = {name: plain(row[name]) for name in COLUMNS if name in row and is_given(row[name])}
        if len(cells) != 1:
            what = "both" if cells else "neither"
            raise InputError(f"row {index}: need either `text` or `tokens`, got {what}.")
        inputs += cells["text"] if isinstance(cells.get("text"), list) else cells.values()
    return inputs


def plain(cell: Any) -> Any:
    """Return a cell as Python has it."""
    return cell.tolist() if isinstance(cell, np.ndarray) else cell


def is_given(cell: Any) -> bool:
    """Return whether a row has this cell: a frame of rows with other columns has None or NaN there."""
    return cell is not None and not (isinstance(cell, float) and np.isnan(cell))


mlflow.models.set_model(NerModel())
