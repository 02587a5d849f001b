"""The model as MLflow serves it: text in, entities out. MLflow loads this file by its path ("models from code").

    mlflow.pyfunc.load_model("models:/ner@champion").predict({"text": ["Marta Okafor joined Helvion Steel."]})

Takes {"text": one text, or a list of texts} or a frame with the column `text`; answers a list of {"text", "entities"},
where an entity has type, start, end (text[start:end]), text and score (mean probability of its tokens' tags).
Artifacts: `model`, a folder that `save_pretrained` wrote. The modules of `ner` that it needs travel with it.
"""

import warnings
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.pyfunc import PythonModel

from ner.prediction import Tagger
from ner.text import annotate

# The signature says what predict takes; MLflow would also read its type hints, and asks for some where there are none.
warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")


class NerModel(PythonModel):
    """Loads once, on the GPU where there is one."""

    def load_context(self, context: Any) -> None:
        self.tagger = Tagger.load(context.artifacts["model"], device="cuda" if torch.cuda.is_available() else "cpu")

    def predict(self, context, model_input, params=None):
        texts = column(model_input)
        wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
        if wrong:
            raise TypeError(f"every text must be a string, got {wrong[0]}")
        found = annotate(self.tagger, texts)
        return [{"text": text, "entities": entities} for text, entities in zip(texts, found, strict=True)]


def column(model_input: Any) -> list[Any]:
    """The texts of a frame, whose cells may be lists of texts, or of a plain list."""
    cells = model_input if isinstance(model_input, list) else list(model_input["text"])
    return [text for cell in cells for text in (list(cell) if isinstance(cell, list | np.ndarray) else [cell])]


mlflow.models.set_model(NerModel())
