"""Where a run's results are, in the Prefect UI; its scores as tables."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flows.runtime.artifacts import FIGURES, figure_urls, links, type_rows
from flows.runtime.dvc_graph import Stage
from flows.runtime.run_record import DATA_DOCS, METRICS, REGISTRATION, REPORT, TRAINING, Record
from flows.runtime.run_stage import CACHED, RAN, Outcome
from flows.runtime.summary import render, score_rows
from flows.servers import mlflow_rest as registry


@pytest.fixture
def record(tmp_path):
    """A run that trained and analysed, and whose gate failed: nothing is registered."""
    (tmp_path / "reports").mkdir()
    (tmp_path / TRAINING).write_text(json.dumps({"mlflow_run_id": "f00d"}))
    (tmp_path / REPORT).write_text("<html>")
    made = {"train": TRAINING, "analyse": REPORT}
    stages = [Stage(name, name, (), (), (out,)) for name, out in made.items()]
    return Record("1", tmp_path, 0.0, stages=stages, outcomes={name: Outcome(RAN, "It ran.") for name in made})


@pytest.fixture
def registered(record):
    """The same run, which then registered a version without a server: its report knows no address."""
    (record.folder / REGISTRATION).write_text(
        json.dumps(
            {"model": "ner", "version": 3, "alias": "challenger", "mlflow_run_id": "f00d", "mlflow_run_url": None}
        )
    )
    (record.folder / DATA_DOCS).parent.mkdir()
    (record.folder / DATA_DOCS).write_text("<html>")
    for name, out in (("register", REGISTRATION), ("validate", "reports/data_docs")):
        record.stages.append(Stage(name, name, (), (), (out,)))
        record.outcomes[name] = Outcome(RAN, "It ran.")
    return record


@pytest.fixture
def mlflow_server():
    """Answers as MLflow does when it is asked for the run f00d, and knows no other."""

    class Runs(BaseHTTPRequestHandler):
        def do_GET(self):
            knows = self.path == "/api/2.0/mlflow/runs/get?run_id=f00d"
            self.send_response(200 if knows else 404)
            self.end_headers()
            self.wfile.write(json.dumps({"run": {"info": {"experiment_id": "7"}}} if knows else {}).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Runs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("by", ["environment", "make up"])
def test_results_link_into_the_server_that_runs_now_whoever_named_it(
    registered, mlflow_server, tmp_path, monkeypatch, by
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server if by == "environment" else "")
    if by == "make up":
        (tmp_path / registry.SERVERS).parent.mkdir()
        (tmp_path / registry.SERVERS).write_text(f'active = "up"\n[servers]\nMLFLOW_TRACKING_URI = "{mlflow_server}"\n')
    told, page = links(registered), f"{mlflow_server}/#/experiments/7/runs/f00d"
    assert f"MLflow run: [f00d]({page})" in told
    assert f"Data Docs: `{tmp_path / DATA_DOCS}`" in told


@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db", "http://127.0.0.1:9"])
def test_without_a_server_that_answers_results_name_their_places_and_link_nowhere(
    registered, tmp_path, monkeypatch, uri
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    told = links(registered)
    assert f"Data Docs: `{tmp_path / DATA_DOCS}`" in told and "MLflow run: `f00d`" in told and "](" not in told


def test_pictures_are_those_of_this_run_in_mlflow(record, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000/")
    assert set(figure_urls(record)) == set(FIGURES)
    assert figure_urls(record)["types"] == "http://127.0.0.1:5000/get-artifact?path=figures/types.png&run_uuid=f00d"
    record.outcomes["train"] = Outcome(CACHED, "Its result came from DVC's cache.")
    assert figure_urls(record)
    record.changes = {"evaluation": {"confidence": 0.9}}  # the MLflow run keeps what was said of it first
    assert figure_urls(record) == {}


@pytest.mark.parametrize("uri", ["", "sqlite:///mlflow.db", "http://me:secret@example.org"])
def test_without_a_server_that_may_be_named_there_are_no_pictures(record, monkeypatch, uri):
    monkeypatch.chdir(record.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert figure_urls(record) == {}


def test_a_corrected_test_set_is_a_row_of_the_scores_in_prefect_and_in_the_terminal(record):
    metrics = {split: {"f1": 0.9, "precision": 0.9, "recall": 0.9, "accuracy": 0.9} for split in ("validation", "test")}
    rows = score_rows(metrics | {"test_corrected": metrics["test"] | {"f1": 0.95, "interval": {"f1": [0.94, 0.96]}}})
    assert [row["split"] for row in rows] == ["validation", "test", "test, corrected"]
    assert rows[2]["f1"] == "0.9500" and rows[2]["interval of f1"] == "0.9400 to 0.9600"
    assert len(score_rows(metrics | {"test_corrected": None})) == 2
    record.stages.append(Stage("evaluate", "", (), (), (METRICS,)))
    record.outcomes["evaluate"] = Outcome(RAN, "It ran.")
    (record.folder / METRICS).write_text(json.dumps(metrics | {"test_corrected": metrics["test"]}))
    (line,) = (one for one in render(record, record.folder).splitlines() if one.startswith("test, corrected"))
    assert line.split() == ["test,", "corrected", *["0.9000"] * 4]


def test_a_type_of_the_corpus_is_no_link_in_the_table_of_scores():
    metrics = {"test": {"per_type": {"[x](javascript:alert(1))": {"f1": 0.5}}}}
    assert type_rows(metrics)[0]["type"] == r"\[x\](javascript:alert(1))"
