"""The workspaces of runs that were killed go; those that a process works in stay, on systems without /proc too."""

import json
import os

from flows.runtime.workspace import WORKSPACES, remove_stale

GONE = 999_999_999  # no process has such a number


def test_a_workspace_that_a_process_works_in_is_no_leftover(tmp_path):
    for name, pid in (("working", os.getpid()), ("killed", GONE)):
        folder = tmp_path / WORKSPACES / name / ".dvc" / "tmp"
        folder.mkdir(parents=True)
        (folder / "rwlock").write_text(json.dumps({"write": {}, "read": {"corpus.txt": [{"pid": pid, "cmd": "x"}]}}))
    (tmp_path / WORKSPACES / "never locked").mkdir()
    remove_stale(tmp_path)
    assert [path.name for path in (tmp_path / WORKSPACES).iterdir()] == ["working"]
