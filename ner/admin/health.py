"""What this machine and this checkout offer, against what a run needs: each check a verdict and a sentence.

for finding in machine(Path.cwd(), params):
    print(finding)                      # Finding("disk", "warning", "3.1 GB are free, …")

Nothing here imports torch, asks a server, or takes over a second; flows/admin/doctor.py adds servers, DVC and registry.
"""

import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ner.common.place import git_refusal, loading_refusal
from ner.common.provenance import UNKNOWN, git_state
from ner.data.sources.pins import LOCK, is_of_cuda, locked
from ner.params import Params

OK, WARNING, PROBLEM = "ok", "warning", "problem"
COPIES = 2  # DVC keeps what a stage writes in its cache and in its place; only some file systems share the blocks
OF_A_CHECKPOINT = 3  # times the model: its weights, and two moments of the optimizer for each
CHECKPOINTS_AT_ONCE = 2  # the new one is whole before the old one goes
SMI_WITHIN_S = 5


@dataclass(frozen=True)
class Finding:
    """One line of `ner doctor`. verdict: ok, warning or problem; the sentence of the latter two says what to do."""

    name: str
    verdict: str
    sentence: str


def machine(root: Path, params: Params) -> Iterator[Finding]:
    """Yield every check of this module, one after another."""
    yield check_packages(root)
    yield check_disk(root)
    yield check_gpu(params.train.device, torch_build())
    yield check_place(root)
    yield check_git(root)


def check_packages(root: Path) -> Finding:
    """Compare installed versions with requirements.lock, without local suffixes such as +cpu."""
    if not (root / LOCK).exists():
        return Finding("packages", PROBLEM, f"{LOCK} is not here: run from the root of the repository.")
    pins = locked(root / LOCK, here=True)
    if torch_build() == "cpu":
        pins = {name: pin for name, pin in pins.items() if not is_of_cuda(name)}
    wrong = [f"{name} {have or 'missing'} for {pin}" for name, pin in pins.items() if (have := _installed(name)) != pin]
    if not wrong:
        return Finding("packages", OK, f"all {len(pins)} of {LOCK} are installed in their versions.")
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return Finding("packages", PROBLEM, f"not as in {LOCK}: {', '.join(wrong[:3])}{more}: make env.")


def check_disk(root: Path) -> Finding:
    """Compare free disk space, in the checkout and for temporary files, with what a whole run writes by dvc.lock."""
    sizes = output_sizes(root)
    model, release = sizes.get("models/ner", 0), sizes.get("models/release", 0)
    need = COPIES * sum(sizes.values()) + CHECKPOINTS_AT_ONCE * OF_A_CHECKPOINT * model + release
    free = shutil.disk_usage(root).free
    numbers = f"{_gb(free)} are free, a run that makes everything anew writes up to {_gb(need)}"
    if not sizes:
        return Finding("disk", OK, f"{_gb(free)} are free; what a run needs is unknown without a dvc.lock.")
    if free < need:
        return Finding("disk", PROBLEM, f"{numbers}: make room; `make clean` removes what killed runs left.")
    temporary = Path(tempfile.gettempdir())
    if (there := shutil.disk_usage(temporary).free) < COPIES * release:
        where = f"{temporary} has only {_gb(there)} for temporary files"
        return Finding("disk", PROBLEM, f"{where}, a version is {_gb(release)}: set TMPDIR to a larger disk.")
    if free < 2 * need:
        return Finding("disk", WARNING, f"{numbers}: room for one run; `make clean` removes what killed runs left.")
    return Finding("disk", OK, f"{numbers}.")


def check_gpu(device: str, build: str) -> Finding:
    """Check the GPU against train.device. build: the suffix of torch's version; only a GPU makes this import torch."""
    gpus = nvidia_gpus()
    if not gpus:
        if device == "cuda":
            wanted = "train.device is cuda and there is none: set auto or cpu, or see that `nvidia-smi` lists it."
            return Finding("gpu", PROBLEM, wanted)
        return Finding("gpu", OK, "none; training and prediction use the CPU.")
    if build.startswith("cpu"):
        return Finding("gpu", WARNING, f"{gpus[0]} is there, and torch is a build for CPUs: make -B env TORCH=cuda.")
    code = "import torch; print(torch.cuda.is_available(), torch.version.cuda)"
    output = _output([sys.executable, "-c", code], within_s=60)
    if output is None or not output.startswith("True"):
        return Finding("gpu", PROBLEM, f"{gpus[0]} is there, and torch cannot use it ({output}): update its driver.")
    return Finding("gpu", OK, f"{len(gpus)}: {gpus[0]}, CUDA {output.split()[-1]}.")


def check_place(root: Path) -> Finding:
    """Return whether a model can also be served from here; where nothing can work, no command gets this far."""
    if refusal := loading_refusal(root):
        return Finding("place", WARNING, f"{refusal[:-1]} to serve; training, evaluation and registration work here.")
    return Finding("place", OK, f"{root} is a path that every tool can work with.")


def check_git(root: Path) -> Finding:
    """Return whether a run here can know its commit."""
    if refusal := git_refusal(root):
        return Finding("git", WARNING, refusal)
    commit, is_dirty = git_state(root)
    if commit == UNKNOWN:
        return Finding("git", OK, "this is no git repository, so a run's trace has no commit.")
    return Finding("git", OK, f"commit {commit[:12]}{', with changes' if is_dirty else ''}.")


def output_sizes(root: Path) -> dict[str, int]:
    """Return bytes of each output in dvc.lock; empty without one."""
    path = root / "dvc.lock"
    lock: dict[str, Any] = (yaml.load(path.read_text(encoding="utf-8"), _LOADER) or {}) if path.exists() else {}
    stages = lock.get("stages", {}).values()
    return {out["path"]: out.get("size", 0) for stage in stages for out in stage.get("outs", [])}


def nvidia_gpus() -> list[str]:
    """Return the names of the GPUs that the driver lists."""
    output = _output(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"], SMI_WITHIN_S)
    return [", driver ".join(line.split(", ", 1)) for line in (output or "").splitlines()]


def torch_build() -> str:
    """Return the build of torch: cpu, cu130 and so on; empty where the version does not name it."""
    try:
        return importlib.metadata.version("torch").partition("+")[2]
    except importlib.metadata.PackageNotFoundError:
        return ""


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(command: list[str], within_s: float) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a lock file is long
