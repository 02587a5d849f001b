"""Where a result comes from: commit, data hashes, packages, machine, flow run.

provenance()["git_commit"]      # 40 hex digits, or "unknown" outside of git
lock_hashes(Path("."))          # {"data/prepared": "0c3f….dir", "models/ner": "…"}
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
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
UNKNOWN, LOCK = "unknown", "dvc_lock"
# Of `git rev-parse --local-env-vars`: a hook of git sets them, or a shell that works on another repository.
ELSEWHERE = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE",
)  # fmt: skip
# What a run itself rewrites: whether these differ from the commit says nothing about what went into it.
RESULTS = ("dvc.lock", "reports")


def provenance(root: Path = Path()) -> dict[str, Any]:
    """Return git_commit, git_dirty, flow_run_id, started (ISO 8601, UTC), python, cpu, cores and packages."""
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
    """Return the commit and whether files that go into a run differ from it; ("unknown", None) where there is no git.

    Outputs of the pipeline (dvc.lock, reports/) do not count. NER_GIT_COMMIT and NER_GIT_DIRTY (1 or 0) win: a
    container has the files, but no repository.
    """
    commit = os.environ.get("NER_GIT_COMMIT") or ask_git(root, "rev-parse", "HEAD")[0] or UNKNOWN
    dirty = os.environ.get("NER_GIT_DIRTY")
    if dirty:
        return commit, dirty.lower() not in ("0", "false", "no")
    if os.environ.get("NER_GIT_COMMIT"):
        return commit, False
    status, _ = ask_git(root, "status", "--porcelain", "--", ".", *(f":(top,exclude){path}" for path in RESULTS))
    return commit, None if status is None or commit == UNKNOWN else bool(status)


def flow_run_id() -> str | None:
    """Return the Prefect flow run that this process is part of, None where somebody ran the stage by hand."""
    return os.environ.get("NER_FLOW_RUN_ID") or None


def lock_hashes(root: Path = Path()) -> dict[str, str]:
    """Return each output of each stage in dvc.lock with its md5; empty where there is no lock file."""
    try:
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        return {}
    outs = [out for stage in lock.get("stages", {}).values() for out in stage.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs if "md5" in out}


def locked_by(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the md5 of each output that a version was registered with: its tag `dvc_lock`, or older ones' tag for
    each.
    """
    one_each = {name.removeprefix(f"{LOCK}."): md5 for name, md5 in tags.items() if name.startswith(f"{LOCK}.")}
    return one_each | json.loads(tags.get(LOCK, "{}"))


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return versions of what is installed, without local suffixes such as +cpu; what is missing is left out."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def usable_cores() -> int:
    """Return cores that this process may use, as Linux knows it; elsewhere all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    """Return the processor's name as Linux gives it, elsewhere as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()


def of_this_repository(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what makes git speak of another repository than that of the working directory."""
    return {name: value for name, value in environment.items() if name not in ELSEWHERE}


def ask_git(root: Path, *arguments: str) -> tuple[str | None, str]:
    """Return what git prints, None where git or the repository is missing; and what it complains of, in English."""
    seen = {**of_this_repository(os.environ), "LC_ALL": "C"}
    try:
        done = subprocess.run(["git", *arguments], cwd=root, env=seen, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return done.stdout.strip() if done.returncode == 0 else None, done.stderr.strip()


def utc_now() -> str:
    """Return ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
