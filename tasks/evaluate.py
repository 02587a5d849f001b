"""Stage `evaluate`: predict validation and test, score entities.

Run     python -m tasks.evaluate
Reads   models/ner, data/prepared, params.yaml [encoding, evaluation]
Writes  reports/metrics.json, reports/scores.json (its headline), reports/predictions/{validation,test}.parquet,
        reports/per_type.csv, reports/tags.csv

Validation decides at the gate; test is reported. Both are predicted as the model was trained (encoding.context) and
once more with each sentence alone, as a caller may send them. Everything is scored on whole sentences.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm

from ner.errors import ModelError
from ner.params import Params
from ner.prediction import Tagger
from ner.scoring import MODE, score
from ner.tags import split_tag
from tasks.cli import run_stage
from tasks.io import read_json, read_params, replacing_folder, write_json, write_text
from tasks.prepared import Split, read_manifest, read_split
from tasks.tables import scores_table, to_csv
from tasks.tracking import try_log_evaluation

PREPARED, MODEL, REPORTS = Path("data/prepared"), Path("models/ner"), Path("reports")
TRAINING = REPORTS / "training.json"


def evaluate(params: Params, prepared: Path, model: Path, reports: Path) -> dict[str, Any]:
    """Write predictions and scores of both splits and return the scores.

    Raises ModelError where the model's tags are not those of the data.
    """
    tagger = Tagger.load(model, device="cuda" if torch.cuda.is_available() else "cpu")
    labels = read_manifest(prepared)["labels"]
    if tagger.labels != labels:
        raise ModelError(f"{model} was trained on the tags {tagger.labels}, {prepared} has {labels}: run `dvc repro`.")
    metrics: dict[str, Any] = {"mode": MODE, "context": params.encoding.context}
    with replacing_folder(reports / "predictions") as folder:
        for name in ("validation", "test"):
            split = read_split(prepared, name)
            predictions = predict_split(tagger, split, params, name)
            metrics[name] = split_scores(predictions)
            pq.write_table(predictions.drop_columns(["gold_probability"]), folder / f"{name}.parquet")
            if name == "validation":
                write_text(reports / "per_type.csv", per_type_csv(metrics[name]["per_type"]))
                write_text(reports / "tags.csv", confusion_csv(predictions))
    write_json(reports / "metrics.json", metrics)
    write_json(reports / "scores.json", headline(metrics))
    return metrics


def headline(metrics: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The few numbers that fit a line of `dvc metrics show`; metrics.json has them all."""
    names = ("f1", "precision", "recall", "accuracy", "f1_strict")
    return {
        split: {**{name: metrics[split][name] for name in names}, "f1_alone": metrics[split]["sentence"]["f1"]}
        for split in ("validation", "test")
    }


def predict_split(tagger: Tagger, split: Split, params: Params, name: str) -> pa.Table:
    """A row a sentence: ids, tokens, gold and predicted tags, and the probability of the predicted and the gold tag.

    `predicted` follows encoding.context, `predicted_alone` is each sentence without its neighbours.
    """
    labels = np.array(tagger.labels, dtype=object)
    size = params.evaluation.batch_size
    alone = tagger.predict(split.tokens, None, size, Bar(f"{name}, sentences alone"))
    if params.encoding.context == "document":
        main = tagger.predict(split.tokens, split.document_ids, size, Bar(f"{name}, in documents"))
    else:
        main = alone
    rows = zip(main, split.tag_ids, strict=True)
    return pa.table(
        {
            "document_id": split.document_ids,
            "sentence_id": split.sentence_ids,
            "line": split.lines,
            "tokens": split.tokens,
            "gold": [labels[tags].tolist() for tags in split.tag_ids],
            "predicted": [labels[p.argmax(-1)].tolist() for p in main],
            "confidence": [p.max(-1).tolist() for p in main],
            "predicted_alone": [labels[p.argmax(-1)].tolist() for p in alone],
            "gold_probability": [p[np.arange(len(tags)), tags].tolist() for p, tags in rows],
        }
    )


def split_scores(predictions: pa.Table) -> dict[str, Any]:
    """Scores of one split, its loss (mean negative log probability of the gold tag of a word), and its word counts."""
    tokens, gold = predictions["tokens"].to_pylist(), predictions["gold"].to_pylist()
    predicted = predictions["predicted"].to_pylist()
    probability = np.concatenate([np.asarray(row) for row in predictions["gold_probability"].to_pylist()])
    words = sum(map(len, tokens))
    alone = score(gold, predictions["predicted_alone"].to_pylist())
    return {
        "loss": float(-np.log(np.maximum(probability, 1e-12)).mean()),
        **score(gold, predicted),
        "sentences": len(tokens),
        "words": words,
        "words_without_prediction": words - sum(map(len, predicted)),
        "sentence": {name: alone[name] for name in ("precision", "recall", "f1", "f1_strict", "accuracy")},
    }


def per_type_csv(per_type: dict[str, dict[str, Any]]) -> str:
    """type, precision, recall, f1, f1_strict, support."""
    columns = ["precision", "recall", "f1", "f1_strict", "support"]
    rows = [[name, *(values[column] for column in columns)] for name, values in per_type.items()]
    return to_csv(["type", *columns], rows)


def confusion_csv(predictions: pa.Table) -> str:
    """gold and predicted entity type of every word that is in an entity on either side."""
    pairs = (
        (split_tag(gold)[1] or "O", split_tag(predicted)[1] or "O")
        for row in zip(predictions["gold"].to_pylist(), predictions["predicted"].to_pylist(), strict=True)
        for gold, predicted in zip(*row, strict=True)
    )
    return to_csv(["gold", "predicted"], [list(pair) for pair in pairs if pair != ("O", "O")])


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
    metrics = evaluate(read_params(), PREPARED, MODEL, REPORTS)
    print(scores_table(metrics), flush=True)
    try_log_evaluation(read_json(TRAINING)["mlflow_run_id"], metrics, [REPORTS / "metrics.json"])


if __name__ == "__main__":
    run_stage("evaluate", main)
