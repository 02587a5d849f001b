"""A learning curve: which documents a part has, what is not trained again, and what its sentence says."""

import json
import re
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ner.common.files import read_json, read_params, sha256_folder, write_json
from ner.data.prepared import read_manifest, read_split
from ner.errors import NerError
from ner.search.learning_curve import check, entity_counts, is_trained, learning_curve, nested_order
from ner.search.learning_fit import FEWEST, fit
from ner.search.learning_report import COLUMNS, is_flat, learning_report, sentence, table_rows
from ner.search.trainings import train_once
from ner.tracking.mlflow_store import client
from ner.tracking.training_log import TrainingLog
from training_folder import NOBODY, eightfold, fill, set_params, start
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
TRAIN = {
    "epochs": 6, "batch_size": 4, "learning_rate": 5e-3, "precision": "fp32", "device": "cpu", "checkpoints": 6,
    "new_learning_rate": "same", "batch_by": "windows", "frozen_embeddings": False, "dropped_layers": 0,
}  # fmt: skip
EVALUATION = read_params(ROOT / "tests/data/params.yaml").evaluation
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def empty_workspace(tmp_path_factory, tiny_encoder, mini_folder):
    folder = tmp_path_factory.mktemp("curve")
    return fill(folder, eightfold(folder, mini_folder), tiny_encoder, train=TRAIN, encoding={"max_length": 32})


@pytest.fixture
def workspace(tmp_path, empty_workspace):
    return shutil.copytree(empty_workspace, tmp_path / "workspace")


