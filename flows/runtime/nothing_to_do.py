"""A run with nothing to do is told at once, without Prefect: DVC finds no stage changed, the registry has the version.

record = nothing_to_do(Path.cwd())      # every stage cached, or None: then the flow has to run
"""

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values

from flows.runtime.dvc_graph import has_changed, read_graph
from flows.runtime.prefect_api import answers
from flows.runtime.run_record import Record
from flows.runtime.run_stage import CACHED, REGISTER, Outcome, has_failed, stage_environment
from flows.servers.mlflow_rest import running
from ner.common.lock import lock_checkout
from ner.common.place import require_place
from ner.errors import BusyError

API = "PREFECT_API_URL"


def nothing_to_do(root: Path) -> Record | None:
    """Return a record in which every stage is cached; None where the flow has to run. Raises NerError."""
    api = named_server(root)
    if api and answers(api):
        return None
    require_place(root)
    try:
        with lock_checkout(root, "run", "ner train"), registry_check(root) as check:
            stages = read_graph(root)
            if has_changed(root) or has_failed(root) or (check and check.wait()):
                return None
    except BusyError:
        return None  # the flow waits for its turn, or says who is at work
    cached = {stage.name: f"{stage.name}: cached, nothing that it depends on has changed." for stage in stages}
    record = Record(flow_run_id="", folder=root, started=time.time(), stages=stages)
    record.outcomes = {name: Outcome(CACHED, sentence) for name, sentence in cached.items()}
    return None if record.refused() else record


def named_server(root: Path) -> str | None:
    """Return the Prefect server of the environment, of `make up` or of prefect.toml, without importing Prefect."""
    settings = root / "prefect.toml"
    own = tomllib.loads(settings.read_text(encoding="utf-8")) if settings.exists() else {}
    names = (os.environ.get(API), dotenv_values(root / ".env").get(API), running(root).get(API))
    return next(filter(None, names), own.get("api", {}).get("url"))


@contextmanager
def registry_check(root: Path) -> Iterator[subprocess.Popen[bytes] | None]:
    """Let the registry be asked for the version of this checkout meanwhile: status 0 where it has it."""
    if not (root / "tasks" / f"{REGISTER}.py").exists():
        yield None
        return
    command, quiet = [sys.executable, "-m", f"tasks.{REGISTER}", "--check"], subprocess.DEVNULL
    check = subprocess.Popen(command, cwd=root, env=stage_environment("", None), stdout=quiet, stderr=quiet)
    try:
        yield check
    finally:
        check.kill()
        check.wait()
