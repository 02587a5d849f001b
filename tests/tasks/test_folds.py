"""Cross-validation: what stands for validation is what each fold's model says of documents that it has not seen."""

import json
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from ner.common.files import read_json, read_params
from ner.data.folds import fold_of_sentences
from ner.data.predict_splits import load_tagger, predict
from ner.data.predictions import read_folds, read_predictions
from ner.data.prepared import pooled, read_manifest, read_split
from ner.errors import CorpusError
from ner.evaluation.gate import Champion, judge
from ner.evaluation.run import evaluate
from ner.evaluation.scores_table import scores_table
from ner.monitoring.reference import reference
from ner.search.folds import cross_validate, folds_table, write_fold
from ner.search.trainings import train_once
from ner.tracking.mlflow_store import client
from ner.tracking.runs import flat_metrics
from training_folder import NOBODY, fill, set_params, start
from waiting import PATIENCE_S

TINY = {
    "epochs": 6,
    "keep": "best",
    "batch_size": 1,
    "learning_rate": 5e-3,
    "precision": "fp32",
    "device": "cpu",
    "checkpoints": 6,
    "new_learning_rate": "same",
    "batch_by": "windows",
    "frozen_embeddings": False,
    "dropped_layers": 0,
    "sentences_alone": 0.0,
}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def empty_workspace(tmp_path_factory, tiny_encoder, prepared):
    """What the stage reads: our small corpus, of 4 documents to train and 3 to validate, and the tiny encoder."""
    folder = fill(tmp_path_factory.mktemp("folds"), prepared, tiny_encoder)
    prediction = {"precision": "fp32"}
    set_params(folder, train=TINY, encoding={"max_length": 32}, split={"folds": 3}, prediction=prediction)
    return folder


@pytest.fixture
def workspace(tmp_path, empty_workspace):
    return shutil.copytree(empty_workspace, tmp_path / "workspace")


def run_here(folder):
    params, prepared = read_params(folder / "params.yaml"), folder / "data/prepared"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        return cross_validate(
            params, prepared, folder / "models/base", folder / "checkpoints/folds", folder / "reports/folds"
        )


