"""The log of a flow as JSON lines with the ids of its run."""

import json
import subprocess
import sys
from pathlib import Path

import prefect.logging.configuration as prefect
import pytest
import yaml

CONFIG = Path(__file__).resolve().parents[3] / "flows" / "runtime" / "json_log.yml"


def test_our_logging_file_has_every_logger_of_prefects_own():
    theirs, ours = (yaml.safe_load(path.read_text()) for path in (prefect.DEFAULT_LOGGING_SETTINGS_PATH, CONFIG))
    assert set(ours["loggers"]) == set(theirs["loggers"])


@pytest.mark.operations
def test_a_run_of_the_flow_logs_json_with_stage_and_run(toy, outside):
    seen = {**outside, "PREFECT_LOGGING_SETTINGS_PATH": str(CONFIG)}
    done = subprocess.run([sys.executable, "-m", "ner", "train"], cwd=toy, env=seen, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    of_stage = [line for line in lines if line.get("stage") == "train"]
    assert any("learning rate" in line["message"] for line in of_stage)
    assert len({line["flow_run_id"] for line in lines if "flow_run_id" in line}) == 1
    assert all({"time", "level", "message"} <= set(line) for line in lines)
