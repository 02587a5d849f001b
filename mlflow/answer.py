"""Loads a downloaded model version with its own code, as a caller would, and lets it answer. Run by path, by itself:

    python -I mlflow/answer.py FOLDER QUESTIONS.json ANSWERS.json

QUESTIONS: {"sentences": tokens of each, "document_ids": one a sentence, or null: each alone}. ANSWERS: {"tags": of each
sentence}. With -I nothing of this checkout can be imported, so `ner` is what travels with the version.
"""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow

TEXT = "Marta Okafor joined Helvion Steel in Rotterdam ."


def main(folder: str, questions: str, answers: str) -> None:
    model = mlflow.pyfunc.load_model(folder)
    (answer,) = model.predict({"text": [TEXT]})
    if answer["text"] != TEXT or not isinstance(answer["entities"], list):
        raise ValueError(f"it answers {str(answer)[:100]!r}")
    asked = json.loads(Path(questions).read_text(encoding="utf-8"))
    tagger = model.unwrap_python_model().tagger
    predictions = tagger.predict(asked["sentences"], asked["document_ids"]) if asked["sentences"] else []
    tags = [[tagger.labels[best] for best in decoded(rows, tagger.labels)] for rows in predictions]
    Path(answers).write_text(json.dumps({"tags": tags}), encoding="utf-8")


def decoded(rows: Any, labels: list[str]) -> list[int]:
    """Return label ids as the version's own code decodes probabilities; older versions have other modules, or none.

    Older versions have the modules elsewhere, or none.
    """
    try:
        try:
            from ner.inference.decoding import best_tags
            from ner.inference.probability import log_probabilities
        except ImportError:
            from ner.decoding import best_tags
            from ner.probability import log_probabilities
    except ImportError:
        return rows.argmax(-1).tolist()
    return best_tags(log_probabilities(rows), labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
