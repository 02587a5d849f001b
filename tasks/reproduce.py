"""Given a model version, the commands that make it again: commit, parameters that differ from it, expected md5s."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tasks.registry import resolve

DOES_NOT_SHAPE_THE_MODEL = (
    "evaluation",
    "export",
    "gate",
    "limits",
    "monitor",
    "prediction",
    "registry",
    "retention",
    "seeds",
    "validation",
)


def recipe(reference: str, root: Path = Path()) -> str:
    """Commands for the shell, with comments. reference: `ner@challenger` or `ner/3`. Raises RegistryError."""
    version = resolve(reference)
    tags = version.tags
    commit = tags.get("git_commit", "unknown")
    lines = [f"# {version.name} version {version.version}, MLflow run {version.run_id}"]
    if commit == "unknown":
        lines.append("# it was trained outside of a git repository: only parameters and data can be named")
    else:
        lines.append(f"git checkout {commit}")
    if tags.get("git_dirty") != "false":
        lines.append("# warning: the working tree had, or may have had, changes that the commit has not")
    changes = overrides(json.loads(tags.get("params", "{}")), params_at(commit, root))
    lines.append(" ".join(["dvc exp run", *changes]) if changes else "dvc repro")
    lines.append("")
    lines.append(f"# data fingerprint {tags.get('data_fingerprint')}; encoder {tags.get('encoder')}")
    lines.append("# dvc.lock must then say (scores and weights only on a machine of the same kind):")
    expected = {k.removeprefix("dvc_lock."): v for k, v in sorted(tags.items()) if k.startswith("dvc_lock.")}
    lines += [f"#   {md5}  {path}" for path, md5 in expected.items()] or ["#   nothing: it was made without DVC"]
    return "\n".join(lines)


def params_at(commit: str, root: Path) -> dict[str, Any] | None:
    """params.yaml as that commit has it, None where it cannot be had here."""
    try:
        shown = subprocess.run(["git", "show", f"{commit}:params.yaml"], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return yaml.safe_load(shown.stdout) if shown.returncode == 0 else None


def overrides(used: Mapping[str, Any], committed: dict[str, Any] | None) -> list[str]:
    """`-S key=value` for each parameter (train.seed: 42) that differs from params.yaml, or, without one, for each.

    Parameters that do not shape the model are left out.
    """
    known = committed or {}
    options = []
    for name, value in used.items():
        block, _, key = name.partition(".")
        if block not in DOES_NOT_SHAPE_THE_MODEL and (known.get(block) or {}).get(key) != value:
            options.append(f"-S {name}={value}")
    return options
