"""Evaluation writes what it scored, counts every gold entity, and refuses a model of other tags."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ner.errors import ModelError
from ner.params import EncodingParams
from ner.prediction import load_tokenizer
from ner.scoring import score
from tasks.evaluate import evaluate
from tasks.io import read_params
from tasks.prepared import read_manifest
from tasks.train import new_model

ROOT = Path(__file__).resolve().parents[2]
PARAMS = read_params(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def model(tmp_path_factory, tiny_encoder, prepared):
    """An untrained model with the tags of our small corpus and windows that hold no whole document."""
    folder = tmp_path_factory.mktemp("model")
    encoding = EncodingParams(context="document", max_length=16)
    new_model(tiny_encoder, read_manifest(prepared)["labels"], encoding).save_pretrained(folder)
    load_tokenizer(tiny_encoder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reports(tmp_path_factory, prepared, model):
    folder = tmp_path_factory.mktemp("reports")
    evaluate(PARAMS, prepared, model, folder)
    return folder


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_gold_entity_and_every_word_is_scored_though_windows_are_short(reports, prepared, split):
    scores = json.loads((reports / "metrics.json").read_text())[split]
    counts = read_manifest(prepared)["splits"][split]
    assert scores["support"] == sum(counts["entities"].values())
    assert {name: row["support"] for name, row in scores["per_type"].items() if row["support"]} == counts["entities"]
    assert scores["words"] == counts["tokens"] and scores["words_without_prediction"] == 0


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_stored_predictions_give_the_reported_scores(reports, split):
    scores = json.loads((reports / "metrics.json").read_text())[split]
    rows = pq.read_table(reports / "predictions" / f"{split}.parquet").to_pydict()
    assert [len(tags) for tags in rows["predicted"]] == [len(tokens) for tokens in rows["tokens"]]
    again = score(rows["gold"], rows["predicted"])
    assert again["f1"] == scores["f1"] and again["f1_strict"] == scores["f1_strict"]
    alone = score(rows["gold"], rows["predicted_alone"])
    assert alone["f1"] == scores["sentence"]["f1"]
    assert all(0 < p <= 1 for row in rows["confidence"] for p in row)


def test_the_plots_have_a_row_a_type_and_no_pair_of_outsides(reports):
    assert set(pd.read_csv(reports / "per_type.csv")["type"]) >= {"LOC", "MISC", "ORG", "PER"}
    tags = pd.read_csv(reports / "tags.csv")
    assert len(tags) and not ((tags["gold"] == "O") & (tags["predicted"] == "O")).any()


def test_evaluating_twice_writes_the_same_bytes(reports, prepared, model, tmp_path):
    evaluate(PARAMS, prepared, model, tmp_path)
    for name in ("metrics.json", "scores.json", "per_type.csv", "tags.csv", "predictions/test.parquet"):
        assert (tmp_path / name).read_bytes() == (reports / name).read_bytes(), name


def test_a_model_of_other_tags_is_refused(prepared, tiny_encoder, tmp_path):
    encoding = EncodingParams(context="document", max_length=64)
    new_model(tiny_encoder, ["O", "B-GENE", "I-GENE"], encoding).save_pretrained(tmp_path / "model")
    load_tokenizer(tiny_encoder).save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="B-GENE"):
        evaluate(PARAMS, prepared, tmp_path / "model", tmp_path / "reports")
    assert not (tmp_path / "reports" / "metrics.json").exists()


def test_a_model_with_pickled_weights_only_is_refused(prepared, model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="model.safetensors"):
        evaluate(PARAMS, prepared, tmp_path / "model", tmp_path / "reports")
