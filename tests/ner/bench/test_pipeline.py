"""What the pipeline takes: no torch where none is needed; a tree that is not up to date is refused."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ner.bench import pipeline as bench_pipeline
from ner.bench.pipeline import check_unchanged, markdown, no_ops
from ner.bench.stage_costs import environment, run
from ner.errors import NerError

ROOT = Path(__file__).resolve().parents[3]
NEED_TORCH = {"train", "predict"}
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
NUMBER = {"median": 1.5, "low": 1.0, "high": 2.0}
NOTHING = {"seconds": 2.0, "cpu_seconds": 1.0, "peak_memory_mb": 99, "ratio": NUMBER}


@pytest.fixture
def toy(tmp_path):
    """A checkout in which DVC is a script that says what the test wants."""
    (tmp_path / "dvc.lock").write_text("")
    return tmp_path


def python(monkeypatch, code: str) -> None:
    monkeypatch.setattr(bench_pipeline, "NO_OPS", {name: ["-c", code] for name in bench_pipeline.NO_OPS})


def test_stages_that_need_no_torch_do_not_import_it():
    stages = [stage for stage in STAGES if stage not in NEED_TORCH]
    code = f"import importlib, sys\nfor name in {stages}:\n    importlib.import_module(f'tasks.{{name}}')\n"
    code += "    assert 'torch' not in sys.modules, f'tasks.{name} imports torch'"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def test_a_process_is_measured_and_its_memory_is_its_own(tmp_path):
    held = bytearray(300 << 20)  # what the process that measures has
    small = run([sys.executable, "-c", "print('one'); raise SystemExit(3)"], tmp_path, environment())
    large = run([sys.executable, "-c", "len(bytearray(200 << 20))"], tmp_path, environment())
    assert (small.status, small.lines) == (3, ["one"]) and small.seconds > 0
    assert small.peak_memory_mb < 100 < 200 <= large.peak_memory_mb < 300 <= len(held) >> 20


def test_variables_of_an_outer_run_do_not_reach_the_measured_one(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("DVC_ROOT", "/elsewhere")
    assert {"MLFLOW_TRACKING_URI", "DVC_ROOT"}.isdisjoint(environment()) and environment(NER_HOME="x")[
        "NER_HOME"
    ] == "x"


def test_commands_with_nothing_to_do_are_ratios_to_dvc_status(toy, monkeypatch):
    python(monkeypatch, "print('{}')")
    found = no_ops(toy, 2)
    assert list(found) == ["dvc status", "dvc repro", "flow"]
    assert found["dvc status"]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert all(entry["seconds"] > 0 and entry["peak_memory_mb"] > 0 for entry in found.values())


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("""print('{"train": [], "gate": []}')""", "train, gate changed.*run `make train`"),
        ("raise SystemExit('ERROR: no repository')", "dvc status fails.*no repository"),
        ("print('what')", "gives no JSON"),
    ],
)
def test_a_tree_in_which_a_run_would_work_is_refused(toy, monkeypatch, code, sentence):
    python(monkeypatch, code)
    with pytest.raises(NerError, match=sentence):
        check_unchanged(toy)


def test_a_stage_that_ran_meanwhile_is_noticed(toy, monkeypatch):
    python(monkeypatch, "open('dvc.lock', 'a').write('x'); print('{}')")
    with pytest.raises(NerError, match="a stage ran meanwhile"):
        no_ops(toy, 1)


def test_the_table_is_written():
    report = {
        "machine": {
            "cpu": "a",
            "cores": 2,
            "threads": 2,
            "cores_busy_before": 0.0,
            "python": "3",
            "packages": {"dvc": "3"},
        },
        "rounds": 2,
        "nothing_to_do": {"dvc status": NOTHING, "flow": NOTHING},
    }
    text = markdown(report)
    assert "| flow | 2.00 | 1.50 (1.00–2.00) | 99 |" in text
