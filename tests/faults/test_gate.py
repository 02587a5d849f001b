"""A gate that fails, in the whole pipeline as DVC runs it: an experiment like any other, but nothing is registered."""

import json
import shutil
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.operations, pytest.mark.slow]
DVC = [sys.executable, "-m", "dvc"]


def test_an_experiment_that_fails_the_gate_is_recorded_and_registers_nothing(small_done, tmp_path, clean_environment):
    folder = shutil.copytree(small_done[0], tmp_path / "checkout", symlinks=True)
    environment = clean_environment | {"NER_HOME": str(folder)}

    def run(*command: str) -> subprocess.CompletedProcess:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    def registration() -> dict:
        return json.loads((folder / "reports" / "registration.json").read_text())

    before = registration()
    run("git", "add", "-A")
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "done")
    done = run(*DVC, "exp", "run", "-n", "strict", "-S", "gate.min_f1=0.999")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gate: the gate failed, so nothing is registered: validation F1" in done.stdout
    (strict,) = (line for line in run(*DVC, "exp", "show", "--csv").stdout.splitlines() if line.startswith("strict,"))
    assert "0.999" in strict.split(",")
    assert "the gate failed" in registration()["reason"]
    assert "**Failed**, judged on validation" in (folder / "models" / "release" / "README.md").read_text()
    assert run(sys.executable, "-m", "tasks.register", "--check").returncode == 0
    assert run(sys.executable, "-m", "ner", "verdict").returncode == 4
    assert run(*DVC, "exp", "run", "-n", "lenient", "-S", "gate.min_f1=0.0").returncode == 0
    assert registration() == before
