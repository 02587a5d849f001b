from pathlib import Path

import pytest
import yaml

from ner.errors import ParamsError
from ner.params import check_params, override, parse_params

PARAMS = Path(__file__).resolve().parents[2] / "tests/data/params.yaml"


def changed(block: str, key: str, value) -> str:
    tree = yaml.safe_load(PARAMS.read_text())
    tree[block][key] = value
    return yaml.safe_dump(tree)


def test_our_own_params_are_well_formed_and_cannot_be_changed_afterwards():
    params = parse_params(PARAMS.read_text())
    assert params.train.learning_rate == "auto" and 0 < params.train.adam_beta1 < 1
    with pytest.raises(Exception, match="frozen"):
        params.train.epochs = 9


@pytest.mark.parametrize(
    ("block", "key", "value", "message"),
    [
        ("train", "learning_rat", 1.0, r"unknown key 'train\.learning_rat' \(did you mean 'learning_rate'\?\)"),
        ("train", "zzzz", 1, r"unknown key 'train\.zzzz' \(known: epochs, "),
        ("train", "learning_rate", "fast", r"train\.learning_rate is 'fast', need .*number"),
        ("train", "learning_rate", 0.0, r"train\.learning_rate is 0\.0, need greater than 0, or 'auto'\.$"),
        ("train", "learning_rate", float("nan"), r"train\.learning_rate is nan"),
        ("train", "epochs", float("inf"), r"train\.epochs is inf"),
        ("train", "warmup", 1.0, r"train\.warmup is 1\.0, need less than 1"),
        ("train", "batch_size", 0, r"train\.batch_size is 0, need greater than or equal to 1"),
        ("train", "batch_size", 4.5, r"train\.batch_size is 4\.5, need a valid integer"),
        ("train", "batch_size", True, r"train\.batch_size is True"),
        ("train", "seed", -1, r"train\.seed is -1"),
        ("train", "device", "gpu", r"train\.device is 'gpu', need 'auto', 'cpu' or 'cuda'"),
        ("encoding", "max_length", 4, r"encoding\.max_length is 4, need greater than or equal to 8"),
        ("encoding", "context", "page", r"encoding\.context is 'page', need 'document' or 'sentence'"),
        ("gate", "min_f1", 93, r"gate\.min_f1 is 93, need less than or equal to 1"),
        ("gate", "min_f1_per_type", {"PER": 95}, r"gate\.min_f1_per_type\.PER is 95"),
        ("data", "source", "", r"data\.source is ''"),
        ("data", "source", None, r"data\.source is None"),
        ("data", "source", " conll2003", r"data\.source is ' conll2003'"),
        ("registry", "model", "a/b", r"registry\.model is 'a/b'"),
        (
            "registry",
            "model",
            "ner.v1",
            r"registry\.model is 'ner\.v1', need a name that MLflow can .*, without '\.'\.$",
        ),
        ("registry", "model", "ner%de", r"without '%'"),
        ("registry", "model", "ner@de", r"without '@'"),
        ("registry", "model", "ner?x", r"without '\?'"),
        ("registry", "model", "my ner's", r"""without ' ' "'"\.$"""),
        ("registry", "model", "ner\u200b", r"without '\\u200b'"),
        ("registry", "model", "n" * 256, r"registry\.model is 'n+', need .*at most 255"),
    ],
)
def test_a_wrong_value_is_named_by_its_yaml_path(block, key, value, message):
    with pytest.raises(ParamsError, match=r"^params\.yaml: .*" + message):
        parse_params(changed(block, key, value))


@pytest.mark.parametrize("name", ["ner-de", "ner_2", "NER", "名前", "ner+legal", "ner(2)"])
def test_a_model_may_have_any_other_name(name):
    assert parse_params(changed("registry", "model", name)).registry.model == name


def test_all_problems_are_told_at_once():
    tree = yaml.safe_load(PARAMS.read_text())
    del tree["gate"]["min_f1"]
    tree["trian"] = tree.pop("train")
    tree["encoding"]["max_length"] = "long"
    with pytest.raises(ParamsError) as error:
        parse_params(yaml.safe_dump(tree))
    for problem in ("'gate.min_f1' is missing", "'train' is missing", "'trian' (did you mean 'train'?)", "'long'"):
        assert problem in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "train: [", "a: b: c", "\t- x"])
def test_text_that_holds_no_blocks_is_one_sentence(text):
    with pytest.raises(ParamsError, match=r"^params\.yaml (is not valid YAML|holds no blocks)"):
        parse_params(text)


def test_a_block_that_is_no_block_is_named():
    with pytest.raises(ParamsError, match="train is 5"):
        parse_params(yaml.safe_dump({**yaml.safe_load(PARAMS.read_text()), "train": 5}))


def test_overrides_are_checked_whole_and_leave_the_original_alone():
    tree = yaml.safe_load(PARAMS.read_text())
    assert override(tree, {"train": {"epochs": 3.0}}, "form")["train"]["epochs"] == 3.0
    assert tree["train"]["epochs"] != 3.0
    with pytest.raises(ParamsError, match=r"^form: unknown key 'train\.epoch' \(did you mean 'epochs'"):
        override(tree, {"train": {"epoch": 3}}, "form")
    with pytest.raises(ParamsError, match="^form: unknown key 'trian'"):
        override(tree, {"trian": {"epochs": 3}}, "form")


@pytest.mark.parametrize("number", ["5e-05", "5.0e-5", "0.00005"])
def test_a_learning_rate_is_a_number_in_every_form_that_dvc_writes(number):
    text = PARAMS.read_text().replace("  learning_rate: auto", f"  learning_rate: {number}")
    assert parse_params(text).train.learning_rate == 5e-5


def test_a_key_given_twice_is_an_error_rather_than_the_last_one():
    text = PARAMS.read_text().replace("\n  epochs: auto", "\n  epochs: 7\n  epochs: auto")
    with pytest.raises(ParamsError, match="epochs"):
        parse_params(text)


@pytest.mark.parametrize(
    ("block", "key", "value", "said"),
    [
        ("split", "folds", 1, r"split\.folds is 1, need 0 \(no cross-validation\), or 2 or more"),
        ("train", "processes", 2, r"train\.processes: folds are trained in one process; write 1 \(it is 2\)"),
        ("seeds", "extra", [43], r"seeds\.extra: with split\.folds no document is left"),
        ("export", "formats", ["onnx"], r"export\.formats: with split\.folds the model has learnt"),
    ],
)
def test_what_does_not_go_with_cross_validation_is_one_sentence(block, key, value, said):
    tree = yaml.safe_load(PARAMS.read_text())
    tree["split"]["folds"] = 5
    tree[block][key] = value
    with pytest.raises(ParamsError, match=rf"^params\.yaml[:,] {said}"):
        check_params(tree)
