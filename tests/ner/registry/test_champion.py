"""The champion in a real MLflow on SQLite: found, compared on the same documents, and predicted again where need be."""

import json
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ner.common.files import read_params, write_json
from ner.data.predict_splits import load_tagger, predict_split
from ner.data.predictions import Predictions, read_predictions, write_predictions
from ner.data.prepared import read_manifest, read_split
from ner.errors import ModelError, NerError, RegistryError
from ner.evaluation.bootstrap import difference, draws
from ner.evaluation.gate import judge
from ner.registry.champion import against_champion, compare, find_champion, stored_predictions
from ner.registry.predict_version import predict_version
from ner.registry.verdict import gate
from ner.tracking.mlflow_store import client, experiment_id, predictions_folder, upload

ROOT = Path(__file__).resolve().parents[3]
PARAMS = read_params(ROOT / "tests/data/params.yaml")
PARAMS = PARAMS.model_copy(  # in bf16 two tags may tie, and which of them is said depends on the order of the labels
    update={"prediction": PARAMS.prediction.model_copy(update={"precision": "fp32"})}
)
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
GOLD = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O", "O"], ["O", "B-PER"]]  # one document
DOCUMENTS = 20
FINGERPRINT = "ab" * 32
METRICS = {
    "mode": "seqeval default (conlleval)",
    "fingerprint": FINGERPRINT,
    "bootstrap": {"resamples": 500, "confidence": 0.9, "seed": 3},
}


def predictions(wrong_documents=(), labels=LABELS, fingerprint=FINGERPRINT, context="document") -> Predictions:
    """A model that knows everything, but calls every person in some documents a place."""
    gold = [tags for _ in range(DOCUMENTS) for tags in GOLD]
    documents = [number for number in range(DOCUMENTS) for _ in GOLD]
    said = [
        [tag.replace("PER", "LOC") if document in wrong_documents else tag for tag in tags]
        for tags, document in zip(gold, documents, strict=True)
    ]
    logits = np.eye(len(labels), dtype=np.float32)[[labels.index(tag) for tags in said for tag in tags]]
    return Predictions(
        document_ids=documents,
        sentence_ids=list(range(len(gold))),
        lines=list(range(len(gold))),
        tokens=[[f"word{index}" for index, _ in enumerate(tags)] for tags in gold],
        gold=gold,
        logits_document=logits,
        logits_alone=np.zeros_like(logits),
        labels=labels,
        context=context,
        fingerprint=fingerprint,
    )


@pytest.fixture
def home(tmp_path, monkeypatch, database) -> Path:
    folder = shutil.copytree(database, tmp_path / "home")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    own(folder, predictions())
    return folder


def own(home: Path, ours: Predictions) -> None:
    """This model's predictions, of both splits, and the scores that belong to them."""
    (home / "reports" / "predictions").mkdir(parents=True, exist_ok=True)
    for split in ("validation", "test"):
        write_predictions(home / "reports" / "predictions" / f"{split}.parquet", ours)
    write_json(home / "reports" / "metrics.json", METRICS)


def crown(tmp_path: Path, theirs: Predictions | None, splits=("validation",), fingerprint=FINGERPRINT):
    """A version with the alias champion, and its predictions in its run."""
    mlflow = client()
    run = mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id
    if not mlflow.search_registered_models():
        mlflow.create_registered_model("ner")
    version = mlflow.create_model_version("ner", source=f"runs:/{run}/model", run_id=run)
    mlflow.set_registered_model_alias("ner", "champion", version.version)
    for split in splits if theirs else ():
        write_predictions(tmp_path / f"{split}.parquet", theirs)
        upload(mlflow, run, [tmp_path / f"{split}.parquet"], predictions_folder(fingerprint))
    return version


def told(home: Path, metrics=METRICS):
    return against_champion("ner", metrics, home / "reports")


def verdict(champion, **changes):
    """What the rule makes of it: passed, value, reason."""
    judged = judge(METRICS, PARAMS.gate.model_copy(update=changes), champion)["rules"]
    (rule,) = [rule for rule in judged if rule["rule"] == "no_worse_than_champion"]
    return rule["passed"], rule["value"], rule["reason"]


