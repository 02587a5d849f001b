"""What the machine offers, told in a sentence that says what to do."""

import pytest

from ner.admin import health
from ner.admin.health import OK, PROBLEM

LOCK = """
stages:
  train:
    outs: [{path: models/ner, size: %d, nfiles: 3}, {path: reports/training.json, size: 100}]
  package:
    outs: [{path: models/release, size: 500}]
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "dvc.lock").write_text(LOCK % 1000)
    return tmp_path


def test_other_packages_are_a_problem_with_the_command_that_mends_them(root):
    (root / "requirements.lock").write_text("# comment\npytest==0.0.1\nno-such-package==1.0\n")
    found = health.check_packages(root)
    assert found.verdict == PROBLEM and "for pytest 0.0.1" not in found.sentence
    assert "no-such-package missing for 1.0" in found.sentence and "make env" in found.sentence


def test_packages_of_another_system_and_cuda_libraries_beside_a_cpu_build_are_not_missed(root, monkeypatch):
    of_windows, hashed = "pywin32==312 ; sys_platform == 'win32' \\\n", "    --hash=sha256:00\n"
    (root / "requirements.lock").write_text(f"{of_windows}{hashed}nvidia-no-such==1.0 \\\n{hashed}")
    monkeypatch.setattr(health, "torch_build", lambda: "cpu")
    assert health.check_packages(root).verdict == OK
    with (root / "requirements.lock").open("a") as lock:
        lock.write(f"nvidia-ml-py==0.0.1 \\\n{hashed}")  # plain Python, in every environment
    assert "nvidia-ml-py" in health.check_packages(root).sentence
    monkeypatch.setattr(health, "torch_build", lambda: "")
    assert "nvidia-no-such missing for 1.0" in health.check_packages(root).sentence


def test_the_disk_is_held_against_what_dvc_lock_says_a_run_writes(root):
    found = health.check_disk(root)
    assert found.verdict == OK and "writes up to 0.0 GB" in found.sentence
    (root / "dvc.lock").write_text(LOCK % 10**15)
    found = health.check_disk(root)
    assert found.verdict == PROBLEM and "make clean" in found.sentence


@pytest.mark.skipif(bool(health.nvidia_gpus()), reason="this machine has a GPU")
def test_a_gpu_that_is_asked_for_and_not_there():
    assert health.check_gpu("auto", "cpu").verdict == OK
    assert health.check_gpu("cuda", "cpu").verdict == PROBLEM
