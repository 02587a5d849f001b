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
from safetensors.torch import load_file
from transformers import AlbertConfig, AlbertModel

from ingestion import ingest_files
from ner.common.files import read_params, sha256_file
from ner.errors import ParamsError
from ner.tracking.mlflow_store import client
from ner.tracking.training_log import TrainingLog
from ner.training import run as stage
from ner.training.trainer import TokenTrainer
from training_folder import NUMBERS, eightfold, fill, set_params
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
DETERMINED = ("models/ner/model.safetensors", "reports/training.json", "reports/history.csv", "reports/loss.csv")
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
    eightfold(tmp_path, mini_folder)
    encoding = {"context": "sentence", "max_length": 64}
    return fill(tmp_path, tmp_path / "data/prepared", tiny_encoder, train=TINY, encoding=encoding)


def environment(workspace, **others):
    """No MLflow server answers at this address: every training here also shows that none is needed."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        **others,
    }


def start(workspace, **others):
    command = [sys.executable, "-m", "tasks.train"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=workspace, env=environment(workspace, **others), **streams)


def train(workspace):
    process = start(workspace)
    output, _ = process.communicate(timeout=PATIENCE_S)
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
    undisturbed = {name: (workspace / name).read_bytes() for name in DETERMINED}
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
    assert {name: (workspace / name).read_bytes() for name in DETERMINED} == undisturbed


@pytest.mark.slow
def test_a_run_with_early_stopping_that_was_killed_ends_with_the_weights_of_one_that_was_not(workspace):
    """Killed in an epoch after the best so far, whose checkpoint it goes on from."""
    set_params(workspace, train={"epochs": 12, "keep": "best", "patience": 2, "learning_rate": 2e-2, "checkpoints": 1})
    train(workspace)
    undisturbed = {name: (workspace / name).read_bytes() for name in DETERMINED}
    report = json.loads((workspace / "reports/training.json").read_text())
    scores = {entry["step"]: entry["validation/f1"] for entry in report["log"] if "validation/f1" in entry}
    assert scores[report["kept"]] == max(scores.values()) and len(scores) < 12
    assert max(scores) == report["kept"] + 2 * min(scores) == report["steps"]
    shutil.rmtree(workspace / "models/ner")

    process = start(workspace)
    while not any(path.read_text().rstrip().endswith("}") for path in checkpoints_from(workspace, report["kept"])):
        assert process.poll() is None, process.stdout.read()  # the file is written to its end
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert "going on from checkpoints/" in train(workspace)
    assert {name: (workspace / name).read_bytes() for name in DETERMINED} == undisturbed
    assert not list(workspace.glob("checkpoints/*"))


def test_the_best_epoch_is_kept_and_the_training_ends_when_none_is_better(workspace, monkeypatch):
    """Equal F1 is better at less loss; epochs without a right entity do not count."""
    f1, loss = [0.0, 0.0, 0.0, 0.5, 0.75, 0.75, 0.5, 0.5, 1.0], [9, 8, 7, 6, 5, 4, 3, 3, 1]
    seen = []

    def scripted(*_):
        def scores(model):
            seen.append({name: value.clone() for name, value in model.state_dict().items()})
            number = len(seen) - 1
            others = {"eval_precision": 0.0, "eval_recall": 0.0, "eval_accuracy": 0.0}
            return {"eval_f1": f1[number], "eval_loss": float(loss[number]), **others}

        return scores

    monkeypatch.setattr(stage, "judge", scripted)
    set_params(workspace, train={"epochs": 9, "keep": "best", "patience": 2, "batch_size": 32})
    own = train_here(workspace, "best")
    report = json.loads((workspace / "best/training.json").read_text())
    assert len(seen) == 8 and report["kept"] == report["steps"] * 6 // 8
    assert all(torch.equal(own[name], value) for name, value in seen[5].items() if name in own)


@pytest.mark.parametrize("keep", ["auto", "best"])
def test_five_sentences_without_an_entity_in_validation_train(tmp_path, tiny_encoder, keep, capfd):
    rows = ["-DOCSTART- O", "", *(line for name in "Ann Ben Cid Dan Eve".split() for line in (f"{name} B-PER", ""))]
    for name, lines in (("train", rows), ("valid", ["-DOCSTART- O", "", "rain O", ""]), ("test", rows)):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    files = {"train": tmp_path / "train.txt", "validation": tmp_path / "valid.txt", "test": tmp_path / "test.txt"}
    ingest_files(files, tmp_path / "data/prepared", source="five")
    auto = {**dict.fromkeys(NUMBERS, "auto"), "keep": keep, "device": "cpu", "precision": "fp32"}
    fill(tmp_path, tmp_path / "data/prepared", tiny_encoder, train=auto, encoding={"max_length": 64})
    train_here(tmp_path, "five")
    said = capfd.readouterr()
    assert "warning: the validation split has no entity" in said.err
    assert ("validation has no entity to judge an epoch by" in said.out) == (keep == "auto")
    report = json.loads((tmp_path / "five/training.json").read_text())
    assert report["params"]["train.epochs"] == 40 and "by its size" in report["recipe"]["learning_rate"]


def check_reports(workspace, precision):
    """Curves and facts are on the disk though no server was there."""
    training = json.loads((workspace / "reports/training.json").read_text())
    (measured,) = (json.loads(path.read_text()) for path in workspace.glob(".ner/trainings/*.json"))
    assert measured["mlflow_run_id"] is None and measured["seconds"] > 0 and set(measured) & set(training) == {"params"}
    assert training["params"].items() < measured["params"].items()  # with those of the stages before
    assert {name.split(".")[0] for name in training["params"]} == {"encoding", "train"}  # the stage's own
    assert training["kept"] == training["steps"] and training["recipe"]["keep"] == "as params.yaml says"
    assert training["weights"] == weights(workspace)
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


@pytest.mark.slow
def test_a_training_that_ends_early_does_not_go_on_in_mlflow(workspace, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(workspace))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")

    def killed(seed: int, number: int) -> tuple[str, int]:
        """Start a training, kill it in its first epoch, and return its run and its status."""
        set_params(workspace, train={"seed": seed, "epochs": 50})
        process = start(workspace, MLFLOW_TRACKING_URI="")
        lines = iter(process.stdout.readline, "")
        run_id = next(line.split()[-1] for line in lines if line.startswith("MLflow run"))
        next(line for line in lines if "step" in line)
        process.send_signal(number)
        said = process.communicate(timeout=PATIENCE_S)[0]
        assert number == signal.SIGKILL or "train: stopped by SIGTERM; run the same command again" in said
        return run_id, process.returncode

    first, _ = killed(1, signal.SIGKILL)
    assert client().get_run(first).info.status == "RUNNING"  # nobody was left to say otherwise
    second, status = killed(2, signal.SIGTERM)
    assert [client().get_run(run).info.status for run in (first, second)] == ["KILLED", "KILLED"] and status == 143
    again, _ = killed(1, signal.SIGTERM)
    assert again == first and client().get_run(second).data.tags["mlflow.runName"] == "mini tiny seed 2"


@pytest.mark.slow
def test_each_learning_rate_has_a_curve_of_its_own(workspace):
    set_params(workspace, train={"epochs": 1, "new_learning_rate": 2e-2, "layer_decay": 0.5})
    train(workspace)
    log = [e for e in json.loads((workspace / "reports/training.json").read_text())["log"] if "train/loss" in e]
    rates = pd.DataFrame(log).filter(like="rate")
    layers = json.loads((workspace / "models/ner/config.json").read_text())["num_hidden_layers"]
    below = [f"train/learning_rate_below_{above}" for above in range(1, layers + 1)]
    assert {*rates} == {"train/learning_rate", "train/learning_rate_new", *below}
    assert rates["train/learning_rate"].max() == pytest.approx(5e-3, rel=0.05)  # train.learning_rate, after warm-up
    assert (rates["train/learning_rate_new"] / rates["train/learning_rate"]).to_numpy() == pytest.approx(4)
    assert (rates[below[-1]] / rates["train/learning_rate"]).to_numpy() == pytest.approx(0.5**layers)


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
    monkeypatch.setattr("ner.training.trainer.LENGTHS", 1)
    monkeypatch.setattr("ner.training.cuda_graphs.LAUNCHED", 10**9)
    steps = train_here(workspace, "recorded")
    for name, weights in own.items():
        if not name.endswith("key.bias"):  # softmax makes its gradient zero: Adam scales up what rounding leaves of it
            assert torch.dist(steps[name], weights) < 0.02 * weights.norm(), name
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(workspace))
        stage.train(params, *folders, TrainingLog(workspace / name, live=False))
    return load_file(models / name / "model.safetensors")


def test_a_gpu_that_is_not_there_is_one_sentence(workspace):
    set_params(workspace, train={"device": "cuda"})
    process = start(workspace)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert output.strip().splitlines()[-1] == (
        "train: params.yaml, train.device: no CUDA device is visible here; write auto or cpu."
    )


class NoRun(TrainingLog):
    """Fails where a run would be opened."""

    def start(self, *_: object) -> None:
        raise AssertionError("an MLflow run was opened")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": {"dropped_layers": 2}}, "the encoder has 2 layers; dropped_layers 2 and frozen_layers 0 leave none"),
        ({"encoding": {"max_length": 1024}}, r"encoding\.max_length: 1024 does not suit .* up to 512 subwords: lower"),
    ],
)
def test_what_the_encoder_has_not_is_found_before_anything_is_computed_or_a_run_opened(workspace, change, said):
    set_params(workspace, **change)
    with pytest.raises(ParamsError, match=said):
        train_in(workspace, NoRun(workspace / "reports", live=False), prepared=workspace / "nothing_is_read_of_it")


def test_layers_that_cannot_be_told_apart_are_found_before_a_run_is_opened(workspace):
    """ALBERT's are one and the same, which no file says, only the model itself."""
    sizes = {"hidden_size": 8, "embedding_size": 8, "num_attention_heads": 1, "intermediate_size": 8}
    AlbertModel(AlbertConfig(num_hidden_layers=2, **sizes)).save_pretrained(workspace / "models" / "base")
    set_params(workspace, train={"frozen_layers": 1}, encoding={"case": "as_encoder"})
    with pytest.raises(ParamsError, match="does not keep its layers as a list; set frozen_layers to 0"):
        train_in(workspace, NoRun(workspace / "reports", live=False))


def train_in(workspace, log, prepared=None):
    params = read_params(workspace / "params.yaml")
    base, model = workspace / "models" / "base", workspace / "models" / "ner"
    stage.train(params, prepared or workspace / "data" / "prepared", base, model, workspace / "checkpoints", log)


def test_data_that_was_not_validated_is_not_trained_on(workspace):
    (workspace / "data/validated.json").write_text('{"fingerprint": "of other data", "passed": true}')
    process = start(workspace)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1 and "dvc repro validate" in output
    assert not (workspace / "models/ner").exists()
