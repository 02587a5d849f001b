"""Where a result comes from: commit, data hashes, packages, machine, flow run.

provenance()["git_commit"]      # 40 hex digits, or "unknown" outside of git
lock_hashes(Path("."))          # {"data/prepared": "0c3f….dir", "models/ner": "…"}
"""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

PACKAGES = (
    "accelerate",
    "cleanlab",
    "datasets",
    "dvc",
    "great_expectations",
    "huggingface_hub",
    "mlflow",
    "numpy",
    "pandas",
    "prefect",
    "safetensors",
    "scipy",
    "seqeval",
    "tokenizers",
    "torch",
    "transformers",
)
UNKNOWN = "unknown"
# What a run itself rewrites: whether these differ from the commit says nothing about what went into it.
RESULTS = ("dvc.lock", "reports")


def provenance(root: Path = Path()) -> dict[str, Any]:
    """git_commit, git_dirty, flow_run_id, started (ISO 8601, UTC), python, cpu, cores and packages, as of now."""
    commit, dirty = git_state(root)
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "flow_run_id": flow_run_id(),
        "started": utc_now(),
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "packages": package_versions(),
    }


def git_state(root: Path = Path()) -> tuple[str, bool | None]:
    """The commit and whether files that go into a run differ from it; ("unknown", None) where there is no git.

    Outputs of the pipeline (dvc.lock, reports/) do not count. NER_GIT_COMMIT and NER_GIT_DIRTY (1 or 0) win: a
    container has the files, but no repository.
    """
    commit = os.environ.get("NER_GIT_COMMIT") or _git(root, "rev-parse", "HEAD") or UNKNOWN
    told = os.environ.get("NER_GIT_DIRTY")
    if told:
        return commit, told.lower() not in ("0", "false", "no")
    if os.environ.get("NER_GIT_COMMIT"):
        return commit, False
    status = _git(root, "status", "--porcelain", "--", ".", *(f":(top,exclude){path}" for path in RESULTS))
    return commit, None if status is None or commit == UNKNOWN else bool(status)


def flow_run_id() -> str | None:
    """The Prefect flow run that this process is part of, None where somebody ran the stage by hand."""
    return os.environ.get("NER_FLOW_RUN_ID") or None


def lock_hashes(root: Path = Path()) -> dict[str, str]:
    """Each output of each stage in dvc.lock with its md5; empty where there is no lock file."""
    return _lock_entries(root, "outs")


def lock_dependencies(root: Path = Path()) -> dict[str, str]:
    """Each dependency of each stage in dvc.lock with its md5, outputs of other stages included."""
    return _lock_entries(root, "deps")


def package_versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Versions of what is installed, without local suffixes such as +cpu; what is missing is left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def cpu_name() -> str:
    """The processor's name as Linux gives it, elsewhere as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()


def _lock_entries(root: Path, kind: str) -> dict[str, str]:
    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    entries = [entry for stage in lock.get("stages", {}).values() for entry in stage.get(kind, [])]
    return {entry["path"]: entry["md5"] for entry in entries if "md5" in entry}


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, None where git or the repository is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def utc_now() -> str:
    """ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
