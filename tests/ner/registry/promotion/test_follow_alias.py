import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ner.errors import RegistryError
from ner.registry.promotion import follow_alias as alias
from ner.tracking import mlflow_store as store

ROOT = Path(__file__).resolve().parents[4]


class Enough(Exception):
    """Ends `follow`, which never does."""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return tmp_path


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A store with two versions that have no files; champion is the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        client = store.client()
        client.create_registered_model("ner")
        for number in (1, 2):
            tags = {"content": f"c{number}", "gate": "passed, 9 of 9 rules"}
            client.create_model_version("ner", source=f"runs:/f00d/{number}", tags=tags)
        client.set_registered_model_alias("ner", "champion", "1")
        yield client


def test_a_line_says_which_version_it_is_and_what_it_is_known_by(registry):
    line = alias.look("ner@champion")
    assert line["problem"] is None and not line["absent"]
    assert {name: line["version"][name] for name in ("model", "number", "content", "gate")} == {
        "model": "ner",
        "number": 1,
        "content": "c1",
        "gate": "passed, 9 of 9 rules",
    }
    assert alias.look("ner/2")["version"]["number"] == 2


@pytest.mark.parametrize(
    ("tags", "precision"),
    [
        ({"prediction_precision": "bf16", "params": '{"prediction": {"precision": "auto"}}'}, "bf16"),
        ({"prediction_precision": "fp32", "params": '{"prediction": {"precision": "auto"}}'}, "fp32"),
        ({"params": '{"prediction.precision": "bf16"}'}, "bf16"),  # of an older version, the setting
        ({}, "fp32"),
    ],
)
def test_a_version_is_served_in_the_precision_that_its_gate_judged_whatever_auto_is_here(tags, precision):
    assert alias.judged_precision(tags) == precision


@pytest.mark.parametrize("reference", ["ner@nobody", "ner/9", "other@champion"])
def test_what_the_registry_does_not_know_is_told_as_absent(registry, reference):
    line = alias.look(reference)
    assert line == {"version": None, "problem": f"the MLflow registry has no {reference}", "absent": True}


def test_only_changes_are_told(registry):
    told, moves = [], iter([None, "2", None, "-", None, "1"])

    def sleep(seconds: float) -> None:
        move = next(moves, Enough)
        if move is Enough:
            raise Enough
        if move == "-":
            registry.delete_registered_model_alias("ner", "champion")
        elif move:
            registry.set_registered_model_alias("ner", "champion", move)

    with pytest.raises(Enough):
        alias.follow("ner@champion", told.append, sleep)
    assert [line["version"] and line["version"]["number"] for line in told] == [1, 2, None, 1]


def test_a_registry_that_is_away_for_a_moment_is_not_told(monkeypatch):
    here = {"version": {"number": 1}, "problem": None, "absent": False}
    away = alias.missing("MLflow cannot be reached", absent=False)
    looks, told = iter([here, away, here, away, away, away, here]), []
    monkeypatch.setattr(alias, "look", lambda reference: next(looks))
    with pytest.raises(StopIteration):
        alias.follow("ner@champion", told.append, lambda seconds: None)
    assert told == [here, away, here]


def test_a_store_that_is_not_there_is_told_and_not_made(home):
    assert alias.look("ner@champion")["problem"].startswith("there is no MLflow store here yet: `make train`")
    assert not (home / "mlflow" / "data" / "mlflow.db").exists()


def test_a_reference_in_another_form_is_one_sentence(registry):
    with pytest.raises(RegistryError, match="'champion' names no model version: write ner@challenger or ner/3"):
        alias.look("champion")


def test_a_server_that_does_not_answer_is_a_line_that_says_what_to_do(home):
    env = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "ner.registry.promotion.follow_alias", "ner@champion"]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        line = json.loads(process.stdout.readline())
        process.terminate()
    assert line["version"] is None and not line["absent"]
    assert "cannot be reached (nothing answers there): start it with `make up`" in line["problem"]
