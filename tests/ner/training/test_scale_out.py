"""Several processes are one training: they reach what one process reaches with the same windows a step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ner.common.files import read_params
from ner.data.predict_splits import load_tagger, predict_split
from ner.data.prepared import read_split
from ner.evaluation.scoring import micro_scores
from training_folder import ALONE, eightfold, fill
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
TINY = {
    "epochs": 6, "learning_rate": 5e-3, "new_learning_rate": "same", "precision": "fp32", "device": "cpu",
    "batch_by": "windows", "frozen_embeddings": False, "dropped_layers": 0, "sentences_alone": 0.0, "checkpoints": 1,
}  # fmt: skip
NOISE = 0.1  # of F1: what two seeds differ by on so small a corpus


def train(folder, tiny_encoder, mini_folder, **keys):
    """Train through the command, torchrun included, and return training.json."""
    eightfold(folder, mini_folder)
    encoding = {"context": "sentence", "max_length": 64}
    fill(folder, folder / "data/prepared", tiny_encoder, train={**TINY, **keys}, encoding=encoding)
    done = subprocess.run(
        [sys.executable, "-m", "tasks.train"],
        cwd=folder,
        env={**os.environ, **ALONE},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "reports/training.json").read_text())


def last(training, name):
    return [entry[name] for entry in training["log"] if name in entry][-1]


@pytest.mark.operations
@pytest.mark.slow
def test_two_processes_reach_what_one_reaches_with_twice_the_batch(tmp_path, tiny_encoder, mini_folder):
    one = train(tmp_path / "one", tiny_encoder, mini_folder, processes=1, batch_size=4)
    two = train(tmp_path / "two", tiny_encoder, mini_folder, processes=2, batch_size=2)
    assert two["steps"] == one["steps"]
    first = [entry["train/loss"] for entry in one["log"] if "train/loss" in entry][0]
    learnt = [first - last(training, "validation/loss") for training in (one, two)]
    assert min(learnt) > 0.5 * first and abs(learnt[0] - learnt[1]) < 0.1 * first
    f1 = [last(training, "validation/f1") for training in (one, two)]
    assert min(f1) > 0.3 and abs(f1[0] - f1[1]) <= NOISE

    folder = tmp_path / "two"  # and its F1 is that of the model it wrote, read by one process
    params, split = read_params(folder / "params.yaml"), read_split(folder / "data/prepared", "validation")
    tagger = load_tagger(folder / "models/ner", params)
    predictions = predict_split(tagger, split, params, "validation", "")
    scores = micro_scores(predictions.gold, predictions.tags(predictions.logits))
    assert scores["f1"] == pytest.approx(f1[1], abs=1e-6)
