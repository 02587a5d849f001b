"""Every word is predicted once in both contexts, stored with nothing lost, and a model of other tags is refused."""

import hashlib
import json
import shutil
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ner.common.files import read_params
from ner.data.predict_splits import predict, predict_split
from ner.data.predictions import read_logits, read_prediction_parts, read_predictions, write_predictions
from ner.data.prepared import Split, read_manifest, read_parts, read_split, to_tags
from ner.errors import ModelError, NerError
from ner.inference.probability import TEMPERATURE
from ner.inference.tagger import Tagger

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = read_params(ROOT / "tests/data/params.yaml")
PARAMS = DEFAULTS.model_copy(update={"prediction": DEFAULTS.prediction.model_copy(update={"precision": "fp32"})})


@pytest.fixture(scope="module")
def model(tmp_path_factory, untrained, prepared):
    """An untrained model with the tags of our small corpus and windows that hold few sentences."""
    return untrained(tmp_path_factory.mktemp("model"), read_manifest(prepared)["labels"], case="as_encoder")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, prepared, model):
    folder = tmp_path_factory.mktemp("reports") / "predictions"
    predict(PARAMS, prepared, model, folder)
    return folder


@pytest.mark.parametrize("split", ["validation", "test"])
def test_every_word_of_every_sentence_has_a_prediction_in_whichever_window(folder, prepared, split):
    stored, corpus = read_predictions(folder, split), read_split(prepared, split)
    assert stored.tokens == corpus.tokens and stored.document_ids == corpus.document_ids
    assert stored.gold == to_tags(corpus.tag_ids, stored.labels)
    assert stored.logits.shape == stored.logits_alone.shape == (stored.words, len(stored.labels))
    assert [len(tags) for tags in stored.tags(stored.logits)] == [len(tokens) for tokens in corpus.tokens]
    assert stored.fingerprint == read_manifest(prepared)["fingerprint"]


def test_the_stored_logits_are_the_models_to_the_last_bit(folder, prepared, model):
    stored, corpus = read_predictions(folder, "test"), read_split(prepared, "test")
    tagger = Tagger.load(model, device="auto")
    assert (np.concatenate(tagger.logits(corpus.tokens, corpus.document_ids)) == stored.logits_document).all()
    assert (np.concatenate(tagger.logits(corpus.tokens)) == stored.logits_alone).all()
    assert (stored.logits_alone != stored.logits_document).any()


