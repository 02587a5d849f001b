"""Given a model version, the commands that make it again: commit, parameters that differ from it, expected md5s.

Run     ner reproduce ner@challenger

What shapes a model is what dvc.yaml says: the parameters of the stages that lead to its files, and no others.
"""

import json
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ner.common.provenance import locked_by
from ner.common.stages import MODEL, read_stages, shaping
from ner.params import Params, read_yaml
from ner.registry.versions import resolve

EXPORTS = "models/export"


def recipe(reference: str, root: Path = Path()) -> str:
    """Return commands for the shell, with comments. reference: `ner@challenger` or `ner/3`. Raises RegistryError."""
    version = resolve(reference)
    tags = version.tags
    commit, dirty = (tags.get(f"release_{name}") or tags.get(f"git_{name}", "unknown") for name in ("commit", "dirty"))
    lines = [f"# {version.name} version {version.version}, MLflow run {version.run_id}"]
    if commit == "unknown":
        lines.append("# it was made outside of a git repository: only parameters and data can be named")
    else:
        lines.append(f"git checkout {commit}")
    if dirty != "false":
        lines.append("# warning: the working tree had, or may have had, changes that the commit has not")
    output = MODEL if tags.get("format", "safetensors") == "safetensors" else EXPORTS
    text = file_at(commit, "dvc.yaml", root)
    stages = yaml.safe_load(text)["stages"] if text else read_stages(root)
    committed = shaping(read_yaml(file_at(commit, "params.yaml", root) or "{}"), stages, output)
    changes = settings(shaping(recorded(tags.get("params", "{}")), stages, output), committed)
    lines.append(shlex.join(["ner", "train", *(f"--set={change}" for change in changes)]) if changes else "dvc repro")
    lines.append("")
    lines.append(f"# data fingerprint {tags.get('data_fingerprint')}; encoder {tags.get('encoder')}")
    lines.append(f"# content {tags.get('content')}, which the version that it registers has in its tag then")
    lines.append("# md5 in its tag dvc_lock (of scores and weights only on a machine of the same kind):")
    expected = [f"#   {md5}  {path}" for path, md5 in sorted(locked_by(tags).items())]
    lines += expected or ["#   nothing: it was made without DVC"]
    return "\n".join(lines)


def shaping_tag(params: Params, root: Path, output: str = MODEL) -> str:
    """Return the tag `params` of a version made of `output`: the params that shape it, by dvc.yaml of `root`."""
    return json.dumps(shaping(params.model_dump(mode="json"), read_stages(root), output), sort_keys=True)


def recorded(tag: str) -> dict[str, Any]:
    """Return nested params of a version's tag `params`; those of older versions are flat ({"train.seed": 42})."""
    tree: dict[str, Any] = {}
    for name, value in json.loads(tag).items():
        *parents, key = name.split(".")
        target = tree
        for parent in parents:
            target = target.setdefault(parent, {})
        target[key] = value
    return tree


def settings(used: Mapping[str, Any], committed: Mapping[str, Any]) -> list[str]:
    """Return what differs as `ner train --set` takes it: `block.key=value`, the value in JSON."""
    return [
        f"{block}.{key}={json.dumps(value, ensure_ascii=False)}"
        for block, keys in used.items()
        for key, value in keys.items()
        if value != committed.get(block, {}).get(key, ...)
    ]


def file_at(commit: str, path: str, root: Path) -> str | None:
    """Return a file as that commit has it, None where it cannot be had here."""
    try:
        shown = subprocess.run(["git", "show", f"{commit}:{path}"], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return shown.stdout if shown.returncode == 0 else None


def main(reference: Annotated[str, typer.Argument(help="ner@challenger or ner/3.")]) -> None:
    """Print the commands. Raises RegistryError."""
    print(recipe(reference))
