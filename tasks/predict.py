"""Stage `predict`: the model's output for every word of validation and test, once; all scores are made of it.

Run     python -m tasks.predict
Reads   models/ner, data/prepared, params.yaml [encoding, prediction], reports/folds (the predictions of a
        cross-validation, which stand for those of validation)
Writes  reports/predictions/{validation,test}.parquet: tokens, gold and predicted tags, logits

Both splits are read as the model was trained (encoding.context) and once more with each sentence alone, as a caller may
send them. Only this stage needs the network; `evaluate` and what follows take seconds.
"""

from pathlib import Path

from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.data.predict_splits import predict

PREPARED, MODEL, REPORTS = Path("data/prepared"), Path("models/ner"), Path("reports")


def main() -> None:
    done = predict(read_params(), PREPARED, MODEL, REPORTS / "predictions", REPORTS / "folds")
    for name, (sentences, words) in done.items():
        print(f"{name}: {sentences:,} sentences, {words:,} words", flush=True)


if __name__ == "__main__":
    run_stage("predict", main)
