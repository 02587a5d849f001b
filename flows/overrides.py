"""Parameters of one run that differ from params.yaml: the forms of the deployment, `--set` of the command, the check.

parse_settings(["train.epochs=1"])      # {"train": {"epochs": 1}}
apply(root, {"train": {"epochs": 1}})   # params.yaml with them, checked whole, or ParamsError
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model
from ruamel.yaml import YAMLError

from ner.errors import ParamsError
from ner.params import Params, check_params, override, read_blocks, read_yaml
from tasks.io import PARAMS, read_params

Changes = dict[str, dict[str, Any]]


def partial_block(block: str) -> type[BaseModel]:
    """The model of a block of params.yaml with every key optional, for a form; unknown keys stay forbidden."""
    model = Params.model_fields[block].annotation
    assert isinstance(model, type) and issubclass(model, BaseModel)
    fields: dict[str, Any] = {
        name: (field.rebuild_annotation() | None, None) for name, field in model.model_fields.items()
    }
    return create_model(f"{block.capitalize()}Changes", __config__=ConfigDict(extra="forbid"), **fields)


def given(blocks: Mapping[str, Any]) -> Changes:
    """The blocks and keys that somebody set, without those left empty in a form. Raises ParamsError."""
    changes: Changes = {}
    for block, values in blocks.items():
        if isinstance(values, BaseModel):
            values = values.model_dump(exclude_unset=True)
        if values is None:
            continue
        if not isinstance(values, Mapping):
            raise ParamsError(
                f'the run\'s parameters: {block} is {values!r}, need a mapping, as {block}={{"key": value}}.'
            )
        if kept := {key: value for key, value in values.items() if value is not None}:
            changes[block] = kept
    return changes


def apply(root: Path, changes: Changes) -> dict[str, Any]:
    """All of params.yaml with the changes laid over it. Raises ParamsError for the file, a name or a value."""
    read_params(root / PARAMS)
    tree = read_blocks((root / PARAMS).read_text(encoding="utf-8"))
    merged = override(tree, changes, where="the run's parameters") if changes else tree
    check_params(merged)
    return merged


def parse_settings(settings: Sequence[str]) -> Changes:
    """Read `block.key=value` arguments, each value as YAML. Raises ParamsError."""
    changes: Changes = {}
    for setting in settings:
        path, equals, text = setting.partition("=")
        block, dot, key = path.strip().partition(".")
        if not (equals and dot and block and key):
            raise ParamsError(f"--set {setting!r} is not block.key=value, for example --set train.epochs=1.")
        try:
            changes.setdefault(block, {})[key] = read_yaml(text)
        except YAMLError:
            raise ParamsError(f"--set {setting!r}: the value is not YAML; put it in quotes.") from None
    return changes
