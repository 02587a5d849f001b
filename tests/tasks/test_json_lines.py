"""Every line of a stage is one JSON object, whatever it prints."""

import io
import json
import os
import subprocess
import sys

import pytest

from ner.errors import ParamsError
from tasks.json_lines import JsonStream, wants_json

STAGE = """
import sys
from ner.errors import NerError
from tasks.cli import run_stage

def main():
    print("epoch 1"); print("\\r 10%", end="\\r"); print("100%\\n\\nwarning: the disk is nearly full", end="")
    raise NerError("no such file: make it.")

run_stage("train", main)
"""


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def run(**more):
    seen = {k: v for k, v in os.environ.items() if k != "NER_FLOW_RUN_ID"} | more
    return subprocess.run([sys.executable, "-c", STAGE], env=seen, capture_output=True, text=True)


def test_what_a_stage_prints_and_how_it_ends_are_json_lines_with_its_name():
    done = run(NER_LOG_FORMAT="json")
    said = lines_of(done.stdout)
    assert [line["message"] for line in said] == ["epoch 1", "100%", "warning: the disk is nearly full"]
    assert [line["level"] for line in said] == ["INFO", "INFO", "WARNING"]
    (end,) = lines_of(done.stderr)
    assert (end["message"], end["level"], end["stage"]) == ("train: no such file: make it.", "ERROR", "train")
    assert done.returncode == 1


def test_a_stage_of_a_flow_and_one_that_nobody_asked_for_json_prints_as_ever():
    assert run(NER_LOG_FORMAT="json", NER_FLOW_RUN_ID="f-1").stdout == run().stdout
    assert run(NER_LOG_FORMAT="yaml").stderr.startswith("train: NER_LOG_FORMAT is 'yaml', need json or text.")
    with pytest.raises(ParamsError):
        wants_json({"NER_LOG_FORMAT": "yaml"})


def test_hostile_text_stays_in_its_line():
    out = io.StringIO()
    stream = JsonStream(out, None, {"stage": "ingest", "flow_run_id": None})
    stream.write('{"level": "FATAL"}\x1b[31m\u2028 "\\\nsecond')
    stream.close()
    first, second = (json.loads(line) for line in out.getvalue().split("\n")[:-1])
    assert first["message"] == '{"level": "FATAL"}\x1b[31m\u2028 "\\' and first["level"] == "INFO"
    assert second["message"] == "second" and "flow_run_id" not in second
