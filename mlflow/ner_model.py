"""The model as MLflow serves it: text in, entities out. MLflow loads this file by its path ("models from code").

    mlflow.pyfunc.load_model("models:/ner@champion").predict({"text": ["Marta Okafor joined Helvion Steel."]})

Takes {"text": one text, or a list of texts} or a frame with the column `text`; answers a list of {"text", "entities"},
where an entity has type, start, end (text[start:end]), text and score (how probable it is, calibrated, 0 to 1).
Artifacts: `model`, a folder that `save_pretrained` wrote. The modules of `ner` that it needs travel with it.
"""

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.pyfunc import PythonModel

from ner.prediction import Tagger
from ner.text import annotate


class NerModel(PythonModel):
    """Loads once, on the GPU where there is one."""

    def load_context(self, context: Any) -> None:
        self.tagger = Tagger.load(context.artifacts["model"], device="cuda" if torch.cuda.is_available() else "cpu")

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[dict[str, Any]]:
        texts = column(model_input)
        wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
        if wrong:
            raise TypeError(f"every text must be a string, got {wrong[0]}")
        found = annotate(self.tagger, texts)
        return [{"text": text, "entities": entities} for text, entities in zip(texts, found, strict=True)]


def column(frame: pd.DataFrame) -> list[Any]:
    """The texts of a frame, whose cells may be lists of texts: {"text": [...]} comes as one row."""
    return [text for cell in frame["text"] for text in (list(cell) if isinstance(cell, list | np.ndarray) else [cell])]


mlflow.models.set_model(NerModel())
