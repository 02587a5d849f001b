"""Pictures in the Prefect UI come from the MLflow run, where there is a server that shows them."""

import json

import pytest

from flows.artifacts import FIGURES, figure_urls, type_rows
from flows.graph import Stage
from flows.record import REPORT, TRAINING, Record
from flows.stages import RAN, Outcome


@pytest.fixture
def record(tmp_path):
    """A run that trained and analysed, and whose gate failed: nothing is registered."""
    (tmp_path / "reports").mkdir()
    (tmp_path / TRAINING).write_text(json.dumps({"mlflow_run_id": "f00d"}))
    (tmp_path / REPORT).write_text("<html>")
    made = {"train": TRAINING, "analyse": REPORT}
    stages = [Stage(name, name, (), (), (out,)) for name, out in made.items()]
    return Record("1", tmp_path, 0.0, stages=stages, outcomes={name: Outcome(RAN, "It ran.") for name in made})


def test_a_failed_run_has_its_pictures_too(record, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000/")
    assert set(figure_urls(record)) == set(FIGURES)
    assert figure_urls(record)["types"] == "http://127.0.0.1:5000/get-artifact?path=figures/types.png&run_uuid=f00d"


@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db", "http://me:secret@example.org"])
def test_without_a_server_that_may_be_named_there_are_none(record, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert figure_urls(record) == {}


def test_pictures_of_an_earlier_run_are_not_shown(record, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    del record.outcomes["analyse"]
    assert figure_urls(record) == {}


def test_a_type_of_the_corpus_is_no_link_in_the_table_of_scores():
    metrics = {"test": {"per_type": {"[x](javascript:alert(1))": {"f1": 0.5}}}}
    assert type_rows(metrics)[0]["type"] == r"\[x\](javascript:alert(1))"
