"""The table in docs/faults.md is that of the committed report."""

import importlib.util
import json
from pathlib import Path

HERE = Path(__file__).resolve().parent


def load():
    spec = importlib.util.spec_from_file_location("faults_table", HERE / "table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_what_the_report_says():
    made = load()
    text = made.PAGE.read_text(encoding="utf-8")
    assert made.page(text, json.loads(made.REPORT.read_text(encoding="utf-8"))) == text


def test_a_new_measurement_takes_the_place_of_the_old_one():
    made = load()
    old = [{"fault": "a", "made": "1"}, {"fault": "b", "made": "1"}]
    assert made.merged(['{"fault": "b", "made": "2"}'], old) == [old[0], {"fault": "b", "made": "2"}]