@pytest.fixture(scope="module")
def done(tmp_path_factory, empty_workspace):
    """A workspace with the three folds, the model of all documents, its predictions and scores, and MLflow's store."""
    folder = shutil.copytree(empty_workspace, tmp_path_factory.mktemp("done") / "workspace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        run_here(folder)
    process = start(folder, "-m", "tasks.train")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    (folder / "training.log").write_text(output)
    params, prepared, reports = read_params(folder / "params.yaml"), folder / "data/prepared", folder / "reports"
    predict(params, prepared, folder / "models/ner", reports / "predictions", reports / "folds")
    evaluate(params, prepared, reports)
    return folder


@pytest.fixture(scope="module")
def report(done):
    return read_json(done / "reports/folds/folds.json")


@pytest.fixture(scope="module")
def metrics(done):
    return read_json(done / "reports/metrics.json")


def pool_of(folder):
    return pooled(*(read_split(folder / "data/prepared", name) for name in ("train", "validation")))


def test_the_folds_are_whole_documents_and_together_all_of_training_and_validation(done, report):
    pool, folds = pool_of(done), read_folds(done / "reports/folds", "validation")
    stored = read_predictions(done / "reports/predictions", "validation")
    assert stored.tokens == pool.tokens and stored.document_ids == pool.document_ids and stored.lines == pool.lines
    assert len(set(stored.document_ids)) == 7 and stored.sentence_ids == list(range(len(pool.tokens)))
    assert len(set(zip(stored.document_ids, folds.tolist(), strict=True))) == 7
    assert [result["documents"] for result in report["results"]] == [
        len({d for d, f in zip(stored.document_ids, folds, strict=True) if f == fold}) for fold in range(3)
    ]
    assert stored.fingerprint == read_manifest(done / "data/prepared")["fingerprint"]


def test_what_is_pooled_is_what_the_model_of_each_fold_predicts(done, report, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    params, prepared, base = read_params(done / "params.yaml"), done / "data/prepared", done / "models/base"
    pool, stored = pool_of(done), read_predictions(done / "reports/predictions", "validation")
    held_out = fold_of_sentences(pool, read_manifest(prepared)["labels"], params.split) == 1
    write_fold(prepared, pool, held_out, tmp_path / "part", "fold 2 of 3")
    part = read_split(tmp_path / "part", "train")
    assert part.tokens == [tokens for tokens, out in zip(pool.tokens, held_out, strict=True) if not out]
    train_once(params, tmp_path / "part", base, tmp_path / "fold", "fold 2")
    own = read_split(tmp_path / "part", "validation")
    logits = load_tagger(tmp_path / "fold/model", params).logits(own.tokens, own.document_ids)
    by_sentence = stored.by_sentence(stored.logits)
    for index, rows in zip(np.flatnonzero(held_out), logits, strict=True):
        np.testing.assert_array_equal(by_sentence[index], rows)
    training = read_json(tmp_path / "fold/reports/training.json")
    best = max(entry["epoch"] for entry in training["log"] if entry["step"] == training["kept"])
    assert report["results"][1]["epochs"] == best


def test_the_last_model_has_learnt_all_documents_for_the_median_of_the_best_epochs(done, report):
    epochs = sorted(result["epochs"] for result in report["results"])
    assert report["epochs"] == epochs[1]
    training = read_json(done / "reports/training.json")
    assert training["params"]["train.epochs"] == epochs[1] and training["params"]["train.keep"] == "last"
    assert training["words"] == sum(map(len, pool_of(done).tokens)) and training["folds"] == report
    assert training["recipe"]["epochs"] == "the median of the best epochs of 3 folds"
    assert (done / "reports/history.csv").read_text().count("\n") == 1  # no epoch is judged by what it trains on
    assert "validation F1" not in (done / "training.log").read_text()


def test_scores_intervals_and_slices_are_of_all_folds_together(done, report, metrics):
    ours, stored = metrics["validation"], read_predictions(done / "reports/predictions", "validation")
    assert ours["folds"] == pytest.approx([result["f1"] for result in report["results"]])
    assert (ours["units"], ours["unit"], ours["sentences"]) == (7, "document", len(stored.tokens))
    assert ours["support"] == sum(result["entities"] for result in report["results"])
    low, high = ours["interval"]["f1"]
    assert low <= ours["f1"] <= high
    assert 0 < ours["shared_sentences"] < 1 or ours["shared_sentences"] == 0
    flat = flat_metrics(metrics)
    assert [flat[f"validation_f1_fold_{n}"] for n in (1, 2, 3)] == ours["folds"]
    assert flat["validation_f1_folds_sd"] == pytest.approx(np.std(ours["folds"], ddof=1))
    slices = (done / "reports/slices.csv").read_text()
    assert "validation,mention in training,unseen" in slices  # in its own fold alone


def test_it_is_called_cross_validation_where_scores_are_shown(done, report, metrics):
    params = read_params(done / "params.yaml")
    assert "3-fold cross-validation " in scores_table(metrics)
    reasons = " ".join(rule["reason"] for rule in judge(metrics, params.gate, Champion(absent="none"))["rules"])
    assert "3-fold cross-validation F1 0." in reasons and "are in several folds" in reasons
    lines = folds_table(report).splitlines()
    assert len(lines) == 1 + 3 + 2 + 1 and lines[-1].startswith(f"{report['epochs']:g} epochs, the median")


def test_the_reference_of_monitoring_knows_of_each_text_only_what_its_model_was_trained_on(done, prepared):
    unseen = reference(done / "data/prepared", done / "models/ner", done / "reports")["units"]["sentence"]["unseen"]
    assert len(unseen) == len(pool_of(done).tokens) and sum(unseen) > 0


def test_every_fold_is_a_run_in_mlflow_and_keeps_no_weights(done, report, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(done))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    store = client()
    runs = store.search_runs([store.get_experiment_by_name("ner").experiment_id])
    by_name = {run.info.run_name: run for run in runs if run.data.tags.get("ner.stage") == "fold"}
    assert sorted(by_name) == [f"mini, fold {number} of 3 tiny seed 42" for number in (1, 2, 3)]
    assert by_name["mini, fold 2 of 3 tiny seed 42"].data.metrics["validation_f1"] == report["results"][1]["f1"]
    kept = {path.name for path in (done / "checkpoints/folds").glob("*/*")}
    assert kept == {"result.json", "reports", "validation.parquet"}


def test_a_fold_that_is_done_is_not_trained_again(done, report, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    workspace = shutil.copytree(done, tmp_path / "workspace")
    second = next(path for path in workspace.glob("checkpoints/folds/*/result.json") if is_of(path, report, 1))
    shutil.rmtree(second.parent)
    assert run_here(workspace) == report
    output = capsys.readouterr().out
    assert output.count(": training") == 1 and output.count("trained and scored before") == 2
    ours, theirs = ((place / "reports/folds/validation.parquet").read_bytes() for place in (workspace, done))
    assert ours == theirs


def is_of(result: Path, report, fold: int) -> bool:
    return read_json(result)["validation"] == report["results"][fold]


@pytest.mark.operations
def test_a_run_killed_in_its_second_fold_goes_on_there(workspace, report, monkeypatch, capsys):
    process = start(workspace, "-m", "tasks.folds")
    checkpoints = workspace / "checkpoints/folds"
    while not (list(checkpoints.glob("*/result.json")) and list(checkpoints.glob("*/checkpoints/*/checkpoint-*"))):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    assert run_here(workspace) == report
    output = capsys.readouterr().out
    assert "fold 1 of 3: F1" in output and "fold 1 of 3: training" not in output
    assert "fold 2 of 3: training" in output


def test_more_folds_than_documents_are_refused_before_any_training(workspace):
    set_params(workspace, split={"folds": 8})
    with pytest.raises(CorpusError, match=r"split\.folds: 8 is more than the 7 documents of training and validation"):
        run_here(workspace)
    assert not (workspace / "checkpoints").exists()


def test_without_folds_there_is_nothing_to_do_and_nothing_heavy_is_imported(workspace):
    set_params(workspace, split={"folds": 0})
    heavy = "{'torch', 'transformers', 'mlflow', 'sklearn', 'pandas', 'datasets'}"
    process = start(workspace, "-c", f"import sys, tasks.folds; tasks.folds.main(); print({heavy} & set(sys.modules))")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert output.splitlines() == ["no cross-validation: split.folds is 0", "set()"]
    assert json.loads((workspace / "reports/folds/folds.json").read_text()) == {"folds": 0}
    assert [path.name for path in (workspace / "reports/folds").iterdir()] == ["folds.json"]
