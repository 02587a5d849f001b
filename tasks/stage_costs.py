"""What a process takes, and each stage in a copy of the working tree: wall time, processor time, peak memory, imports.

run([sys.executable, "-m", "tasks.gate"], Path(), environment())    # Ran(status=0, seconds=3.1, cpu_seconds=…, …)
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ner.errors import NerError

COPIED = ("data", "models", "reports")  # beside what git knows; no stage reads other outputs
PLACE = Path(".ner/bench")  # on the same disk as the tree
HEAVY = ("torch", "transformers", "datasets", "great_expectations", "mlflow", "sklearn", "pandas")
SAID = "heavy imports:"
SAY = f"print({SAID!r}, *[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
IMPORT = f"import sys, tasks.{{}}; {SAY}"
STAGE = f"import atexit, runpy, sys; atexit.register(lambda: {SAY}); "
STAGE += "runpy.run_module('tasks.{}', run_name='__main__', alter_sys=True)"
# A process is charged with the memory of the one that starts it, so a small one does.
STARTER = """
import json, os, sys, time
begin = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
seconds = time.perf_counter() - begin
open(sys.argv[1], "w").write(json.dumps([status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""
OUTER = ("DVC_", "MLFLOW_", "NER_", "RANK", "WORLD_SIZE")  # variables of a run that this one is part of
MB = {"darwin": 1 << 20}.get(sys.platform, 1 << 10)  # ru_maxrss is in bytes there, in kB elsewhere


class Ran(NamedTuple):
    """A process that has ended. Memory is that of the largest of it and its children that it has waited for."""

    status: int
    seconds: float
    cpu_seconds: float
    peak_memory_mb: int
    lines: list[str]  # what it said, on stdout and stderr


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ran:
    """Run a command to its end, in `folder`. Its standard streams are a file's; none is read."""
    with tempfile.TemporaryDirectory() as name:
        told, said = Path(name, "told"), Path(name, "said")
        with said.open("wb") as output:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", STARTER, str(told), *command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )
        lines = [line for line in said.read_text("utf-8", "replace").splitlines() if line.strip()]
        status, seconds, cpu, peak = json.loads(told.read_text())
    return Ran(os.waitstatus_to_exitcode(status), seconds, cpu, round(peak / MB), lines)


def environment(**changes: str) -> dict[str, str]:
    """This process's environment without what an outer run has set, with `changes`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OUTER)} | changes


def import_cost(root: Path, stage: str, rounds: int) -> dict[str, Any]:
    """Seconds until the stage's module is imported (median, Python's own start included), and what heavy it brings.

    Raises NerError where it cannot be imported.
    """
    ran = [run([sys.executable, "-c", IMPORT.format(stage)], root, environment()) for _ in range(rounds)]
    if ran[-1].status:
        raise NerError(f"tasks.{stage} cannot be imported in {root}: {ran[-1].lines[-1]}.")
    return {"seconds": statistics.median(one.seconds for one in ran), "heavy": heavy(ran[-1].lines)}


def stage_cost(root: Path, stage: str) -> dict[str, Any]:
    """One stage run by itself in `root`, a copy: time, memory, what heavy it has imported by its end.

    One that fails, for want of a network for example, has `failed`, its last words.
    """
    ran = run([sys.executable, "-c", STAGE.format(stage)], root, environment(NER_HOME=str(root)))
    cost = {
        "seconds": round(ran.seconds, 2),
        "cpu_seconds": round(ran.cpu_seconds, 2),
        "peak_memory_mb": ran.peak_memory_mb,
        "heavy": heavy(ran.lines),
    }
    words = [line for line in ran.lines if not line.startswith(SAID)]
    return {**cost, "failed": (words or ["nothing said"])[-1]} if ran.status else cost


def heavy(lines: Sequence[str]) -> list[str]:
    """The heavy libraries that a process names at its end."""
    return next((line.removeprefix(SAID).split() for line in reversed(lines) if line.startswith(SAID)), [])


@contextmanager
def copy_of(root: Path) -> Iterator[Path]:
    """A copy of the working tree with data, models and reports, in which stages may write; removed at the end."""
    place = root / PLACE
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stages-", dir=place) as name:
        folder = Path(name).resolve()
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(listing, cwd=root, capture_output=True)
        if listed.returncode:
            raise NerError(f"{root} is no git checkout: clone the repository, and run this there.")
        for path in (Path(part) for part in os.fsdecode(listed.stdout).split("\0") if part):
            if (root / path).is_file():
                (folder / path.parent).mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / path, folder / path)
        for part in COPIED:
            if (root / part).is_dir():
                shutil.copytree(root / part, folder / part, dirs_exist_ok=True)
        yield folder
