"""kill -9 in every stage of dvc.yaml, and of the whole flow: the same command then ends with the same bytes."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.operations
thorough = pytest.mark.skipif("NER_FAULTS" not in os.environ, reason="takes minutes: make faults")

REPRO = [sys.executable, "-m", "dvc", "repro"]
SHARE = 0.6  # of the processor time that a stage took undisturbed, after which it is killed
OWN_TIME = "it holds times and the ids of its MLflow run"
WHY_OTHER = {
    "reports/training.json": OWN_TIME,
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


def outputs(folder: Path) -> dict[str, str]:
    """md5 of every output of dvc.yaml, as DVC's lock file has it."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for stage in stages.values() for out in stage.get("outs", [])}


def stage_names(folder: Path) -> list[str]:
    from flows.graph import read_graph

    return [stage.name for stage in read_graph(folder)]


@thorough
@pytest.mark.slow
def test_each_stage_killed_once_and_the_same_command_ends_with_the_same_bytes(
    small_pristine, small_done, tmp_path, clean_environment, start, tell, processor_seconds
):
    calm, took = small_done
    disturbed = shutil.copytree(small_pristine, tmp_path / "disturbed", symlinks=True)
    for name in stage_names(disturbed):
        run = start(REPRO, disturbed, clean_environment)
        stage = run.until(lambda run=run, name=name: run.stage(name), within_s=1200)
        enough = SHARE * took[name]
        run.until(lambda stage=stage, enough=enough: processor_seconds(stage) >= enough, within_s=1200)
        os.killpg(run.process.pid, signal.SIGKILL)  # dvc and the stage, at once
        run.wait()
    run = start(REPRO, disturbed, clean_environment)
    assert run.wait(3600) == 0, run.text
    expected, found = outputs(calm), outputs(disturbed)
    other = {path for path in expected if expected[path] != found.get(path)}
    assert other <= set(WHY_OTHER), other
    stages = yaml.safe_load((disturbed / "dvc.yaml").read_text())["stages"]
    for name in stage_names(disturbed):
        paths = [next(iter(out)) if isinstance(out, dict) else out for out in stages[name]["outs"]]
        why = "; ".join(f"{path}: other bytes, {WHY_OTHER[path]}" for path in paths if path in other)
        tell(
            fault=f"kill -9 during stage `{name}`",
            made=f"dvc and the stage killed at {SHARE:.0%} of the stage's processor time",
            saw="the shell's `Killed`; the same command goes on",
            first_message_s=0.0,
            outcome="same bytes" + (f" but for {why}" if why else ""),
        )
