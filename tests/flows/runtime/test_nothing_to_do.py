"""A run with nothing to do says so without Prefect; whatever else there is to do or to tell goes to the flow."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.runtime import train_command as module
from flows.runtime.train_command import named_server, nothing_to_do

COMMAND = """
import sys
from ner.__main__ import app
try:
    app(["train"], prog_name="ner")
finally:
    print("prefect imported:", "prefect" in sys.modules)
"""


@pytest.fixture
def done(toy, outside, monkeypatch) -> Path:
    """The toy pipeline with every stage done."""
    for name in ("PREFECT_API_URL", "NER_HOME"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=toy, env=outside, check=True)
    return toy


def test_every_stage_is_told_as_cached_without_prefect(done, outside):
    ran = subprocess.run([sys.executable, "-c", COMMAND], cwd=done, env=outside, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    stages = ("ingest", "base", "train", "evaluate", "gate", "register")
    assert f"Stages      {', '.join(f'{name} cached' for name in stages)}" in ran.stdout
    assert "All is up to date (6 stages): ner version 3 is registered, validation F1 0.9400." in ran.stdout
    assert ran.stdout.endswith("prefect imported: False\n")


def test_where_something_has_changed_or_is_lost_the_flow_has_to_run(done, set_params):
    assert nothing_to_do(done) is not None
    (done / "tasks").mkdir()
    for status in (0, 5, 1):
        (done / "tasks" / "register.py").write_text(f"raise SystemExit({status})\n")
        assert (nothing_to_do(done) is None) == (status != 0)
    (done / "tasks" / "register.py").unlink()
    (done / "model.txt").unlink()
    assert nothing_to_do(done) is None
    set_params(train={"epochs": 7})
    assert nothing_to_do(done) is None


def test_after_a_failed_gate_the_flow_judges_again(done, set_params, outside):
    set_params(gate={"min_f1": 0.97})
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q"], cwd=done, env=outside, check=True)
    assert nothing_to_do(done) is None


def test_a_server_that_answers_hears_of_the_run(done, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert nothing_to_do(done) is not None
    monkeypatch.setattr(module, "answers", lambda api: True)
    assert nothing_to_do(done) is None


def test_the_server_is_that_of_the_environment_else_of_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert named_server(tmp_path) is None
    (tmp_path / "prefect.toml").write_text('[api]\nurl = "http://toml/api"\n')
    assert named_server(tmp_path) == "http://toml/api"
    (tmp_path / ".env").write_text("PREFECT_API_URL=http://dotenv/api\n")
    assert named_server(tmp_path) == "http://dotenv/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://environment/api")
    assert named_server(tmp_path) == "http://environment/api"
