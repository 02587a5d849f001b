"""Parameters of one run that differ from params.yaml: the forms of the deployment, `--set` of the command, the check.

parse_settings(["train.epochs=1"])      # {"train": {"epochs": 1}}
apply(root, {"train": {"epochs": 1}})   # params.yaml with them, checked whole, or ParamsError
"""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model
from ruamel.yaml import YAML, YAMLError

from ner.common.files import PARAMS, read_params
from ner.errors import ParamsError
from ner.params import Params, check_params, override, read_blocks, read_yaml
from ner.training.encoder_limits import check_fetched

BASE = Path("models/base")

Changes = dict[str, dict[str, Any]]
NOT_OF_A_RUN = ("monitor", "sweep")  # blocks that no stage reads


def takes_blocks(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a flow's function, in place of its `**blocks`, a parameter for each block that a stage reads."""
    function.__signature__ = inspect.Signature(
        [
            inspect.Parameter(block, inspect.Parameter.KEYWORD_ONLY, default={}, annotation=form)
            for block, form in forms(Path.cwd()).items()
        ]
    )
    return function


def forms(root: Path) -> dict[str, type[BaseModel]]:
    """Return a form for each block that a stage reads: every key with its comment and its value in params.yaml."""
    try:
        tree = YAML().load((root / PARAMS).read_text(encoding="utf-8"))
    except (OSError, YAMLError):
        tree = None  # a run says what is wrong with the file
    return {block: form(block, tree) for block in Params.model_fields if block not in NOT_OF_A_RUN}


def form(block: str, tree: Any = None) -> type[BaseModel]:
    """Return the model of a block of params.yaml with every key optional; unknown keys stay forbidden.

    tree: params.yaml with its comments. A value there is told in the description of its key and is no default, which
    Prefect's form would send as if somebody had chosen it, also when params.yaml has another one by then.
    """
    model = Params.model_fields[block].annotation
    assert isinstance(model, type) and issubclass(model, BaseModel)
    present = tree[block] if isinstance(tree, dict) and isinstance(tree.get(block), dict) else {}
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        value = f"(params.yaml: `{json.dumps(present[name])}`)" if name in present else ""
        about = f"{_comment(present, name)} {value}".strip() or None
        shown = Field(default=None, title=name, description=about, json_schema_extra=_for_a_form)
        fields[name] = (field.rebuild_annotation(), shown)
    doc = _comment(tree, block) or f"Keys of the block {block} for this run only"
    return create_model(f"{block.capitalize()}Changes", __config__=ConfigDict(extra="forbid"), __doc__=doc, **fields)


def _comment(tree: Any, key: str) -> str:
    """Return the comment behind a key of YAML, after the `#`."""
    token = (tree.ca.items.get(key) or [None] * 3)[2] if hasattr(tree, "ca") else None
    return token.value.partition("\n")[0].lstrip("# ") if token else ""


def _for_a_form(schema: dict[str, Any]) -> None:
    """Remove the default; turn a switch (which sends no "false" by itself) and a single allowed word into choices."""
    schema.pop("default")
    for part in schema.get("anyOf", []):
        if "const" in part:
            part["enum"] = [part.pop("const")]
    if schema.get("type") == "boolean":
        schema["enum"] = [True, False]
        del schema["type"]


def chosen_values(blocks: Mapping[str, Any]) -> Changes:
    """Return the blocks and keys that somebody set, without those left empty in a form. Raises ParamsError."""
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
        if chosen := {key: value for key, value in values.items() if value is not None}:
            changes[block] = chosen
    return changes


def flat(changes: Changes) -> dict[str, Any]:
    """Return the changes by their whole names, as `train.epochs`."""
    return {f"{block}.{key}": value for block, keys in changes.items() for key, value in keys.items()}


def apply(root: Path, changes: Changes) -> dict[str, Any]:
    """Return params.yaml with the changes applied. Raises ParamsError for the file, a name or a value.

    A value is also held to the encoder, where it is here already; otherwise stage `base` does that.
    """
    read_params(root / PARAMS)
    tree = read_blocks((root / PARAMS).read_text(encoding="utf-8"))
    merged = override(tree, changes, where="the run's parameters") if changes else tree
    check_fetched(root / BASE, check_params(merged))
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
