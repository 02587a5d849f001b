"""Given a model version, the commands that make it again: commit, parameters that differ from it, expected md5s.

Run     ner reproduce ner@challenger

What shapes a model is what dvc.yaml says: the parameters of the stages that lead to its files, and no others.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ner.common.provenance import locked_by
from ner.common.stages import MODEL, read_stages, shaping
from ner.params import Params, read_yaml
from ner.registry.versions import resolve

EXPORTS = "models/export"
_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)  # a key as `dvc exp run -S` takes it
_WORD = re.compile(
    r"(?!(?:true|false|null|inf|nan)$)[A-Za-z][\w./-]*", re.ASCII | re.IGNORECASE
)  # needs no quotes there
_MISSING = object()


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
    stages = stages_at(commit, root)
    committed = shaping(read_yaml(file_at(commit, "params.yaml", root) or "{}"), stages, output)
    changes, beyond = overrides(shaping(recorded(tags.get("params", "{}")), stages, output), committed)
    lines += [f"# in params.yaml, set by hand what DVC cannot be given in a command: {change}" for change in beyond]
    lines.append(shlex.join(["dvc", "exp", "run", *changes]) if changes else "dvc repro")
    lines.append("")
    lines.append(f"# data fingerprint {tags.get('data_fingerprint')}; encoder {tags.get('encoder')}")
    lines.append(f"# content {tags.get('content')}, which reports/registration.json must then have")
    lines.append("# dvc.lock must then say (scores and weights only on a machine of the same kind):")
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


def overrides(used: Mapping[str, Any], committed: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return arguments of `dvc exp run` for all differences, and in words those that its grammar cannot express."""
    options, beyond = [], []
    for path, value, before in differences(used, committed):
        if all(_NAME.fullmatch(key) for key in path):
            name, new = ".".join(path), "++" if before is _MISSING else ""
            options += ["-S", f"~{name}" if value is _MISSING else f"{new}{name}={_hydra(value)}"]
        else:
            text = "is not there" if value is _MISSING else json.dumps(value, ensure_ascii=False)
            beyond.append(f"{' > '.join(path)}: {text}")
    return options, beyond


def differences(used: Any, committed: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """Yield each path at which the trees differ, with both values; _MISSING where there is none."""
    if isinstance(used, Mapping) and isinstance(committed, Mapping):
        for key in [*used, *(key for key in committed if key not in used)]:
            yield from differences(used.get(key, _MISSING), committed.get(key, _MISSING), (*path, str(key)))
    elif isinstance(used, Mapping) and used and committed is _MISSING:
        yield from differences(used, {}, path)
    elif used != committed:
        yield path, used, committed


def stages_at(commit: str, root: Path) -> dict[str, Any]:
    """Return the stages of dvc.yaml at that commit or, where git has it not, of the checkout."""
    text = file_at(commit, "dvc.yaml", root)
    return yaml.safe_load(text)["stages"] if text else read_stages(root)


def file_at(commit: str, path: str, root: Path) -> str | None:
    """Return a file as that commit has it, None where it cannot be had here."""
    try:
        shown = subprocess.run(["git", "show", f"{commit}:{path}"], cwd=root, capture_output=True, text=True)
    except OSError:
        return None
    return shown.stdout if shown.returncode == 0 else None


def _hydra(value: Any) -> str:
    """Return a value in Hydra's grammar, which is that of -S: quotes and backslashes before them are escaped."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_hydra(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_hydra, value)) + "]"
    if isinstance(value, str) and not _WORD.fullmatch(value):
        escaped = re.sub(r'(\\*)("|$)', lambda match: match[1] * 2 + ('\\"' if match[2] else ""), value)
        return '"' + escaped.replace("${", r"\${") + '"'
    return value if isinstance(value, str) else json.dumps(value)


def main(reference: Annotated[str, typer.Argument(help="ner@challenger or ner/3.")]) -> None:
    """Print the commands. Raises RegistryError."""
    print(recipe(reference))
