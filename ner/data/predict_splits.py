"""A model's output for every word of the prepared splits, with the parameters of the block `prediction`.

predict(params, Path("data/prepared"), Path("models/ner"), Path("reports/predictions"))

Both splits are read as the model was trained (encoding.context) and once more with each sentence alone, as a caller may
send them.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ner.common.files import replacing_folder
from ner.common.progress import on_progress
from ner.data.predictions import Predictions, read_predictions, write_parts
from ner.data.prepared import Split, read_manifest, read_parts, to_tags
from ner.errors import ModelError
from ner.inference.tagger import Tagger
from ner.params import Params

SPLITS = ("validation", "test")


class Scores(Protocol):
    """A Tagger, or what has its columns in another order."""

    labels: list[str]

    def logits(
        self,
        sentences: Sequence[Sequence[str]],
        document_ids: Sequence[int] | None,
        progress: Callable[[int, int], None] | None,
    ) -> list[np.ndarray]: ...


def predict(
    params: Params, prepared: Path, model: Path, folder: Path, folds: Path | None = None
) -> dict[str, tuple[int, int]]:
    """Write the predictions of both splits into `folder` and return how many sentences and tokens each has.

    folds: what stage `folds` wrote. Predictions in it are those of validation, as the model has learnt the documents.

    Whole documents of so many sentences are in memory at a time (ner.data.prepared.PART).
    Raises ModelError where the model's tags are not those of the data.
    """
    tagger = load_tagger(model, params)
    manifest = read_manifest(prepared)
    if tagger.labels != manifest["labels"]:
        raise ModelError(
            f"{model} was trained on the tags {tagger.labels}, {prepared} has {manifest['labels']}: run `dvc repro`."
        )
    done, fingerprint = {}, manifest["fingerprint"]
    with replacing_folder(folder) as temporary:
        for name in SPLITS:
            if folds and (known := folds / f"{name}.parquet").exists():
                shutil.copyfile(known, temporary / known.name)
                predictions = read_predictions(folds, name)
                done[name] = len(predictions.tokens), predictions.words
                continue
            parts = predict_parts(tagger, prepared, name, params, fingerprint)
            done[name] = write_parts(temporary / f"{name}.parquet", parts)
    return done


def predict_parts(tagger: Scores, prepared: Path, name: str, params: Params, fingerprint: str) -> Iterator[Predictions]:
    """Yield the predictions of the prepared split `name`, for ner.data.predictions.write_parts."""
    for number, part in enumerate(read_parts(prepared, name)):
        yield predict_split(tagger, part, params, f"{name}, part {number}" if number else name, fingerprint)


def load_tagger(model: Path, params: Params) -> Tagger:
    """Load a model, on the GPU where there is one, that reads as the block `prediction` says."""
    tagger = load_fast(model, params)
    tagger.overlap = params.prediction.overlap
    return tagger


def load_fast(model: Path, params: Params) -> Tagger:
    """Load a model, on the GPU where there is one, whose windows overlap as they did when it was packaged."""
    tagger = Tagger.load(model, device="auto", precision=params.prediction.precision)
    if params.prediction.batch_subwords != "auto":
        tagger.batch_subwords = params.prediction.batch_subwords
    return tagger


def predict_split(tagger: Scores, split: Split, params: Params, name: str, fingerprint: str) -> Predictions:
    """Predict a split with document context and each sentence alone; once where no two sentences share a document."""
    empty = np.empty((0, len(tagger.labels)), np.float32)
    alone = np.concatenate(
        [empty, *tagger.logits(split.tokens, None, on_progress(f"{name}, sentences alone", " windows"))]
    )
    documents = alone
    if len(set(split.document_ids)) < len(split.document_ids):
        in_documents = tagger.logits(split.tokens, split.document_ids, on_progress(f"{name}, in documents", " windows"))
        documents = np.concatenate([empty, *in_documents])
    return Predictions(
        document_ids=split.document_ids,
        sentence_ids=split.sentence_ids,
        lines=split.lines,
        tokens=split.tokens,
        gold=to_tags(split.tag_ids, tagger.labels),
        logits_document=documents,
        logits_alone=alone,
        labels=tagger.labels,
        context=params.encoding.context,
        fingerprint=fingerprint,
        precision=getattr(tagger, "precision", None),
    )
