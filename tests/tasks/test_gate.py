"""The stage `gate` as a shell sees it: the report first, then the verdict as exit status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCORES = {"f1": 0.94, "per_type": {"PER": {"f1": 0.9}}, "words_without_prediction": 0}


def run_gate(folder, **thresholds):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["gate"].update(thresholds)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "reports").mkdir(exist_ok=True)
    metrics = {"mode": "seqeval default (conlleval)", "validation": SCORES, "test": SCORES}
    (folder / "reports/metrics.json").write_text(json.dumps(metrics))
    (folder / "reports/training.json").write_text(json.dumps({"mlflow_run_id": None}))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tasks.gate"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_model_over_the_thresholds_passes(tmp_path):
    done = run_gate(tmp_path, min_f1=0.93)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "reports/gate.json").read_text())["passed"]


def test_a_failed_gate_writes_its_report_and_ends_with_status_4_and_one_sentence(tmp_path):
    done = run_gate(tmp_path, min_f1=0.95, min_f1_per_type={"PER": 0.92})
    assert done.returncode == 4
    assert done.stderr.strip() == (
        "gate: the gate failed, so nothing is registered: validation F1 0.9400 is under 0.95; "
        "validation F1 of PER 0.9000 is under 0.92."
    )
    assert not json.loads((tmp_path / "reports/gate.json").read_text())["passed"]
    assert "min_f1" in done.stdout and "FAILED" in done.stdout


@pytest.mark.parametrize("wrong", [{"min_f2": 0.9}, {"min_f1": 93}, {"min_f1": "0.93"}])
def test_a_wrong_threshold_is_one_sentence_with_the_key(tmp_path, wrong):
    done = run_gate(tmp_path, **wrong)
    assert done.returncode == 1
    assert "params.yaml" in done.stderr and f"gate.{next(iter(wrong))}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
