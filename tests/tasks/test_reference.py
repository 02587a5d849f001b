"""The reference of a model with random weights: validation read twice, and no word of it."""

import json
from pathlib import Path

import pytest

from ner.common.files import read_params, write_json
from ner.data.predict_splits import predict
from ner.data.prepared import read_split
from ner.inference.observation import KEYS, Vocabulary
from ner.monitoring.reference import reference, texts

PARAMS = read_params(Path(__file__).resolve().parents[2] / "tests/data/params.yaml")


@pytest.fixture(scope="module")
def told(tmp_path_factory, tiny_model, prepared):
    reports = tmp_path_factory.mktemp("reports")
    predict(PARAMS, prepared, tiny_model, reports / "predictions")
    write_json(reports / "metrics.json", {"temperature": 1.2})
    return reference(prepared, tiny_model, reports)


def test_both_readings_have_every_token_of_validation_once(told, prepared):
    split = read_split(prepared, "validation")
    sentences, documents = told["units"]["sentence"], told["units"]["document"]
    assert sentences["tokens"] == list(map(len, split.tokens))
    assert len(documents["tokens"]) == len(set(split.document_ids)) < len(split.tokens)
    assert sum(documents["tokens"]) == sum(sentences["tokens"]) and sum(documents["unseen"]) == sum(sentences["unseen"])
    assert documents["sentences"] != sentences["sentences"] and set(sentences) == {"group", *KEYS}
    for one in (sentences, documents):
        assert [sum(types.values()) for types in one["types"]] == list(map(len, one["scores"]))


def test_it_knows_the_words_of_training_and_shows_none(told, prepared):
    train, validation = (read_split(prepared, name).tokens for name in ("train", "validation"))
    vocabulary = Vocabulary.from_text(told["vocabulary"])
    assert vocabulary.unseen(token for tokens in train for token in tokens) == 0
    shown = json.dumps({key: value for key, value in told.items() if key != "vocabulary"})
    assert not [token for tokens in train + validation for token in tokens if len(token) > 5 and token in shown]


def test_of_a_large_corpus_whole_documents_are_taken_evenly():
    ids = [number // 10 for number in range(20_000)]
    taken = list(texts(ids, "sentence"))
    assert len(taken) == 5000 and {len(own) for _, own in taken} == {1}
    assert [ids[own[0]] for _, own in taken[:20:10]] == [0, 4] and len(list(texts(ids, "document"))) == 500
