"""What a process takes: wall time, processor time and peak memory.

run([sys.executable, "-m", "tasks.gate"], Path(), environment())    # Ran(status=0, seconds=3.1, cpu_seconds=…, …)
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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
    lines: list[str]  # of stdout and stderr


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Ran:
    """Run a command to its end, in `folder`. Its standard streams are a file's; none is read."""
    with tempfile.TemporaryDirectory() as name:
        costs_path, output_path = Path(name, "costs"), Path(name, "output")
        with output_path.open("wb") as output:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", STARTER, str(costs_path), *command],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=True,
            )
        lines = [line for line in output_path.read_text("utf-8", "replace").splitlines() if line.strip()]
        status, seconds, cpu, peak = json.loads(costs_path.read_text())
    return Ran(os.waitstatus_to_exitcode(status), seconds, cpu, round(peak / MB), lines)


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without what an outer run has set, with `changes`."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OUTER)} | changes
