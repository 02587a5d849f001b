import pytest
from pydantic import ValidationError

from flows.overrides import apply, given, parse_settings, partial_block
from ner.errors import ParamsError


def test_settings_are_yaml_values_by_block_and_key():
    settings = ["train.epochs=1", "train.learning_rate=3e-4"]
    settings += ["train.schedule=cosine", "gate.min_f1_per_type={PER: 0.9}"]
    assert parse_settings(settings) == {
        "train": {"epochs": 1, "learning_rate": 3e-4, "schedule": "cosine"},
        "gate": {"min_f1_per_type": {"PER": 0.9}},
    }


@pytest.mark.parametrize("setting", ["epochs=1", "train.epochs", "train.=1", "=1"])
def test_a_setting_that_is_not_block_key_value_shows_how_one_looks(setting):
    with pytest.raises(ParamsError, match="for example --set train.epochs=1"):
        parse_settings([setting])


def test_what_is_left_empty_in_a_form_is_no_change():
    assert given({"train": {"epochs": 1, "seed": None}, "gate": {}, "data": None}) == {"train": {"epochs": 1}}


def test_a_block_that_is_no_mapping_is_an_error():
    with pytest.raises(ParamsError, match="train is 3, need a mapping"):
        given({"train": 3})


def test_a_misspelt_block_and_a_misspelt_key_are_guessed(toy):
    with pytest.raises(ParamsError, match="did you mean 'train'"):
        apply(toy, {"trian": {"epochs": 1}})
    with pytest.raises(ParamsError, match="did you mean 'epochs'"):
        apply(toy, {"train": {"epoch": 1}})


def test_every_key_of_a_form_is_optional_and_no_other_is_allowed():
    form = partial_block("train")
    assert form(epochs=1).model_dump(exclude_unset=True) == {"epochs": 1}
    with pytest.raises(ValidationError):
        form(epoch=1)
    with pytest.raises(ValidationError):
        form(epochs=-1)
