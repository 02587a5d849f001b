"""This checkout's runs, versions, artifacts and flow history into the team's stores; its DVC cache to the remote.

Run     python -m flows.move           (make move-to-team, while neither `make up` nor a run is at work here)
Reads   team.env, the embedded stores
Writes  what tasks/move.py says; DVC's default remote, where there is one
"""

import os
import subprocess
import sys
from pathlib import Path

from flows.lock import hold
from flows.sharing import remote_of
from ner.errors import NerError
from tasks.cli import run_stage
from tasks.move import move
from tasks.team import ENV_FILE, is_team, read_stores


def main() -> None:
    """Raises NerError: for settings, a checkout at work, a target that is not empty, or a difference after the copy."""
    root = Path.cwd()
    if not is_team(os.environ):
        raise NerError(f"there is no team profile to move to: write {ENV_FILE} first, as team.env.example shows.")
    stores = read_stores(os.environ, root)
    with hold(root, "up", "moving to the team's stores"), hold(root, "run", "moving to the team's stores"):
        found = move(root, stores, print)
        push(root)
    print(
        "moved: "
        + ", ".join(f"{found['mlflow'][t]} {t}" for t in ("runs", "model_versions", "registered_model_aliases"))
        + ", "
        + ", ".join(f"{found['prefect'][t]} {t}" for t in ("flow_run", "task_run"))
    )
    print("The checkout's own stores are as they were; with team.env in place nothing uses them.")


def push(root: Path) -> None:
    """DVC's cache and run cache to the default remote. Raises NerError."""
    if remote_of(root) is None:
        print("dvc: no default remote, so nothing was pushed; docs/team.md says how to name one")
        return
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "push", "--run-cache"], cwd=root, capture_output=True, text=True
    )
    last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-1:]
    if done.returncode:
        raise NerError(f"`dvc push --run-cache` failed, all else is moved: {' '.join(last)[:300]}")
    print(f"dvc: {' '.join(last)}")


if __name__ == "__main__":
    run_stage("move", main)