def test_the_paired_difference_is_the_one_that_counts_by_document_give():
    worse = range(0, DOCUMENTS, 4)
    overall, by_type = compare(predictions(worse), predictions(), METRICS["bootstrap"])
    right, wrong = np.array([4, 4, 4]), np.array([2, 4, 4])  # correct, predicted, gold of a document
    ours = np.array([wrong if number in worse else right for number in range(DOCUMENTS)])
    drawn = draws(DOCUMENTS, 500, 3)
    assert overall == difference(ours, np.tile(right, (DOCUMENTS, 1)), drawn, 0.9)
    assert overall["difference"] == pytest.approx((80 - 10) / 80 - 1) and overall["interval"][1] < 0
    assert by_type["PER"]["f1"] == pytest.approx(2 * 30 / (30 + 40))
    assert by_type["LOC"]["f1"] == pytest.approx(2 * 40 / (50 + 40)) and by_type["LOC"]["other_f1"] == 1


def test_labels_in_another_order_are_the_same_predictions(home, tmp_path):
    crown(tmp_path, predictions(labels=LABELS[::-1]))
    assert told(home).is_same


def test_each_model_is_read_in_the_context_of_its_own_training(home, tmp_path):
    theirs = predictions()
    alone = replace(theirs, context="sentence", logits_alone=theirs.logits, logits_document=theirs.logits_alone)
    crown(tmp_path, alone)
    assert told(home).is_same


def test_without_a_store_a_model_or_an_alias_there_is_no_champion_and_none_is_made(home, tmp_path, monkeypatch):
    assert verdict(told(home))[:2] == (True, None)
    client().create_registered_model("ner")
    passed, _, reason = verdict(told(home))
    assert passed and "no version of 'ner' has the alias 'champion'" in reason
    monkeypatch.setenv("NER_HOME", str(tmp_path / "elsewhere"))
    assert find_champion("ner") is None
    assert not list((tmp_path / "elsewhere").rglob("*.db"))


def test_a_loss_is_held_against_what_is_allowed(home, tmp_path):
    crown(tmp_path, predictions())
    own(home, predictions([0]))
    low = told(home).difference["interval"][0]
    assert low < 0
    passed, value, reason = verdict(told(home), max_f1_loss_to_champion=0.2)
    assert (passed, value) == (True, low) and "ner version 1" in reason and "90 % interval" in reason
    assert not verdict(told(home), max_f1_loss_to_champion=0.01)[0]


def test_a_gain_and_the_same_model_pass_where_no_loss_is_allowed(home, tmp_path):
    crown(tmp_path, predictions(range(10)))
    assert verdict(told(home), max_f1_loss_to_champion=0.0)[0]
    own(home, predictions(range(10)))
    passed, value, reason = verdict(told(home), max_f1_loss_to_champion=0.0)
    assert (passed, value) == (True, 0.0) and "the same tags" in reason


def test_the_report_of_the_gate_is_the_same_to_the_byte_each_time(home, tmp_path):
    crown(tmp_path, predictions([3]))
    first = gate(PARAMS, home / "reports", home / "data")
    written = (home / "reports" / "gate.json").read_bytes()
    gate(PARAMS, home / "reports", home / "data")
    assert (home / "reports" / "gate.json").read_bytes() == written
    assert json.loads(written) == first and "no_worse_than_champion" in [rule["rule"] for rule in first["rules"]]


@pytest.mark.parametrize("stored", ["nothing", "other data", "other sentences", "rubbish"])
def test_what_cannot_be_compared_fails_and_says_what_to_do(home, tmp_path, stored):
    theirs = predictions()
    if stored == "nothing":
        crown(tmp_path, None)
    elif stored == "other data":
        crown(tmp_path, predictions(fingerprint="cd" * 32), fingerprint="cd" * 32)
    elif stored == "other sentences":
        crown(tmp_path, replace(theirs, tokens=[["other"] * len(tokens) for tokens in theirs.tokens]))
    else:
        version = crown(tmp_path, None)
        (tmp_path / "validation.parquet").write_text("rubbish")
        upload(client(), version.run_id, [tmp_path / "validation.parquet"], predictions_folder(FINGERPRINT))
    passed, value, reason = verdict(told(home))
    assert (passed, value) == (False, None)
    assert "ner version 1" in reason
    assert reason.endswith(
        "run `dvc repro --force --single-item gate` with gate.champion_predicts: true in params.yaml"
    )
    assert str(tmp_path) not in reason


