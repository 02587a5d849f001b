"""What `auto` stands for: by facts of the corpus and of the encoder, and never against what params.yaml says."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ner.common.files import read_params
from ner.data.prepared import read_manifest, read_split
from ner.encoding.tokenizer import load_tokenizer, subwords
from ner.encoding.windows import encode_windows
from ner.params import Recipe
from ner.training.recipe import RULES, CorpusFacts, EncoderFacts, notes, problems, resolve, table
from ner.training.recipe_facts import corpus_facts, encoder_facts, long_sentences
from training_folder import NUMBERS

DATA = Path(__file__).resolve().parents[3] / "tests/data"
WRITTEN = read_params(DATA / "params.yaml").train
DOCUMENT = read_params(DATA / "params.yaml").encoding
CONLL = CorpusFacts(946, 14041, 253142, {"LOC": 7140, "MISC": 3438, "ORG": 6321, "PER": 6600}, 5942)
TWENTY = CorpusFacts(20, 230, 4662, {"LOC": 209, "MISC": 118, "ORG": 80, "PER": 88}, 1388)
MPNET = EncoderFacts("mpnet", 12, 768, 109_486_978, {"learning_rate": 1e-4, "dropped_layers": 6})
UNKNOWN = EncoderFacts("bert", 12, 768, 109_482_240)


def chosen(corpus, encoder, **written) -> Recipe:
    return resolve(WRITTEN.model_copy(update=written), corpus, encoder)[0]


def test_conll_with_the_default_encoder_trains_by_exactly_these_numbers():
    known = WRITTEN.model_dump() | NUMBERS
    assert chosen(CONLL, MPNET).model_dump() == known
    assert chosen(CONLL, MPNET) == Recipe.model_validate(known)


def test_what_is_written_wins_over_encoder_and_corpus_and_is_marked():
    written = {"epochs": 3.0, "dropped_layers": 2, "learning_rate": 7e-5, "batch_size": 64}
    recipe, choices = resolve(WRITTEN.model_copy(update=written), TWENTY, MPNET)
    assert {key: getattr(recipe, key) for key in written} == written
    assert {choice.key for choice in choices if choice.why == "as params.yaml says"} == {*written}
    assert (recipe.keep, recipe.dropout) == ("last", 0.0)  # the rest follows: three epochs are few


def test_a_recipe_without_auto_stays_as_it_is():
    recipe = chosen(CONLL, MPNET)
    assert resolve(recipe, TWENTY, UNKNOWN)[0] == recipe


def test_a_smaller_corpus_is_read_more_often_and_never_takes_fewer_than_hundreds_of_steps():
    sizes = [1_500, 5_000, 20_000, 80_000, 253_142, 10**7]
    recipes = [chosen(replace(TWENTY, subwords=size), MPNET) for size in sizes]
    epochs = [recipe.epochs for recipe in recipes]
    assert epochs == sorted(epochs, reverse=True) and epochs[-2:] == [1, 1]
    steps = [recipe.epochs * size / recipe.batch_size for recipe, size in zip(recipes, sizes, strict=True)]
    assert min(steps) > 300
    assert [recipe.keep for recipe in recipes][::5] == ["best", "last"] and recipes[0].dropout == "encoder"


def test_without_an_entity_in_validation_the_last_weights_are_kept_and_it_is_said():
    corpus = replace(TWENTY, validation_entities=0)
    recipe, choices = resolve(WRITTEN, corpus, MPNET)
    assert (recipe.keep, recipe.patience) == ("last", 0)
    assert "keep" in table(choices) and "no entity to judge an epoch by" in table(choices)
    (sentence,) = problems(corpus)
    assert sentence.startswith("the validation split has no entity: no epoch can be judged by F1")


def test_a_type_without_an_example_is_one_sentence():
    (sentence,) = problems(replace(TWENTY, entities=dict(TWENTY.entities) | {"VESSEL": 0}))
    assert "no entity of VESSEL, which cannot be learnt" in sentence


@pytest.mark.parametrize(
    ("hidden", "rate"), [(32, 6e-3), (256, 3e-4), (384, 1e-4), (768, 5e-5), (1024, 3e-5), (4096, 1e-5), (None, 5e-5)]
)
def test_an_encoder_that_nobody_described_keeps_its_layers_and_gets_a_rate_by_its_size(hidden, rate):
    recipe = chosen(CONLL, replace(UNKNOWN, hidden_size=hidden))
    assert recipe.dropped_layers == 0 and recipe.learning_rate == pytest.approx(rate, rel=0.01)
    assert recipe.new_learning_rate >= recipe.learning_rate


def test_another_encoder_of_the_catalogue_needs_its_name_and_nothing_else():
    encoders = yaml.safe_load((DATA / "catalog.yaml").read_text())["encoders"]
    known = {name: encoders[name].get("recipe", {}) for name in encoders}
    assert chosen(CONLL, replace(MPNET, known=known["all-mpnet-base-v2"])) == chosen(CONLL, MPNET)
    recipe = chosen(CONLL, EncoderFacts("bert", 6, 384, 22_713_216, known["all-minilm-l6-v2"]))
    assert (recipe.dropped_layers, recipe.learning_rate) == (0, 3e-4)
    recipe = chosen(CONLL, EncoderFacts("distilbert", 6, 768, 66_362_880, known["distilbert-base-uncased"]))
    assert (recipe.dropped_layers, recipe.learning_rate) == (0, 5e-5)


def test_layers_that_are_frozen_by_hand_are_not_left_out():
    assert chosen(CONLL, MPNET, frozen_layers=8).dropped_layers == 3
    assert chosen(CONLL, replace(MPNET, layers=2)).dropped_layers == 1


def test_batches_by_windows_have_a_number_of_windows():
    assert chosen(TWENTY, MPNET, batch_by="windows").batch_size == 8


def test_sentences_that_stand_alone_anyhow_are_not_drawn():
    assert chosen(replace(CONLL, documents=CONLL.sentences), MPNET).sentences_alone == 0


def test_each_key_that_may_be_auto_has_a_rule_and_a_reason():
    assert (
        {*RULES}
        == {*Recipe.__annotations__}
        == {key for key, value in WRITTEN if value == "auto"}
        - {
            "device",
            "precision",
        }
    )
    assert all(choice.why for choice in resolve(WRITTEN, TWENTY, UNKNOWN)[1])


def test_facts_are_counted_in_the_splits_and_read_from_the_encoders_files(prepared, tiny_encoder, tmp_path):
    train, validation = read_split(prepared, "train"), read_split(prepared, "validation")
    manifest, tokenizer = read_manifest(prepared), load_tokenizer(tiny_encoder)
    facts = corpus_facts(train, validation, manifest["labels"], tokenizer, DOCUMENT)
    about = manifest["splits"]
    assert facts.entities == about["train"]["entities"]
    assert facts.validation_entities == sum(about["validation"]["entities"].values())
    assert (facts.documents, facts.sentences) == (about["train"]["documents"], len(train.tokens))
    assert facts.subwords >= about["train"]["tokens"]
    alone = DOCUMENT.model_copy(update={"context": "sentence"})
    assert corpus_facts(train, validation, manifest["labels"], tokenizer, alone).documents == facts.sentences

    encoder = encoder_facts(tiny_encoder)
    assert (encoder.architecture, encoder.layers, encoder.hidden_size, encoder.known) == ("bert", 2, 32, {})
    assert encoder.parameters > 10_000
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_encoder / name).read_bytes())
    (tmp_path / "recipe.json").write_text(json.dumps({"dropped_layers": 1}))
    assert encoder_facts(tmp_path).known == {"dropped_layers": 1}


def test_sentences_longer_than_a_window_are_counted_and_noted_as_training_cuts_them(tiny_encoder):
    tokenizer, sentences = load_tokenizer(tiny_encoder), [["Okafor"] * 5, ["Okafor"] * 90, ["Lagos"] * 40]
    lengths = [sum(map(len, pieces)) for pieces in subwords(tokenizer, sentences)]
    for max_length in (8, 32, 42, max(lengths) + 1, max(lengths) + 2, 2000):
        window = min(max_length, tokenizer.model_max_length)
        cut = [len(encode_windows(tokenizer, [sentence], None, window)) > 1 for sentence in sentences]
        longest = max((length for length, is_cut in zip(lengths, cut, strict=True) if is_cut), default=0)
        assert long_sentences(sentences, tokenizer, max_length) == (sum(cut), longest)
    corpus = replace(CONLL, too_long=3, longest=1200)
    assert notes(corpus, 128)[0].startswith("3 of 14,041 training sentences are longer than a window (encoding.max_")
    assert notes(CONLL, 128) == [] and resolve(WRITTEN, corpus, MPNET) == resolve(WRITTEN, CONLL, MPNET)
