"""kill -9 in every stage of dvc.yaml: the same command then ends with the same bytes."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.operations
thorough = pytest.mark.skipif("NER_FAULTS" not in os.environ, reason="takes minutes: make faults")

STAGES = list(yaml.safe_load((Path(__file__).resolve().parents[2] / "dvc.yaml").read_text())["stages"])
SHARE = 0.6  # of the processor time that a stage took undisturbed, after which it is killed


@thorough
@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_is_killed_ends_by_the_same_command_with_the_same_bytes(
    name, small_done, tmp_path, clean_environment, start, processor_seconds
):
    calm, took = small_done
    folder = shutil.copytree(calm, tmp_path / "disturbed", symlinks=True)
    shutil.rmtree(folder / ".dvc" / "cache" / "runs")  # or DVC would take the result from there
    if name.startswith("register"):
        shutil.rmtree(folder / "mlflow" / "data")  # or the version is there already, and the stage ends too soon
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", name]
    run = start(command, folder, clean_environment)
    stage = run.until(lambda: run.stage(name), every_s=0.02)  # the shortest take half a second
    run.until(lambda: processor_seconds(stage) >= SHARE * took[name], every_s=0.02)
    os.killpg(run.process.pid, signal.SIGKILL)  # dvc and the stage, at once
    run.wait()
    again = start(command, folder, clean_environment)
    assert again.wait() == 0, again.text
    assert outputs(folder, name) == outputs(calm, name)


def outputs(folder: Path, name: str) -> dict[str, str]:
    """md5 of every output of a stage, as DVC's lock file has it."""
    stage = yaml.safe_load((folder / "dvc.lock").read_text())["stages"][name]
    return {out["path"]: out["md5"] for out in stage.get("outs", [])}
