"""Training with a tiny encoder: a killed run ends with the weights of one that was not; no server, no loss."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tasks import train as stage
from tasks.ingest import ingest_files
from tasks.io import read_params, sha256_file
from tasks.trainer import TokenTrainer
from tasks.training_log import TrainingLog

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "epochs": 3,
    "batch_size": 1,
    "learning_rate": 5e-3,
    "precision": "fp32",
    "device": "cpu",
    "checkpoints": 12,
    "new_learning_rate": "same",
    "batch_by": "windows",
    "frozen_embeddings": False,
    "dropped_layers": 0,
    "sentences_alone": 0.0,
}


@pytest.fixture
def workspace(tmp_path, tiny_encoder, mini_folder):
    """A folder with what `train` reads: our small corpus eight times over, and the tiny encoder."""
    files = {}
    for split, name in (("train", "train.txt"), ("validation", "valid.txt"), ("test", "test.txt")):
        files[split] = tmp_path / "raw" / name
        files[split].parent.mkdir(exist_ok=True)
        files[split].write_text((mini_folder / name).read_text() * (8 if split == "train" else 1))
    ingest_files(files, tmp_path / "data/prepared", source="mini")
    fingerprint = json.loads((tmp_path / "data/prepared/manifest.json").read_text())["fingerprint"]
    (tmp_path / "data/validated.json").write_text(json.dumps({"fingerprint": fingerprint, "passed": True}))
    shutil.copytree(tiny_encoder, tmp_path / "models/base")
    (tmp_path / "models/base.json").write_text(json.dumps({"name": "tiny"}))
    set_params(tmp_path, train=TINY, encoding={"context": "sentence", "max_length": 64})
    return tmp_path


def set_params(workspace, **blocks):
    path = workspace / "params.yaml"
    params = yaml.safe_load((path if path.exists() else ROOT / "params.yaml").read_text())
    for block, values in blocks.items():
        params[block].update(values)
    path.write_text(yaml.safe_dump(params))


def environment(workspace):
    """No MLflow server answers at this address: every training here also shows that none is needed."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def start(workspace):
    command = [sys.executable, "-m", "tasks.train"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=workspace, env=environment(workspace), **streams)


def train(workspace):
    process = start(workspace)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def weights(workspace):
    return sha256_file(workspace / "models/ner/model.safetensors")


def checkpoints_from(workspace, step):
    found = workspace.glob("checkpoints/*/checkpoint-*/trainer_state.json")
    return [path for path in found if int(path.parent.name.split("-")[1]) >= step]


@pytest.mark.slow
@pytest.mark.parametrize(  # in an epoch, and at the end of one
    ("checkpoints", "epochs_before", "precision"),
    [pytest.param(10, 1.01, "bf16", marks=pytest.mark.operations), (3, 1, "fp32")],
)
def test_a_run_killed_after_its_first_epoch_ends_with_the_weights_of_one_that_was_not(
    workspace, checkpoints, epochs_before, precision
):
    set_params(workspace, train={"checkpoints": checkpoints, "precision": precision})
    output = train(workspace)
    assert "MLflow" in output and "127.0.0.1:9" in output  # said once, and the training went on
    undisturbed, history = weights(workspace), (workspace / "reports/history.csv").read_text()
    check_reports(workspace, precision)
    assert not list(workspace.glob("checkpoints/*"))  # a finished run leaves none
    shutil.rmtree(workspace / "models/ner")

    steps_an_epoch = json.loads((workspace / "reports/training.json").read_text())["windows"]
    process = start(workspace)
    while not checkpoints_from(workspace, steps_an_epoch * epochs_before):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (workspace / "models/ner").exists()  # nothing that looks whole

    output = train(workspace)
    assert "going on from checkpoints/" in output
    assert weights(workspace) == undisturbed
    assert (workspace / "reports/history.csv").read_text() == history


