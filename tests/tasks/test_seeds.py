"""Several seeds: their spread is right, a killed run does no seed twice, and without extra seeds nothing is loaded."""

import json
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ner.common.files import read_params, sha256_folder
from ner.data.predict_splits import predict
from ner.errors import ParamsError
from ner.evaluation.run import evaluate
from ner.search.seeds import (
    SCORES,
    check_seeds,
    compare_seeds,
    main_result,
    spread,
    summarize,
)  # fmt: skip
from ner.search.trainings import code_of, train_once
from ner.tracking.mlflow_store import client
from training_folder import NOBODY, fill, set_params, start
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "epochs": 12,
    "batch_size": 1,
    "learning_rate": 5e-3,
    "precision": "fp32",
    "device": "cpu",
    "checkpoints": 10,
    "new_learning_rate": "same",
    "batch_by": "windows",
    "frozen_embeddings": False,
    "dropped_layers": 0,
    "sentences_alone": 0.0,
}
MAIN = {"f1": 0.25, "precision": 0.2, "recall": 0.3, "accuracy": 0.8, "f1_strict": 0.2, "f1_alone": 0.1}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def empty_workspace(tmp_path_factory, tiny_encoder, prepared):
    """What the stage reads: our small corpus, the tiny encoder, and reports of a main model that nobody trained."""
    folder = tmp_path_factory.mktemp("seeds")
    fill(folder, prepared, tiny_encoder)
    (folder / "reports/metrics.json").write_text(json.dumps({"validation": MAIN, "test": {**MAIN, "f1": 0.35}}))
    set_params(folder, train=TINY, encoding={"context": "document", "max_length": 32}, seeds={"extra": [43, 44]})
    return folder


@pytest.fixture
def workspace(tmp_path, empty_workspace):
    return shutil.copytree(empty_workspace, tmp_path / "workspace")


def run_here(folder):
    params = read_params(folder / "params.yaml")
    base, checkpoints = folder / "models/base", folder / "checkpoints/seeds"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        return compare_seeds(params, folder / "data/prepared", base, checkpoints, folder / "reports")


def scores(report):
    return [{name: result[name] for name in ("seed", "validation", "test")} for result in report["seeds"]]


