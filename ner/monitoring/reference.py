"""What a version's later texts are held against, of validation's predictions; it travels with the version.

reference(Path("data/prepared"), Path("models/ner"), Path("reports"))        # what reports/reference.json holds

Validation is read twice, as a caller may send it: each sentence alone, and each document whole.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ner.common.files import read_json
from ner.data.entities import entity_table
from ner.data.predictions import Predictions, read_folds, read_predictions
from ner.data.prepared import read_split
from ner.inference.observation import KEYS, Vocabulary, observe
from ner.inference.probability import softmax

UNITS = ("sentence", "document")
MOST_SENTENCES = 5000  # of validation; of a larger one whole documents, evenly chosen


def reference(prepared: Path, model: Path, reports: Path) -> dict[str, Any]:
    """Return what reports/reference.json holds. Raises NerError where an output of an earlier stage is missing."""
    from ner.encoding.tokenizer import load_tokenizer

    predictions = read_predictions(reports / "predictions", "validation")
    folds = read_folds(reports / "predictions", "validation")
    learnt = read_split(prepared, "train").tokens if folds is None else predictions.tokens
    vocabulary = Vocabulary.of(token for sentence in learnt for token in sentence)
    of_text = [vocabulary] * len(predictions.tokens)
    if folds is not None:  # whose models were trained on the other folds
        others = [np.flatnonzero(folds != fold) for fold in range(int(folds.max()) + 1)]
        by_fold = [Vocabulary.of(token for index in own for token in learnt[index]) for own in others]
        of_text = [by_fold[fold] for fold in folds]
    temperature = read_json(reports / "metrics.json").get("temperature") or 1.0
    tokenizer = load_tokenizer(model)
    units = {unit: columns(observed(predictions, unit, temperature, tokenizer, of_text)) for unit in UNITS}
    return {
        "fingerprint": predictions.fingerprint,
        "entity_types": sorted({label[2:] for label in predictions.labels if label != "O"}),
        "units": units,
        "vocabulary": vocabulary.to_text(),
    }


def observed(
    predictions: Predictions, unit: str, temperature: float, tokenizer: Any, vocabularies: Sequence[Vocabulary]
) -> Iterator[dict[str, Any]]:
    """Yield what monitoring would have kept of each text; `group` is the number of the document that it is of.

    unit: `sentence`, each read alone, or `document`, each read whole. vocabularies: what was known of each sentence.
    """
    logits = predictions.logits_alone if unit == "sentence" else predictions.logits_document
    rows = predictions.by_sentence(softmax(logits, temperature))
    table = entity_table(predictions.tags(logits), rows, predictions.labels)
    by_sentence = {index: own.to_dict("records") for index, own in table.groupby("sentence")}
    for group, text in texts(predictions.document_ids, unit):
        entities = [entity for index in text for entity in by_sentence.get(index, [])]
        sure = np.concatenate([rows[index].max(-1) for index in text])
        row = observe([predictions.tokens[index] for index in text], sure, entities, tokenizer, vocabularies[text[0]])
        yield {"group": group, **row}


def texts(document_ids: Sequence[int], unit: str) -> Iterator[tuple[int, list[int]]]:
    """Yield (number of the document, indices of the sentences) of each text."""
    documents: dict[int, list[int]] = {}
    for index, document in enumerate(document_ids):
        documents.setdefault(document, []).append(index)
    step = -(-len(document_ids) // MOST_SENTENCES)
    for group, sentences in enumerate(list(documents.values())[::step]):
        yield from ((group, [index]) for index in sentences) if unit == "sentence" else [(group, sentences)]


def columns(rows: Iterator[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the rows as columns: a list for each key."""
    every = list(rows)
    return {key: [row[key] for row in every] for key in ("group", *KEYS)}
