"""The model as MLflow serves it: text in, entities out. MLflow loads this file by its path ("models from code").

    mlflow.pyfunc.load_model("models:/ner@champion").predict(["Marta Okafor joined Helvion Steel."])

Takes a list of texts, {"text": ...}, or a frame with the column `text`; answers, for each text, {"text", "entities"},
where an entity has type, start, end (text[start:end]), text and score (mean probability of its tokens' tags).
Artifacts: `model`, a folder that `save_pretrained` wrote. The modules of `ner` that it needs travel with it.
"""

from typing import Any

import mlflow
import torch
from mlflow.pyfunc import PythonModel

from ner.prediction import Tagger
from ner.text import annotate


class NerModel(PythonModel):
    """Loads once, on the GPU where there is one."""

    def load_context(self, context: Any) -> None:
        self.tagger = Tagger.load(context.artifacts["model"], device="cuda" if torch.cuda.is_available() else "cpu")

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[dict[str, Any]]:
        texts = list(model_input["text"])  # the signature has made it a frame
        wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
        if wrong:
            raise TypeError(f"every text must be a string, got {wrong[0]}")
        found = annotate(self.tagger, texts)
        return [{"text": text, "entities": entities} for text, entities in zip(texts, found, strict=True)]


mlflow.models.set_model(NerModel())