@pytest.fixture(scope="module")
def done(tmp_path_factory, empty_workspace):
    """A workspace where the stage has trained seeds 43 and 44, with MLflow's store in it."""
    folder = shutil.copytree(empty_workspace, tmp_path_factory.mktemp("done") / "workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        run_here(folder)
    return folder


@pytest.fixture(scope="module")
def report(done):
    return json.loads((done / "reports/seeds.json").read_text())


def test_mean_and_sd_are_those_of_the_seeds(report):
    assert [result["seed"] for result in report["seeds"]] == [42, 43, 44] and report["n"] == 3
    assert report["seeds"][0]["validation"] == {name: MAIN[name] for name in SCORES}
    for split in ("validation", "test"):
        for name in ("f1", "precision", "recall"):
            values = [result[split][name] for result in report["seeds"]]
            spread = report["summary"][split][name]
            assert len(set(values)) > 1
            assert spread["mean"] == pytest.approx(np.mean(values))
            assert spread["sd"] == pytest.approx(np.std(values, ddof=1))
            assert (spread["min"], spread["max"]) == (min(values), max(values))


def test_the_plot_has_a_row_a_seed_and_no_weights_stay(done, report):
    rows = pd.read_csv(done / "reports/seeds.csv")
    assert list(rows.columns)[:3] == ["seed", "validation_f1", "validation_precision"]
    for split in ("validation", "test"):
        assert list(rows[f"{split}_f1"]) == [result[split]["f1"] for result in report["seeds"]]
    kept = {path.name for path in (done / "checkpoints/seeds").glob("*/*")}
    assert kept == {"result.json", "reports"}  # a few kB, so that one more seed does not train these again


def test_every_extra_seed_is_a_run_in_mlflow_with_its_scores(done, report, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(done))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    store = client()
    runs = store.search_runs([store.get_experiment_by_name("ner").experiment_id])
    found = {run.data.params["train.seed"]: run for run in runs}
    assert set(found) == {"43", "44"}
    for result in report["seeds"][1:]:
        run = found[str(result["seed"])]
        assert run.data.tags["ner.stage"] == "seed" and run.info.status == "FINISHED"
        assert run.data.metrics["test_f1"] == result["test"]["f1"] and run.data.metrics["validation/loss"] > 0


def test_a_result_by_another_scorer_is_not_mixed_with_those_of_this_one(done, report, tmp_path, monkeypatch, capsys):
    workspace = shutil.copytree(done, tmp_path / "workspace")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    first, second = sorted((workspace / "checkpoints/seeds").glob("*/result.json"))
    other = json.loads(first.read_text()) | {"scored_by": "0" * 64, "validation": {**MAIN, "f1": 0.0}}
    first.write_text(json.dumps(other))
    assert scores(run_here(workspace)) == scores(report)
    output = capsys.readouterr().out
    assert output.count(": training") == 1 and output.count(": scored before") == 1


def test_the_code_of_a_stage_counts_folders_and_leaves_outputs_aside(tmp_path, monkeypatch):
    stages = "{a: {outs: [data]}, b: {deps: [data/x.py, code, one.py]}}"
    (tmp_path / "dvc.yaml").write_text(f"stages: {stages}")
    for name in ("data/x.py", "code/deep/two.py", "code/__pycache__/two.pyc", "one.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setattr("ner.search.trainings.ROOT", tmp_path)

    def code_after(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        code_of.cache_clear()
        return code_of("b")

    before = code_after("one.py", "1")
    assert code_after("data/x.py", "2") == code_after("code/__pycache__/two.pyc", "2") == before
    assert len({before, code_after("code/deep/two.py", "2"), code_after("one.py", "2")}) == 3
    code_of.cache_clear()


def test_a_seed_gives_the_weights_and_scores_that_it_gives_to_the_main_model(workspace, report, monkeypatch):
    set_params(workspace, train={"seed": 44}, seeds={"extra": []})
    process = start(workspace, "-m", "tasks.train")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    params, prepared = read_params(workspace / "params.yaml"), workspace / "data/prepared"
    predict(params, prepared, workspace / "models/ner", workspace / "reports/predictions")
    evaluate(params, prepared, workspace / "reports")
    main = main_result(params, workspace / "reports")
    assert scores({"seeds": [main]}) == scores({"seeds": report["seeds"][2:]})

    monkeypatch.setenv("NER_HOME", str(workspace))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    train_once(params, prepared, workspace / "models/base", workspace / "seed", "seed 44")
    assert sha256_folder(workspace / "seed/model") == sha256_folder(workspace / "models/ner")


@pytest.mark.operations
def test_a_run_killed_in_its_second_seed_trains_the_first_no_more(workspace, report, monkeypatch, capsys):
    process = start(workspace, "-m", "tasks.seeds")
    while not (half := half_trained(workspace / "checkpoints/seeds")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (first,) = (workspace / "checkpoints/seeds").glob("*/result.json")
    assert first.parent != half and not (first.parent / "model").exists()  # weights go when they are scored
    assert not (workspace / "reports/seeds.json").exists()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    again = run_here(workspace)
    output = capsys.readouterr().out
    assert "seed 43, 2 of 3: scored before" in output and "seed 43, 2 of 3: training" not in output
    assert "seed 44, 3 of 3: training" in output and "going on from" in output
    assert scores(again) == scores(report)
    assert not list((workspace / "checkpoints/seeds").glob("*/model"))


def half_trained(checkpoints):
    """The folder of the seed that is in training while another one has its result."""
    if not list(checkpoints.glob("*/result.json")):
        return None
    for state in checkpoints.glob("*/checkpoints/*/checkpoint-*/trainer_state.json"):
        with suppress(OSError, ValueError):  # being written, or being removed for a newer one
            json.loads(state.read_text())
            return state.parents[3]
    return None


def test_without_extra_seeds_the_scores_are_the_main_models_and_nothing_heavy_is_imported(workspace):
    set_params(workspace, seeds={"extra": []})
    heavy = "{'torch', 'transformers', 'mlflow', 'sklearn', 'pandas', 'datasets'}"
    process = start(workspace, "-c", f"import sys, tasks.seeds; tasks.seeds.main(); print({heavy} & set(sys.modules))")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert [line.split() for line in output.splitlines()] == [
        ["seed", "validation", "F1", "test", "F1"],
        ["42", "0.2500", "0.3500"],
        ["mean", "0.2500", "0.3500"],
        ["sd", "-", "-"],
        ["set()"],
    ]
    report = json.loads((workspace / "reports/seeds.json").read_text())
    assert report["n"] == 1 and report["summary"]["test"]["f1"] == {"mean": 0.35, "sd": None, "min": 0.35, "max": 0.35}
    assert len(pd.read_csv(workspace / "reports/seeds.csv")) == 1


@pytest.mark.parametrize(
    ("extra", "processes", "sentence"),
    [
        ([43, 44, 43], 1, r"params\.yaml, seeds\.extra: 43 is listed more than once"),
        ([43, 42], 1, r"params\.yaml, seeds\.extra: 42 is train\.seed"),
        ([43], 2, r"params\.yaml, seeds\.extra: .* set train\.processes to 1"),
    ],
)
def test_seeds_that_cannot_be_trained_are_an_error_before_any_training(workspace, extra, processes, sentence):
    set_params(workspace, train={"processes": processes}, seeds={"extra": extra})
    with pytest.raises(ParamsError, match=sentence):
        check_seeds(read_params(workspace / "params.yaml"))
    with pytest.raises(ParamsError, match=sentence):
        run_here(workspace)
    assert not (workspace / "checkpoints").exists()


CARDS = [0.9312, 0.9296, 0.9330]  # validation F1 of three trainings with one recipe


def test_sd_is_that_of_a_sample():
    found = spread(CARDS)
    assert found["mean"] == pytest.approx(np.mean(CARDS)) and found["sd"] == pytest.approx(np.std(CARDS, ddof=1))
    assert (found["min"], found["max"]) == (0.9296, 0.9330)


def test_one_training_has_no_spread():
    assert spread([0.93]) == {"mean": 0.93, "sd": None, "min": 0.93, "max": 0.93}


def test_every_measure_of_both_splits_is_summed_up():
    one = {"f1": 0.8, "precision": 0.7, "recall": 0.9, "accuracy": 0.97}
    found = summarize([{"seed": 1, "validation": one, "test": one}])
    assert {split: list(measures) for split, measures in found.items()} == {
        "validation": ["f1", "precision", "recall"],
        "test": ["f1", "precision", "recall"],
    }
    assert found["test"]["recall"]["mean"] == 0.9
