"""The log of a flow as JSON lines with the ids of its run."""

import json
import logging
import subprocess
import sys

import pytest
import yaml

from flows import json_log
from flows.json_log import CONFIG, Ids, JsonPrinter, environment


def record(message, **extra):
    return logging.makeLogRecord({"msg": message, **extra})


def test_a_line_that_names_the_mlflow_run_gives_its_id_to_those_that_follow():
    ids, lines = Ids(), [record("epoch 1", flow_run_id="f"), record(f"MLflow run {'a' * 32}", flow_run_id="f")]
    lines += [record("epoch 2", flow_run_id="f"), record("of nobody's run")]
    assert all(map(ids.filter, lines))
    assert [getattr(line, "mlflow_run_id", None) for line in lines] == [None, "a" * 32, "a" * 32, None]


def test_the_lines_of_processes_get_their_name_and_those_that_are_text_are_wrapped():
    named = json.loads(JsonPrinter.line('{"message": "x", "flow_run_id": "f"}', "worker"))
    assert named == {"message": "x", "flow_run_id": "f", "process": "worker"}
    for line in ("INFO: Started", "3", "[1]"):
        assert json.loads(JsonPrinter.line(line, "mlflow"))["message"] == line


def test_our_logging_file_has_every_logger_of_prefects_own():
    import prefect.logging.configuration as prefect

    theirs, ours = (yaml.safe_load(path.read_text()) for path in (prefect.DEFAULT_LOGGING_SETTINGS_PATH, CONFIG))
    assert set(ours["loggers"]) == set(theirs["loggers"])
    assert environment({"NER_LOG_FORMAT": "json"}) == {"PREFECT_LOGGING_SETTINGS_PATH": str(CONFIG)}
    assert environment({}) == {} and CONFIG.exists() and json_log.ids.known == {}


@pytest.mark.operations
def test_a_run_of_the_flow_logs_nothing_but_json_with_stage_and_run(toy, outside):
    seen = {**outside, "NER_LOG_FORMAT": "json"}
    done = subprocess.run([sys.executable, "-m", "flows.train"], cwd=toy, env=seen, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    of_stage = [line for line in lines if line.get("stage") == "train"]
    assert any("learning rate" in line["message"] for line in of_stage)
    assert len({line["flow_run_id"] for line in lines if "flow_run_id" in line}) == 1
    assert all({"time", "level", "message"} <= set(line) for line in lines)
