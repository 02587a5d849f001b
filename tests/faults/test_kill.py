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
OWN_TIME = "it holds times and the ids of its MLflow run"
WHY_OTHER = {
    "reports/training.json": OWN_TIME,
    "reports/seeds.json": OWN_TIME,
    "reports/registration.json": OWN_TIME,
    "reports/export_registration.json": OWN_TIME,
    "reports/card.md": OWN_TIME,
    "reports/report.html": OWN_TIME,
    "models/release": "its card holds times and the ids of its MLflow run",
    "models/export": "its card holds times and the ids of its MLflow run",
    "mlflow/data/registered.json": OWN_TIME,
    "mlflow/data/registered_export.json": OWN_TIME,
    "reports/data_docs": "Great Expectations writes the time of its run into its pages",
}


@thorough
@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_is_killed_ends_by_the_same_command_with_the_same_bytes(
    name, small_done, tmp_path, clean_environment, start, tell, processor_seconds
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
    expected, found = outputs(calm, name), outputs(folder, name)
    other = {path for path in expected if expected[path] != found[path]}
    assert other <= set(WHY_OTHER), other
    why = "; ".join(f"{path}: {WHY_OTHER[path]}" for path in sorted(other))
    tell(
        fault=f"kill -9 during stage `{name}`",
        made=f"dvc and the stage killed at {SHARE:.0%} of the stage's processor time",
        saw="the shell's `Killed`; the same command goes on",
        first_message_s=0.0,
        outcome="same bytes" + (f", but for {why}" if why else ""),
    )


def outputs(folder: Path, name: str) -> dict[str, str]:
    """md5 of every output of a stage, as DVC's lock file has it."""
    stage = yaml.safe_load((folder / "dvc.lock").read_text())["stages"][name]
    return {out["path"]: out["md5"] for out in stage.get("outs", [])}