def test_the_temperature_in_the_models_config_divides_the_logits_of_every_caller(folder, prepared, model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    config = tmp_path / "model" / "config.json"
    config.write_text(config.read_text().replace("{", f'{{"{TEMPERATURE}": 2.5,', 1))
    corpus = read_split(prepared, "test")
    calibrated = Tagger.load(tmp_path / "model").predict(corpus.tokens, corpus.document_ids)
    expected = read_predictions(folder, "test").probabilities(2.5)
    assert np.concatenate(calibrated) == pytest.approx(expected, abs=1e-6)
    assert np.concatenate(calibrated).sum(1) == pytest.approx(np.ones(len(expected)), abs=1e-5)


def test_a_corpus_without_documents_is_predicted_once(prepared, model):
    corpus = read_split(prepared, "test")._replace(document_ids=list(range(len(read_split(prepared, "test").tokens))))
    done = predict_split(Tagger.load(model), corpus, PARAMS, "test", "f")
    assert done.logits_document is done.logits_alone


@pytest.mark.parametrize("size", [1, 2, 10_000])
def test_a_split_is_read_in_parts_of_whole_documents(prepared, size):
    whole = read_split(prepared, "test")
    parts = list(read_parts(prepared, "test", size))
    for column in Split._fields:
        assert [value for part in parts for value in getattr(part, column)] == getattr(whole, column)
    assert len(parts) > 1 or size == 10_000
    assert all(one.document_ids[-1] != other.document_ids[0] for one, other in pairwise(parts))
    assert all(len(part.tokens) >= size for part in parts[:-1])


def test_a_split_without_sentences_is_one_part_and_a_damaged_one_is_refused(prepared, tmp_path):
    folder = Path(shutil.copytree(prepared, tmp_path / "prepared"))
    path = folder / "test.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(NerError, match=r"test\.parquet has another sha256"):
        list(read_parts(folder, "test"))
    pq.write_table(pq.read_table(prepared / "test.parquet").slice(0, 0), path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"]["test"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert list(read_parts(folder, "test")) == [Split([], [], [], [], [])] == [read_split(folder, "test")]


def test_equal_words_of_a_split_are_one_object(prepared):
    words = [token for tokens in read_split(prepared, "train").tokens for token in tokens]
    assert len({id(word) for word in words}) == len(set(words))


def test_predictions_in_parts_are_those_of_the_whole_split(folder, prepared, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ner.data.predict_splits.read_parts", partial(read_parts, size=1))
    counted = predict(PARAMS, prepared, model, tmp_path / "parts")
    one, whole = read_predictions(tmp_path / "parts", "test"), read_predictions(folder, "test")
    assert counted["test"] == (len(whole.tokens), whole.words)
    assert pq.ParquetFile(tmp_path / "parts" / "test.parquet").num_row_groups > 1
    for name in ("document_ids", "sentence_ids", "lines", "tokens", "gold", "labels", "fingerprint"):
        assert getattr(one, name) == getattr(whole, name)
    for name in ("logits_document", "logits_alone"):
        assert getattr(one, name) == pytest.approx(getattr(whole, name), abs=1e-5)


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_stored_predictions_are_read_in_parts(folder, size):
    whole, parts = read_predictions(folder, "test"), list(read_prediction_parts(folder, "test", size))
    assert [len(part.tokens) for part in parts[:-1]] == [size] * (len(parts) - 1)
    for name in ("document_ids", "sentence_ids", "lines", "tokens", "gold"):
        assert [value for part in parts for value in getattr(part, name)] == getattr(whole, name)
    for name in ("logits_document", "logits_alone"):
        assert (np.concatenate([getattr(part, name) for part in parts]) == getattr(whole, name)).all()
    logits, gold = (np.concatenate(column) for column in zip(*read_logits(folder, "test", size), strict=True))
    assert (logits == whole.logits).all() and (gold == whole.gold_ids()).all()
    assert {(tuple(part.labels), part.context, part.fingerprint) for part in parts} == {
        (tuple(whole.labels), whole.context, whole.fingerprint)
    }


def test_both_contexts_are_stored_and_the_trained_one_is_judged(folder):
    stored = read_predictions(folder, "validation")
    assert (stored.logits == stored.logits_document).all()
    assert (replace(stored, context="sentence").logits == stored.logits_alone).all()


def test_predicting_twice_writes_the_same_bytes(folder, prepared, model, tmp_path):
    predict(PARAMS, prepared, model, tmp_path / "again")
    for name in ("validation.parquet", "test.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_what_is_written_is_read_again(folder, tmp_path):
    stored = read_predictions(folder, "test")
    write_predictions(tmp_path / "test.parquet", stored)
    again = read_predictions(tmp_path, "test")
    assert again.gold == stored.gold and (again.logits_alone == stored.logits_alone).all()


def test_a_model_of_other_tags_is_refused(prepared, untrained, tmp_path):
    untrained(tmp_path / "model", ["O", "B-GENE", "I-GENE"])
    with pytest.raises(ModelError, match="B-GENE"):
        predict(PARAMS, prepared, tmp_path / "model", tmp_path / "predictions")
    assert not (tmp_path / "predictions").exists()


def test_a_model_with_pickled_weights_only_is_refused(prepared, model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="model.safetensors"):
        predict(PARAMS, prepared, tmp_path / "model", tmp_path / "predictions")


@pytest.mark.parametrize("content", [None, b"no parquet", b"PAR1cut"])
def test_predictions_that_are_missing_or_broken_are_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "test.parquet").write_bytes(content)
    for read in (read_predictions, read_prediction_parts, read_logits):
        with pytest.raises(NerError, match=r"test\.parquet.*dvc repro predict"):
            list(read(tmp_path, "test"))


def test_a_table_of_something_else_is_no_prediction(prepared, tmp_path):
    shutil.copy(prepared / "test.parquet", tmp_path / "test.parquet")
    for read in (read_predictions, read_prediction_parts, read_logits):
        with pytest.raises(NerError, match=r"test\.parquet cannot be read.*dvc repro predict"):
            list(read(tmp_path, "test"))
