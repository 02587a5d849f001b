"""A clone in which a user has trained on own data, with other parameters: the tests pass there as before."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ner.common.yaml_edit import YamlFile

ROOT = Path(__file__).resolve().parents[1]
SMALL = {
    "model": {"base": "local/tiny"},
    "encoding": {"max_length": 48},
    "train": {"epochs": 2, "precision": "fp32", "device": "cpu", "dropped_layers": 0, "batch_size": 128},
    "evaluation": {"resamples": 100},
    "gate": {"min_f1": 0.0, "min_f1_each_type": 0.0},
    "registry": {"model": "mine"},
    "split": {"folds": 0},
}  # fmt: skip
TELLING = [  # before, these read what a run or an edit rewrites
    "tests/test_agreement.py", "tests/test_snippets.py", "tests/test_user_files.py", "tests/ner/test_params.py",
    "tests/ner/evaluation/test_gate.py", "tests/ner/data/sources/test_corpora.py", "tests/tasks/test_gate.py",
    "tests/ner/data/validation/test_profile.py",
    "tests/ner/monitoring/test_store.py", "tests/tasks/test_reference.py",
]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """run("-m", "dvc", "repro") in the clone, with nothing of this test run in sight; what it printed."""

    def ran(*command: str) -> str:
        ours = ("PYTEST_", "PYTHONPATH", "NER_", "MLFLOW_", "PREFECT_")
        seen = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        seen["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{seen['PATH']}"
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path / "clone", env=seen, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return ran


def write_annotations(path: Path) -> None:
    """Eighty texts in Prodigy's form, a person and a town in each."""
    path.parent.mkdir(parents=True)
    rows = []
    for number in range(80):
        name, town = f"Marta{number % 7} Okafor{number}", f"Town{number % 9}"
        text = f"{name} went to {town} on day {number}."
        spans = [{"start": 0, "end": len(name), "label": "Who"},
                 {"start": text.index(town), "end": text.index(town) + len(town), "label": "Where"}]  # fmt: skip
        rows.append(json.dumps({"text": text, "spans": spans, "answer": "accept"}))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.mark.operations
@pytest.mark.slow
def test_the_suite_passes_after_a_training_on_own_data_with_other_parameters(tiny_encoder, tmp_path, run):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    write_annotations(clone / "local" / "mine" / "export.jsonl")
    shutil.copytree(tiny_encoder, clone / "local" / "tiny")
    run("-m", "ner", "new-data", "local/mine/export.jsonl", "--name", "mine")
    file = YamlFile(clone / "params.yaml")
    for block, values in SMALL.items():
        file.tree[block] |= values
    file.write()
    run("-m", "dvc", "repro")
    for path in (clone / "reports").rglob("*.json"):  # of what else there is to run: bench, sweep, experiments, faults
        if path.name not in ("metrics.json", "gate.json", "registration.json"):
            path.write_text("{}")

    git = ["git", "diff", "--name-only"]
    changed = subprocess.run(git, cwd=clone, capture_output=True, text=True, check=True).stdout.split()
    assert {"params.yaml", "catalog.yaml", "dvc.lock", "reports/gate.json", "reports/card.md"} <= set(changed)
    said = run("-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *TELLING)
    assert " passed" in said and "failed" not in said