def test_a_run_or_a_version_that_is_gone_fails_in_one_sentence(home, tmp_path):
    version = crown(tmp_path, None)
    mlflow = client()
    other = mlflow.create_model_version("ner", source=(tmp_path / "weights").as_uri())
    mlflow.set_registered_model_alias("ner", "champion", other.version)
    passed, _, reason = verdict(told(home))
    assert not passed and "ner version 2 was not registered by this pipeline" in reason and "\n" not in reason
    mlflow.delete_model_version("ner", other.version)
    assert version.version and find_champion("ner") is None


def test_scores_of_other_predictions_fail(home, tmp_path):
    crown(tmp_path, predictions())
    passed, _, reason = verdict(told(home, {**METRICS, "fingerprint": "cd" * 32}))
    assert not passed and "run `dvc repro evaluate`" in reason


def test_a_server_that_is_down_is_an_error_within_seconds_and_no_verdict(home, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    started = time.monotonic()
    with pytest.raises(RegistryError, match=f"MLflow at {address} cannot be reached"):
        told(home)
    assert time.monotonic() - started < 60  # MLflow alone tries for minutes


POOLED = {**METRICS, "validation": {"folds": [0.8, 0.9, 0.7]}}
FOLDS = json.dumps({"split": {"folds": 3, "seed": 42}})


def test_two_models_that_were_cross_validated_on_the_same_documents_are_compared_there(home, tmp_path):
    version = crown(tmp_path, predictions({1}), splits=("validation", "test"))
    client().set_model_version_tag("ner", version.version, "params", FOLDS)
    champion = told(home, POOLED)
    assert champion.split == "3-fold cross-validation" and champion.difference["difference"] > 0
    assert verdict(champion)[2].startswith("3-fold cross-validation F1 1.0000 against 0.9")


@pytest.mark.parametrize("ours_is_pooled", [True, False])
def test_a_champion_that_has_learnt_the_documents_is_compared_on_test(home, tmp_path, ours_is_pooled):
    version = crown(tmp_path, predictions({1}), splits=("test",))
    half = replace(predictions(), tokens=predictions().tokens[::-1])
    write_predictions(tmp_path / "validation.parquet", half)
    upload(client(), version.run_id, [tmp_path / "validation.parquet"], predictions_folder(FINGERPRINT))
    if not ours_is_pooled:
        client().set_model_version_tag("ner", version.version, "params", FOLDS)
    champion = told(home, POOLED if ours_is_pooled else METRICS)
    assert champion.split == "test"
    reason = verdict(champion)[2]
    assert reason.startswith("on test, as not both were cross-validated on these documents: test F1 1.0000 against 0.9")


def test_what_a_cross_validated_champion_said_of_validation_which_it_has_learnt_is_not_compared(home, tmp_path):
    version = crown(tmp_path, predictions({1}), splits=("validation", "test"))  # after `ner compare --predict`
    client().set_model_version_tag("ner", version.version, "params", FOLDS)
    assert told(home).split == "test"


def test_a_champion_predicts_test_alone_for_a_model_that_was_cross_validated(home, prepared, model, new_data):
    write_json(home / "reports" / "metrics.json", {**new_data, "validation": POOLED["validation"]})
    version = register(model, context="document")
    rule = judged(home, prepared)
    assert rule["passed"] and "predicts the same tags throughout test" in rule["reason"]
    with pytest.raises(NerError, match="has no predictions for the validation split"):
        stored_predictions(version, new_data["fingerprint"], "validation", "")


@pytest.fixture(scope="module")
def model(tmp_path_factory, untrained, prepared) -> Path:
    """An untrained model whose labels are those of our small corpus, in another order."""
    return untrained(tmp_path_factory.mktemp("model") / "ner", read_manifest(prepared)["labels"][::-1])


def register(model: Path, context: str):
    from ner.registry.versions import add_version, content_digest

    mlflow = client()
    run = mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id
    mlflow.log_param(run, "encoding.context", context)
    mlflow.set_terminated(run)
    version = add_version("ner", run, model, content_digest(model))
    mlflow.set_registered_model_alias("ner", "champion", version.version)
    return version


@pytest.fixture
def new_data(home, model, prepared) -> dict:
    """Predictions of our small corpus by the model of this checkout; returns the scores that belong to them."""
    manifest, tagger = read_manifest(prepared), load_tagger(model, PARAMS)
    for split in ("validation", "test"):
        ours = predict_split(tagger, read_split(prepared, split), PARAMS, split, manifest["fingerprint"])
        write_predictions(home / "reports" / "predictions" / f"{split}.parquet", ours)
    metrics = {**METRICS, "fingerprint": manifest["fingerprint"]}
    write_json(home / "reports" / "metrics.json", metrics)
    return metrics


def judged(home, prepared, champion_predicts=True):
    """What the gate, run as the stage does, says of the champion."""
    params = PARAMS.model_copy(update={"gate": PARAMS.gate.model_copy(update={"champion_predicts": champion_predicts})})
    rules = gate(params, home / "reports", prepared)["rules"]
    return next(rule for rule in rules if rule["rule"] == "no_worse_than_champion")


def test_the_gate_lets_a_champion_predict_data_that_it_has_not_seen_and_only_then(
    home, prepared, model, new_data, monkeypatch, capsys
):
    version = register(model, context="document")
    assert "champion_predicts: true" in judged(home, prepared, champion_predicts=False)["reason"]
    rule = judged(home, prepared)
    assert (rule["passed"], rule["value"]) == (True, 0.0) and "ner version 1" in rule["reason"]
    assert "ner version 1 has no predictions for this data: predicting now" in capsys.readouterr().out
    assert stored_predictions(version, new_data["fingerprint"], "test", "").fingerprint == new_data["fingerprint"]
    monkeypatch.setattr("ner.registry.predict_version.predict_version", None)
    assert judged(home, prepared) == rule


def test_the_gate_has_predictions_that_cannot_be_used_made_again(home, prepared, model, new_data, tmp_path):
    version = register(model, context="document")
    (tmp_path / "validation.parquet").write_text("rubbish")
    upload(client(), version.run_id, [tmp_path / "validation.parquet"], predictions_folder(new_data["fingerprint"]))
    assert judged(home, prepared)["passed"]


def test_a_champion_that_cannot_predict_the_data_fails_the_rule_in_one_sentence(
    home, prepared, model, new_data, tmp_path
):
    manifest = json.loads((prepared / "manifest.json").read_text())
    copy = shutil.copytree(prepared, tmp_path / "prepared")
    write_json(copy / "manifest.json", {**manifest, "labels": [*manifest["labels"], "B-DATE", "I-DATE"]})
    register(model, context="document")
    rule = judged(home, copy)
    assert not rule["passed"] and rule["reason"].endswith("where the new tags are meant, take its alias champion away")
    assert "\n" not in rule["reason"]


def test_the_champion_predicts_the_present_data_as_it_was_trained_and_can_then_be_compared(
    home, prepared, model, new_data
):
    version = register(model, context="sentence")
    manifest, metrics = read_manifest(prepared), new_data
    assert not verdict(told(home, metrics))[0]

    predict_version(version, PARAMS, prepared)
    assert verdict(told(home, metrics))[1] is not None
    ours = read_predictions(home / "reports" / "predictions", "test")
    theirs = stored_predictions(version, ours.fingerprint, "test", "")
    assert theirs.context == "sentence" and theirs.labels == manifest["labels"] == ours.labels[::-1]
    assert theirs.gold == [[manifest["labels"][i] for i in ids] for ids in read_split(prepared, "test").tag_ids]
    assert theirs.tags(theirs.logits_alone) == ours.tags(ours.logits_alone)
    assert np.array_equal(theirs.logits_document, ours.logits_document[:, ::-1])


def test_a_champion_of_other_tags_is_refused_in_one_sentence(home, prepared, model, tmp_path):
    manifest = json.loads((prepared / "manifest.json").read_text())
    copy = shutil.copytree(prepared, tmp_path / "prepared")
    write_json(copy / "manifest.json", {**manifest, "labels": [*manifest["labels"], "B-DATE", "I-DATE"]})
    version = register(model, context="document")
    with pytest.raises(ModelError, match=r"ner version 1 was trained on the tags .*take another version") as error:
        predict_version(version, PARAMS, copy)
    assert "\n" not in str(error.value)
