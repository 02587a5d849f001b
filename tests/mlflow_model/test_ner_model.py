"""The registered model as a caller meets it: loaded by its alias, away from the checkout, through MLflow's checks."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ner.registry.versions import add_version, code_files, content_digest
from ner.tracking import mlflow_store as store
from ner.tracking.live_run import LiveRun

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
TEXT = "Ünïcode 👩\u200d👩\u200d👧 e\u0301 Marta's\r\nRotterdam — שלום 北京!"
THREE = ["Marta", "", TEXT]
TEMPERATURE = 2.5


@pytest.fixture(scope="module")
def uri(tmp_path_factory, tiny_encoder):
    """The address of a model with random weights, whose version is champion, in a store of its own."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    home = tmp_path_factory.mktemp("home")
    folder = home / "models" / "ner"
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    AutoModelForTokenClassification.from_pretrained(
        tiny_encoder, num_labels=len(LABELS), initializer_range=1.0, **names
    ).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "ner_temperature": TEMPERATURE}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(home))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        run = LiveRun.open("ner", "tiny", {}, {})
        run.close("FINISHED")
        version = add_version("ner", run.run_id, folder, content_digest(folder))
        store.client().set_registered_model_alias("ner", "champion", version.version)
        yield store.tracking_uri()


@pytest.fixture(scope="module")
def model(uri):
    import mlflow

    mlflow.set_tracking_uri(uri)
    return mlflow.pyfunc.load_model("models:/ner@champion")


def test_entities_are_the_callers_own_characters(model):
    (answer,) = model.predict({"text": TEXT})
    assert answer["text"] == TEXT and answer["entities"]
    for entity in answer["entities"]:
        assert TEXT[entity["start"] : entity["end"]] == entity["text"]
        assert entity["type"] in ("LOC", "PER") and 0 < entity["score"] <= 1


def test_scores_are_calibrated_by_the_temperature_that_comes_with_the_model(model):
    from ner.inference.annotate import annotate
    from ner.inference.tagger import Tagger

    tagger = model.unwrap_python_model().tagger
    plain = Tagger(tagger.model, tagger.tokenizer, tagger.max_length)
    assert tagger.temperature == TEMPERATURE
    warm = Tagger(tagger.model, tagger.tokenizer, tagger.max_length, temperature=TEMPERATURE)
    (ours,), (theirs,) = model.predict({"text": TEXT}), annotate(plain, [TEXT])
    assert [(e["start"], e["end"], e["type"]) for e in ours["entities"]] == [
        (e["start"], e["end"], e["type"]) for e in theirs
    ]
    scores, before, expected = (
        [e["score"] for e in each] for each in (ours["entities"], theirs, *annotate(warm, [TEXT]))
    )
    assert scores == pytest.approx(expected, abs=1e-6) and sum(scores) < sum(before)
    assert all(score != other for score, other in zip(scores, before, strict=True))


@pytest.mark.parametrize(
    "payload",
    [
        {"text": ["Marta", "", TEXT]},
        pd.DataFrame({"text": ["Marta", "", TEXT]}),
        [{"text": t} for t in ("Marta", "", TEXT)],
    ],
)
def test_one_answer_for_each_text_in_order_however_they_come(model, payload):
    answers = model.predict(payload)
    assert [answer["text"] for answer in answers] == THREE
    assert answers[1]["entities"] == []
    json.dumps(answers)


@pytest.mark.parametrize(
    "payload",
    [
        {"wrong": "x"},
        {"text": 5},
        {"text": None},
        {"text": [1]},
        None,
        5,
        ["x"],
        [{"text": "a", "tokens": ["a"]}],
        [{"tokens": "a"}],
        [{"tokens": [1]}],
        [{"tokens": ["a", ""]}],
    ],
)
def test_a_payload_of_another_shape_is_refused(model, payload):
    from mlflow.exceptions import MlflowException

    with pytest.raises((MlflowException, TypeError), match="text|Expected|string|token"):
        model.predict(payload)


def test_the_version_says_what_it_takes_gives_and_needs(model):
    meta = model.metadata
    assert meta.signature.inputs.input_names() == ["text", "tokens"]
    assert meta.signature.outputs.input_names() == ["text", "entities"]
    needed = Path(meta.get_model_info().model_uri and model._model_impl.context.artifacts["model"]).parents[1]
    lines = (needed / "requirements.txt").read_text().split()
    assert {line.partition("==")[0] for line in lines} >= {"mlflow", "torch", "transformers", "numpy"}
    assert all("==" in line and "+" not in line for line in lines)
    code = needed / "code" / "ner"
    assert sorted(path.relative_to(code).as_posix() for path in code.rglob("*.py")) == [*code_files()]


def test_a_http_caller_gets_the_same(model):
    from fastapi.testclient import TestClient
    from mlflow.pyfunc.scoring_server import init

    with TestClient(init(model)) as http:
        good = http.post("/invocations", json={"dataframe_records": [{"text": "Marta in Rotterdam"}]})
        assert good.status_code == 200
        assert good.json()["predictions"] == model.predict({"text": "Marta in Rotterdam"})
        assert http.post("/invocations", json={"inputs": {"text": ["Marta", "Rotterdam"]}}).status_code == 200
        assert http.post("/invocations", json={"dataframe_records": [{"wrong": "x"}]}).status_code == 400


def test_tokens_are_read_as_they_are_cut(model):
    tokens = ["Marta", "Okafor", "in", "Rotterdam"]
    (alone,) = model.predict([{"tokens": tokens}])
    assert alone["text"] == "Marta Okafor in Rotterdam" and alone["entities"]
    for entity in alone["entities"]:
        assert " ".join(tokens[entity["token_start"] : entity["token_end"]]) == entity["text"]
    assert model.predict([{"tokens": tokens}, {"tokens": []}]) == [alone, {"text": "", "entities": []}]


def test_entities_under_the_least_score_are_left_out(model):
    assert model.predict({"text": TEXT}, params={"min_score": 1.0})[0]["entities"] == []


def test_it_loads_away_from_the_checkout(uri, tmp_path):
    program = (
        "import mlflow, sys; m = mlflow.pyfunc.load_model('models:/ner@champion');"
        "import ner.inference.text; assert 'artifacts' in ner.inference.text.__file__, ner.inference.text.__file__;"
        "print(m.predict({'text': 'Marta in Rotterdam'})[0]['text'])"
    )
    env = {"MLFLOW_TRACKING_URI": uri, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "Marta in Rotterdam", done.stderr
