"""The stages of dvc.yaml, and which of them and of their parameters shape an output."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

MODEL = "models/release"  # the output that is registered


def shaping(params: Mapping[str, Any], stages: Mapping[str, Any], output: str = MODEL) -> dict[str, Any]:
    """Return the nested params that the stages leading to an output depend on. stages: of dvc.yaml."""
    tree: dict[str, Any] = {}
    for name in sorted({name for stage in leading_to(output, stages) for name in stages[stage].get("params", ())}):
        *parents, key = name.split(".")
        source, target = params, tree
        for parent in parents:
            source = source.get(parent) or {}
            target = target.setdefault(parent, {}) if key in source else target
        if key in source:
            target[key] = source[key]
    return tree


def leading_to(output: str, stages: Mapping[str, Any]) -> set[str]:
    """Return the stage of dvc.yaml that writes `output`, and all that it needs."""
    wanted: set[str] = set()
    waiting = {output}
    while waiting:
        path = Path(waiting.pop())
        for name, stage in stages.items():
            outs = [Path(out) for out in written(stage)]
            if name not in wanted and any(path.is_relative_to(out) or out.is_relative_to(path) for out in outs):
                wanted.add(name)
                waiting |= set(stage.get("deps", ()))
    return wanted


def read_stages(root: Path) -> dict[str, Any]:
    """Return the stages of dvc.yaml."""
    return yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def written(stage: Mapping[str, Any]) -> list[str]:
    """Return the outputs of a stage of dvc.yaml, metrics and plots among them."""
    outs = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, ())]
    return [next(iter(out)) if isinstance(out, Mapping) else out for out in outs]
