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


def outputs(folder: Path, name: str | None = None) -> dict[str, str]:
    """md5 of every output of dvc.yaml, or of one stage, as DVC's lock file has it."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    chosen = stages.values() if name is None else [stages[name]]
    return {out["path"]: out["md5"] for stage in chosen for out in stage.get("outs", [])}


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
    names = stage_names(disturbed)
    for name, before in zip(names, [None, *names], strict=False):
        run = start(REPRO, disturbed, clean_environment)  # it also finishes the stage before, which was killed
        stage = run.until(lambda run=run, name=name: run.stage(name), within_s=3600)
        if before:
            compare(before, calm, disturbed, tell)
        enough = SHARE * took[name]
        run.until(lambda stage=stage, enough=enough: processor_seconds(stage) >= enough, within_s=3600)
        os.killpg(run.process.pid, signal.SIGKILL)  # dvc and the stage, at once
        run.wait()
    run = start(REPRO, disturbed, clean_environment)
    assert run.wait(3600) == 0, run.text
    compare(names[-1], calm, disturbed, tell)
    assert set(outputs(calm)) == set(outputs(disturbed))


def compare(name: str, calm: Path, disturbed: Path, tell) -> None:
    """The stage's outputs after the kill have the bytes of the undisturbed run, or there is a known reason."""
    expected, found = outputs(calm, name), outputs(disturbed, name)
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
