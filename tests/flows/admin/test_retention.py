"""What `ner collect` removes, and what it never does."""

import json
import os
import subprocess
import sys
import time

import pytest

from flows.admin.retention import DAY_S, is_old
from ner.admin.leftovers import Leftover
from ner.common.lock import lock_checkout


@pytest.mark.parametrize("days, goes", [(7, True), (8.5, False), (None, False)])
def test_only_what_is_old_enough_goes(days, goes):
    assert is_old(Leftover("a", "half written", 1, 8 * DAY_S), days) is goes


@pytest.mark.operations
def test_the_command_shows_first_removes_when_told_and_waits_for_nobody(toy, outside):
    old, young = toy / ".ner/workspaces/killed/params.yaml", toy / "checkpoints/0c3f/checkpoint-8/state"
    for path, days in ((old, 400), (young, 1)):
        path.parent.mkdir(parents=True)
        path.write_text("x")
        then = time.time() - days * DAY_S
        for one in (path, *list(path.parents)[:2]):
            os.utime(one, (then, then))

    def run(*arguments):
        command = [sys.executable, "-m", "ner", "collect", *arguments]
        return subprocess.run(command, cwd=toy, env=outside, capture_output=True, text=True)

    shown = run()
    assert shown.returncode == 0 and "1 would go" in shown.stdout and "1 that are younger" in shown.stdout
    verdicts = {row["path"]: row["goes"] for row in json.loads(run("--json").stdout)}
    assert verdicts == {".ner/workspaces/killed": True, "checkpoints/0c3f": False} and old.exists()
    with lock_checkout(toy, "run", "a test"):
        busy = run("--apply")
        assert busy.returncode == 1 and "a test" in busy.stderr and old.exists()
    done = run("--apply")
    assert done.returncode == 0 and "1 are gone" in done.stdout and not old.parent.exists() and young.exists()
