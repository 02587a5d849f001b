"""The stage `gate` as a shell sees it: a verdict is a result, whichever it is; `ner verdict` ends with it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCORES = {
    "f1": 0.94,
    "interval": {"f1": [0.93, 0.95]},
    "per_type": {"PER": {"f1": 0.9, "support": 7}},
    "words_without_prediction": 0,
    "shared_sentences": 0.0,
}


def run_gate(folder, *command, uri="", **thresholds):
    params = yaml.safe_load((ROOT / "tests/data/params.yaml").read_text())
    params["gate"].update(thresholds)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "reports").mkdir(exist_ok=True)
    metrics = {
        "mode": "seqeval default (conlleval)",
        "fingerprint": "ab" * 32,
        "bootstrap": {"resamples": 100, "confidence": 0.95, "seed": 1},
        "validation": SCORES,
        "test": SCORES,
    }
    (folder / "reports/metrics.json").write_text(json.dumps(metrics))
    (folder / "reports/training.json").write_text(json.dumps({"mlflow_run_id": None}))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": uri, "NER_HOME": str(folder)}
    command = [sys.executable, "-m", *(command or ["tasks.gate"])]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_model_over_the_thresholds_passes_and_asking_for_a_champion_makes_no_store(tmp_path):
    done = run_gate(tmp_path, min_f1=0.93)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "reports/gate.json").read_text())
    assert report["passed"]
    (champion,) = [rule for rule in report["rules"] if rule["rule"] == "no_worse_than_champion"]
    assert "no version of 'ner' has the alias 'champion'" in champion["reason"]
    assert not list(tmp_path.rglob("*.db"))


def test_a_failed_gate_ends_well_with_its_report_and_one_sentence(tmp_path):
    done = run_gate(tmp_path, min_f1=0.95, min_f1_per_type={"PER": 0.92})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == (
        "gate: the gate failed, so nothing is registered: "
        "validation F1 0.9400, 95 % interval 0.9300 to 0.9500: the point estimate is under 0.95; "
        "validation F1 of PER 0.9000 (7 gold entities) is under 0.92."
    )
    assert not json.loads((tmp_path / "reports/gate.json").read_text())["passed"]
    assert "min_f1" in done.stdout and "FAILED" in done.stdout


def test_a_registry_that_is_down_is_no_verdict_but_one_sentence_with_its_address(tmp_path):
    done = run_gate(tmp_path, uri="http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("gate: MLflow at http://127.0.0.1:9 cannot be reached")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "reports/gate.json").exists()  # DVC would keep it, and the next run would not ask again


def test_verdict_shows_every_reason_in_100_columns_and_judges_and_writes_nothing(tmp_path):
    run_gate(tmp_path, min_f1=0.95)
    report = tmp_path / "reports/gate.json"
    before = report.read_bytes(), report.stat().st_mtime_ns
    done = run_gate(tmp_path, "ner", "verdict", min_f1=0.5)
    assert (done.returncode, done.stderr) == (4, "")
    assert done.stdout.startswith("Gate failed, 1 of 6 rules, on validation, seqeval default (conlleval)\n")
    assert max(map(len, done.stdout.splitlines())) <= 100
    words = " ".join(done.stdout.split())
    assert all(rule["reason"] in words for rule in json.loads(before[0])["rules"])
    assert (report.read_bytes(), report.stat().st_mtime_ns) == before
    report.write_text(before[0].decode().replace('"passed": false', '"passed": true'))
    assert run_gate(tmp_path, "ner", "verdict").returncode == 0
    formats = {"onnx": {"gate": {**json.loads(before[0])}}}
    (tmp_path / "reports/export.json").write_text(json.dumps({"formats": formats}))
    done = run_gate(tmp_path, "ner", "verdict")
    assert done.returncode == 4 and "\nGate of onnx failed, 1 of 6 rules" in done.stdout


def test_a_verdict_that_is_not_there_is_one_sentence(tmp_path):
    done = run_gate(tmp_path, "ner", "verdict")
    assert done.returncode == 1 and done.stderr.startswith("verdict: reports/gate.json is missing: run `dvc repro`")


@pytest.mark.parametrize("wrong", [{"min_f2": 0.9}, {"min_f1": 93}, {"min_f1": "0.93"}, {"min_f1_on": "mean"}])
def test_a_wrong_threshold_is_one_sentence_with_the_key(tmp_path, wrong):
    done = run_gate(tmp_path, **wrong)
    assert done.returncode == 1
    assert "params.yaml" in done.stderr and f"gate.{next(iter(wrong))}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_stage_loads_no_network():
    code = "import sys, tasks.gate; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
