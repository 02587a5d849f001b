"""Stage `predict`: the model's output for every word of validation and test, once; all scores are made of it.

Run     python -m tasks.predict
Reads   models/ner, data/prepared, params.yaml [encoding, prediction]
Writes  reports/predictions/{validation,test}.parquet: tokens, gold and predicted tags, logits

Both splits are read as the model was trained (encoding.context) and once more with each sentence alone, as a caller may
send them. Only this stage needs the network; `evaluate` and what follows take seconds.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ner.errors import ModelError
from ner.params import Params
from ner.prediction import Tagger
from tasks.cli import run_stage
from tasks.io import read_params, replacing_folder
from tasks.predictions import Predictions, write_parts
from tasks.prepared import Split, read_manifest, read_parts, to_tags

PREPARED, MODEL, REPORTS = Path("data/prepared"), Path("models/ner"), Path("reports")
SPLITS = ("validation", "test")


def predict(params: Params, prepared: Path, model: Path, folder: Path) -> dict[str, tuple[int, int]]:
    """Write the predictions of both splits into `folder` and return how many sentences and tokens each has.

    Whole documents of so many sentences are in memory at a time (tasks.prepared.PART).
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
            parts = predict_parts(tagger, prepared, name, params, fingerprint)
            done[name] = write_parts(temporary / f"{name}.parquet", parts)
    return done


def predict_parts(tagger: Tagger, prepared: Path, name: str, params: Params, fingerprint: str) -> Iterator[Predictions]:
    """The predictions of the prepared split `name`, for tasks.predictions.write_parts."""
    for number, part in enumerate(read_parts(prepared, name)):
        yield predict_split(tagger, part, params, f"{name}, part {number}" if number else name, fingerprint)


def load_tagger(model: Path, params: Params) -> Tagger:
    """A model on the GPU where there is one, that reads as the parameters of the block `prediction` say."""
    tagger = load_fast(model, params)
    tagger.overlap = params.prediction.overlap
    return tagger


def load_fast(model: Path, params: Params) -> Tagger:
    """The same, but for the overlap of its windows: that is the one that it was packaged with."""
    tagger = Tagger.load(model, device="auto", precision=params.prediction.precision)
    if params.prediction.batch_subwords != "auto":
        tagger.batch_subwords = params.prediction.batch_subwords
    return tagger


def predict_split(tagger: Tagger, split: Split, params: Params, name: str, fingerprint: str) -> Predictions:
    """Both readings of a split. Where no two sentences share a document they are the same, and made once."""
    empty = np.empty((0, len(tagger.labels)), np.float32)
    alone = np.concatenate([empty, *tagger.logits(split.tokens, None, Bar(f"{name}, sentences alone"))])
    documents = alone
    if len(set(split.document_ids)) < len(split.document_ids):
        in_documents = tagger.logits(split.tokens, split.document_ids, Bar(f"{name}, in documents"))
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
    )


class Bar:
    """A progress bar over the windows of one pass, on stderr."""

    def __init__(self, title: str) -> None:
        self.title, self.bar = title, None

    def __call__(self, done: int, total: int) -> None:
        if self.bar is None:
            seldom = 0.1 if sys.stderr.isatty() else 15
            self.bar = tqdm(desc=self.title, total=total, unit=" windows", mininterval=seldom)
        self.bar.update(done - self.bar.n)
        if done == total:
            self.bar.close()


def main() -> None:
    done = predict(read_params(), PREPARED, MODEL, REPORTS / "predictions")
    for name, (sentences, words) in done.items():
        print(f"{name}: {sentences:,} sentences, {words:,} words", flush=True)


if __name__ == "__main__":
    run_stage("predict", main)