@pytest.fixture(scope="module")
def done(tmp_path_factory, empty_workspace, database):
    """A workspace with its curve, and MLflow's store in it."""
    folder = shutil.copytree(empty_workspace, tmp_path_factory.mktemp("done") / "workspace")
    shutil.copytree(database / "mlflow", folder / "mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        learning_curve(read_params(folder / "params.yaml"), folder)
    return folder


@pytest.fixture(scope="module")
def report(done):
    return json.loads((done / "reports/learning_curve.json").read_text())


def run_here(folder, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    return learning_curve(read_params(folder / "params.yaml"), folder)


def told(report):
    return [{name: point[name] for name in COLUMNS} for point in report["points"]], report["sentence"]


def test_each_part_is_trained_and_the_curve_is_written_as_table_and_picture(done, report):
    assert [point["size"] for point in report["points"]] == [4, 8, 16, 32] and report["total"] == 32
    assert all(point["low"] <= point["f1"] <= point["high"] for point in report["points"])
    assert report["twice"]["size"] == 64 and "twice the documents (64)" in report["sentence"]
    rows = pd.read_csv(done / "reports/learning_curve/points.csv")
    assert list(rows["f1"]) == [point["f1"] for point in report["points"]] and list(rows.columns) == list(COLUMNS)
    assert (done / "reports/learning_curve/curve.png").read_bytes().startswith(b"\x89PNG")
    assert [row[0] for row in table_rows(report)] == ["documents", "4", "8", "16", "32", "64"]
    assert {path.name for path in (done / ".ner/learning-curve").glob("*-*/*")} == {
        "curve.json",
        "reports",
        "result.json",
    }


def test_dvc_plots_shows_the_table_by_columns_that_it_has():
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    own = next(plot["reports/learning_curve"] for plot in plots if "reports/learning_curve" in plot)
    assert {own["x"], *own["y"]} <= set(COLUMNS)
    assert (ROOT / "reports/learning_curve/.gitkeep").exists()  # without the folder DVC warns of it


def test_the_trainings_are_children_of_a_run_that_has_picture_and_table(done, report, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(done))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    store = client()
    parent = store.get_run(report["mlflow_run_id"])
    assert parent.info.run_name == "learning-curve" and parent.info.status == "FINISHED"
    assert parent.data.metrics["validation_f1"] == report["points"][-1]["f1"]
    files = {file.path for file in store.list_artifacts(parent.info.run_id, "reports")}
    assert files == {"reports/learning_curve.json", "reports/points.csv", "reports/curve.png"}
    children = store.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {run.info.run_id for run in children} == {point["mlflow_run_id"] for point in report["points"]}
    for point in report["points"]:
        assert store.get_run(point["mlflow_run_id"]).data.tags["ner.stage"] == "learning-curve-part"


def test_a_curve_that_is_done_trains_nothing(done, report, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(done, tmp_path / "workspace")
    assert told(run_here(folder, monkeypatch)) == told(report)
    output = capsys.readouterr().out
    assert output.count("scored before") == 4 and ": training" not in output


@pytest.mark.operations
@pytest.mark.slow
def test_a_curve_that_was_killed_ends_as_one_that_was_left_alone(workspace, report):
    process = start(workspace, "-m", "ner", "learning-curve")
    while not in_training(workspace):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    process = start(workspace, "-m", "ner", "learning-curve")
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert "going on from" in output and output.count("scored before") == 1 and report["sentence"] in output
    assert told(json.loads((workspace / "reports/learning_curve.json").read_text())) == told(report)


def in_training(workspace):
    """Whether the second part has a checkpoint."""
    if not list(workspace.glob(".ner/learning-curve/*/result.json")):
        return False
    for state in workspace.glob(".ner/learning-curve/*/checkpoints/*/checkpoint-*/trainer_state.json"):
        with suppress(OSError, ValueError):
            return bool(json.loads(state.read_text()))
    return False


def test_the_model_of_stage_train_is_the_last_point_where_it_is_the_same_training(
    done, report, tmp_path, monkeypatch, capsys
):
    folder = shutil.copytree(done, tmp_path / "workspace")
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    params, base = read_params(folder / "params.yaml"), folder / "models/base"
    main = train_once(params, folder / "data/prepared", base, folder / "main", "main", TrainingLog(folder / "reports"))
    shutil.move(main, folder / "models/ner")
    before = sha256_folder(folder / "models/ner")
    for part in sorted(folder.glob(".ner/learning-curve/*/curve.json")):
        (part.parent / "result.json").unlink()
    capsys.readouterr()
    assert told(run_here(folder, monkeypatch)) == told(report)
    assert "models/ner is this training" in capsys.readouterr().out and sha256_folder(folder / "models/ner") == before
    training = read_json(folder / "reports/training.json")
    write_json(folder / "reports/training.json", {**training, "folds": {"folds": 3}})  # it has learnt validation too
    assert not is_trained(params, folder)
    write_json(folder / "reports/training.json", training)
    assert is_trained(params, folder)
    set_params(folder, train={"seed": 7, "epochs": 1})
    run_here(folder, monkeypatch)
    assert "models/ner is this training" not in capsys.readouterr().out


def test_too_few_documents_and_a_validation_without_entities_are_one_sentence(
    workspace, prepared, tmp_path, mini_folder
):
    params = read_params(workspace / "params.yaml")
    with pytest.raises(NerError, match="has 4 documents of training, and a learning curve needs 8 or more"):
        check(params, prepared)
    raw = shutil.copytree(mini_folder, tmp_path / "raw")
    lines = (raw / "valid.txt").read_text().splitlines()
    (raw / "valid.txt").write_text("\n".join(f"{line.rpartition(' ')[0]} O" if line else "" for line in lines) + "\n")
    with pytest.raises(NerError, match="validation has no entity"):
        check(params, eightfold(tmp_path / "no-entity", raw))
    with pytest.raises(NerError, match="a learning curve trains in one process"):
        check(params.model_copy(update={"train": params.train.model_copy(update={"processes": 2})}), prepared)


def test_every_part_holds_the_one_before_it_and_every_type_where_that_can_be():
    entities = np.zeros((80, 3), int)
    entities[::2, 0], entities[5:9, 1], entities[70, 2] = 3, 1, 1
    order = nested_order(entities, 42)
    assert sorted(order) == list(range(80)) and list(order) == list(nested_order(entities, 42))
    assert (entities[order[:3]].sum(0) > 0).all()
    assert list(order) != list(nested_order(entities, 43))
    for share in (8, 4, 2):
        assert (entities[order[: 80 // share]].sum(0) > 0).all()


def test_a_corpus_without_documents_is_counted_in_sentences(tmp_path, mini_folder):
    raw = shutil.copytree(mini_folder, tmp_path / "raw")
    for path in raw.glob("*.txt"):
        path.write_text(re.sub(r"-DOCSTART-.*\n\n", "", path.read_text()))
    prepared = eightfold(tmp_path / "corpus", raw)
    counts, unit = entity_counts(prepared, "train", read_manifest(prepared)["labels"])
    assert unit == "sentence" and len(counts) == len(read_split(prepared, "train").tokens)


def judged(scores, documents=40, entities=50):
    """Counts of trainings with those F1 scores, each the same in every document of validation, but for some luck."""
    chance = np.random.default_rng(3)
    counts = []
    for score in scores:
        right = chance.binomial(entities, score, documents)
        counts.append(np.stack([right, np.full(documents, entities), np.full(documents, entities)], -1))
    return np.array(counts)


def points(scores, sizes=(10, 20, 40, 80), **options):
    about = {"entities": 1, "epochs": 1.0, "seconds": 1.0, "mlflow_run_id": None}
    own = judged(scores, **options).tolist()
    return [{"size": size, **about, "counts": part} for size, part in zip(sizes, own, strict=False)]


def test_the_curve_finds_what_twice_the_documents_bring():
    sizes = np.array([10, 20, 40, 80])
    scores = 1 - (0.1 + 2.0 * sizes**-0.7)
    curve = fit(sizes, judged(scores), EVALUATION)
    gained = 2.0 * (80**-0.7 - 160**-0.7)
    assert curve.interval[0] < gained < curve.interval[1] and curve.gain == pytest.approx(gained, abs=0.015)
    assert curve.size[-1] == pytest.approx(160) and np.interp(80, curve.size, curve.f1) == pytest.approx(
        scores[-1], abs=0.01
    )
    assert len(fit(sizes[:FEWEST], judged(scores[:FEWEST]), EVALUATION).interval) == 2


@pytest.mark.parametrize(
    ("scores", "options", "words"),
    [
        ((0.5, 0.65, 0.75, 0.82), {}, r"^twice the documents \(160\) would bring about \+0\.0\d+ F1 \(0\.0\d+ to 0"),
        ((0.5, 0.62, 0.5, 0.62), {"documents": 4, "entities": 5}, "^the points do not tell what twice the documents"),
        ((0.0, 0.0, 0.0, 0.0), {}, "^the points do not tell .* F1 is 0"),
        ((0.70, 0.95, 0.955, 0.955), {"documents": 400}, "^the curve is flat: twice the documents"),
        ((0.95, 0.95), {"documents": 400}, r"^the curve is flat from 10 documents on \(20 brought"),
    ],
)  # fmt: skip
def test_the_sentence_says_what_the_points_tell(scores, options, words):
    report = learning_report(points(scores, **options), EVALUATION, "document", 80)
    assert re.search(words, sentence(report)), sentence(report)


def test_a_curve_is_flat_where_no_gain_worth_the_name_fits_its_interval_and_something_was_learnt():
    assert is_flat(points((0.95, 0.95), documents=400), EVALUATION)
    assert not is_flat(points((0.95, 0.95), documents=4), EVALUATION)  # too few to say so
    assert not is_flat(points((0.8, 0.85), documents=400), EVALUATION)
    assert not is_flat(points((0.0, 0.0), documents=400), EVALUATION)  # nothing learnt yet
    assert not is_flat(points((0.9, 0.6), documents=400), EVALUATION)  # a training that went wrong
    assert not is_flat(points((0.95,)), EVALUATION)
