import json
from contextlib import nullcontext

import pytest
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from flows.runtime.overrides import apply, chosen_values, form, forms, parse_settings, takes_blocks
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
    assert chosen_values({"train": {"epochs": 1, "seed": None}, "gate": {}, "data": None}) == {"train": {"epochs": 1}}


def test_a_block_that_is_no_mapping_is_an_error():
    with pytest.raises(ParamsError, match="train is 3, need a mapping"):
        chosen_values({"train": 3})


def test_a_misspelt_block_and_a_misspelt_key_are_guessed(toy):
    with pytest.raises(ParamsError, match="did you mean 'train'"):
        apply(toy, {"trian": {"epochs": 1}})
    with pytest.raises(ParamsError, match="did you mean 'epochs'"):
        apply(toy, {"train": {"epoch": 1}})


def test_every_key_of_a_form_is_optional_and_no_other_is_allowed():
    train = form("train")
    assert train(epochs=1).model_dump(exclude_unset=True) == {"epochs": 1}
    with pytest.raises(ValidationError):
        train(epoch=1)
    with pytest.raises(ValidationError):
        train(epochs=-1)


def test_a_value_that_the_fetched_encoder_has_not_is_refused_before_any_stage_starts(toy):
    about = {"config.json": {"n_layers": 6}, "tokenizer_config.json": {"model_max_length": 512}}
    for name, content in about.items():
        path = toy / "models" / "base" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    for name, refuses in ((apply(toy, {})["model"]["base"], True), ("another", False)):
        (toy / "models" / "base.json").write_text(json.dumps({"name": name}))
        for changes in ({"train": {"dropped_layers": 4, "frozen_layers": 2}}, {"encoding": {"max_length": 1024}}):
            with pytest.raises(ParamsError) if refuses else nullcontext():
                apply(toy, changes)


def test_a_form_tells_of_each_key_what_params_yaml_says_and_sends_nothing_that_nobody_chose(tmp_path):
    lines = ["train:", "  epochs: 2  # how often", "  compile: false   # by torch", "gate:   # judges", "  min_f1: 0.5"]
    (tmp_path / "params.yaml").write_text("\n".join(lines))
    found = {name: one.model_json_schema() for name, one in forms(tmp_path).items()}
    train = found["train"]["properties"]
    assert train["epochs"]["description"] == "how often (params.yaml: `2`)" and train["epochs"]["title"] == "epochs"
    assert found["gate"]["description"] == "judges"
    assert found["gate"]["properties"]["min_f1"]["description"] == "(params.yaml: `0.5`)"
    assert train["compile"]["enum"] == [True, False] and "type" not in train["compile"]  # a switch would send no
    assert {"type": "string", "enum": ["auto"]} in train["epochs"]["anyOf"]  # a constant could not be chosen
    assert not any("default" in key for form in found.values() for key in form["properties"].values())
    assert "description" not in train["seed"]  # nothing is made up where the file says nothing


@pytest.mark.parametrize("text", [None, "train: [", "train"])
def test_a_broken_params_yaml_leaves_the_forms_without_words(tmp_path, text):
    if text is not None:
        (tmp_path / "params.yaml").write_text(text)
    assert forms(tmp_path)["train"].model_json_schema()["properties"]["epochs"]["anyOf"][1]["type"] == "number"


def test_a_flow_takes_every_block_that_a_stage_reads_by_its_name(toy):
    @takes_blocks
    def flow(**blocks):
        return blocks

    schema = parameter_schema(flow).model_dump_for_openapi()
    read = {"data", "model", "encoding", "validation", "train", "prediction", "evaluation", "seeds", "gate", "export"}
    assert set(schema["properties"]) == read | {"registry", "limits", "split"}
    epochs = schema["definitions"]["TrainChanges"]["properties"]["epochs"]
    assert epochs["title"] == "epochs" and "params.yaml: `" in epochs["description"]
    assert chosen_values(flow(train={"epochs": 1}, data={})) == {"train": {"epochs": 1}}