def check_reports(workspace, precision):
    """Curves and facts are on the disk though no server was there."""
    training = json.loads((workspace / "reports/training.json").read_text())
    assert training["mlflow_run_id"] is None
    assert training["precision"] == precision and training["device"] == "cpu"
    assert [entry["step"] for entry in training["log"] if "validation/f1" in entry] == [104, 208, 312]
    assert training["params"]["train.seed"] == 42
    assert list(pd.read_csv(workspace / "reports/history.csv")["step"]) == [104, 208, 312]
    assert list(pd.read_csv(workspace / "reports/loss.csv").columns) == ["step", "epoch", "loss"]


def test_the_model_is_safetensors_and_loads_with_anyones_pipeline(workspace):
    from transformers import pipeline

    set_params(workspace, train={"epochs": 5})
    train(workspace)
    files = {path.name for path in (workspace / "models/ner").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl", ".pth"))]
    assert load_file(workspace / "models/ner/model.safetensors")["classifier.weight"].shape == (9, 32)
    tag = pipeline("token-classification", model=str(workspace / "models/ner"), aggregation_strategy="first")
    assert {entity["entity_group"] for entity in tag("Marta Okafor joined Helvion Steel in Rotterdam .")} >= {"PER"}


@pytest.mark.operations
@pytest.mark.slow
def test_two_processes_through_torchrun_train_one_model(workspace):
    set_params(workspace, train={"processes": 2, "epochs": 1})
    train(workspace)
    training = json.loads((workspace / "reports/training.json").read_text())
    assert training["log"][-1]["step"] == 52  # half the steps of one process
    assert (workspace / "models/ner/model.safetensors").exists()


def test_steps_as_a_gpu_records_them_train_as_others_do(workspace, monkeypatch):
    """Launched here, as there is nothing to record with: clipping, schedule, resuming and logs are the Trainer's."""
    set_params(workspace, train={"precision": "bf16", "epochs": 0.1, "max_grad_norm": 0.5, "warmup": 0.5})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/mlflow.db")
    own, plain = train_here(workspace, "plain"), TokenTrainer.__init__

    def as_on_a_gpu(self, **kwargs):
        plain(self, **kwargs)
        self.is_recorded = True

    monkeypatch.setattr(TokenTrainer, "__init__", as_on_a_gpu)
    monkeypatch.setattr("tasks.trainer.LENGTHS", 1)
    monkeypatch.setattr("tasks.half_steps.LAUNCHED", 10**9)
    steps = train_here(workspace, "recorded")
    for name, weights in own.items():
        assert torch.allclose(steps[name], weights, atol=2e-4), name
    names = ("loss.csv", "history.csv")
    ours, theirs = [[pd.read_csv(workspace / kind / name) for name in names] for kind in ("plain", "recorded")]
    for one, other in zip(ours, theirs, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-3)
    logs = [json.loads((workspace / kind / "training.json").read_text())["log"] for kind in ("plain", "recorded")]
    norms = [[entry["train/grad_norm"] for entry in log if "train/grad_norm" in entry] for log in logs]
    assert norms[0] == pytest.approx(norms[1], rel=1e-2) and min(norms[0]) > 0.5  # as before they are clipped


def train_here(workspace, name):
    """Train in this process; the reports lie in a folder of that name. Returns the weights."""
    params, models = read_params(workspace / "params.yaml"), workspace / "models"
    torch.manual_seed(7)
    folders = workspace / "data/prepared", models / "base", models / name, workspace / "checkpoints" / name
    stage.train(params, *folders, TrainingLog(workspace / name, live=False))
    return load_file(models / name / "model.safetensors")


def test_a_gpu_that_is_not_there_is_one_sentence(workspace):
    set_params(workspace, train={"device": "cuda"})
    process = start(workspace)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert output.strip().splitlines()[-1] == (
        "train: params.yaml, train.device: no CUDA device is visible here; write auto or cpu."
    )


def test_data_that_was_not_validated_is_not_trained_on(workspace):
    (workspace / "data/validated.json").write_text('{"fingerprint": "of other data", "passed": true}')
    process = start(workspace)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "dvc repro validate" in output
    assert not (workspace / "models/ner").exists()
