"""Follows an alias: prints where it points as one line of JSON, at once and whenever that changes.

Run     python -m ner.registry.promotion.follow_alias ner@champion        (or ner/3, which always points to that
        version)
Reads   the MLflow registry, every LOOK_EVERY_S

A line has `version`, or null and `problem`, a sentence; `absent` says that the registry was asked and knows no such
version. ner/serving/serve.py listens, so that it needs no MLflow itself.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from ner.common.cli import run_stage
from ner.errors import NerError, RegistryError
from ner.registry.reproduce import recorded
from ner.registry.versions import PRECISION, resolve, use_this_store
from ner.tracking.mlflow_store import NOT_THERE, exists, no_version

LOOK_EVERY_S = 5
MISSES = 2  # so many looks in a row fail before it is reported: a server that starts anew is away for a moment


def look(reference: str) -> dict[str, Any]:
    """Return the version on which the reference is now. A reference in the wrong form raises RegistryError."""
    if not exists():
        return missing("there is no MLflow store here yet: `make train` makes it", absent=False)
    try:
        version = resolve(reference)
    except RegistryError as error:
        code = getattr(error.__cause__, "error_code", None)
        if error.__cause__ is None:
            raise
        if code in NOT_THERE:
            return missing(no_version(reference), absent=True)
        return missing(str(error).rstrip("."), absent=False)
    content = version.tags.get("content")
    inputs, params = takes(version.name, version.version, content)
    about = {
        "model": version.name,
        "number": int(version.version),
        "content": content,
        "gate": version.tags.get("gate"),
        "inputs": inputs,
        "params": params,
        "precision": judged_precision(version.tags),
    }
    return {"version": about, "problem": None, "absent": False}


def judged_precision(tags: Mapping[str, str]) -> str:
    """Return what the predictions were computed in that the gate judged: bf16 or fp32.

    Of versions that were registered before that was noted, it is the setting, and `auto` may be other where it serves.
    """
    return tags.get(PRECISION) or recorded(tags.get("params", "{}")).get("prediction", {}).get("precision", "fp32")


def missing(problem: str, absent: bool) -> dict[str, Any]:
    """Return the line for no version."""
    return {"version": None, "problem": problem, "absent": absent}


def takes(model: str, number: str, content: str | None) -> tuple[list[str], list[str]]:
    """Return the columns and the parameters of a version's signature; none where its files cannot be read."""
    try:
        return _signature(model, number, content)
    except Exception:  # whatever is wrong with the files, loading them reports it better
        return [], []


@lru_cache
def _signature(model: str, number: str, content: str | None) -> tuple[list[str], list[str]]:
    use_this_store()
    from mlflow.models import get_model_info

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        signature = get_model_info(f"models:/{model}/{number}").signature
    params = [param.name for param in signature.params.params] if signature.params else []
    return signature.inputs.input_names() if signature.inputs else [], params


def follow(reference: str, tell: Callable[[dict[str, Any]], None], sleep: Callable[[float], None] = time.sleep) -> None:
    """Poll for ever; print the first state, and every one that differs from the last."""
    last: dict[str, Any] | None = None
    misses = 0
    while True:
        now = look(reference)
        misses = misses + 1 if now["version"] is None and not now["absent"] else 0
        if now != last and (last is None or misses in (0, MISSES)):
            tell(now)
            last = now
        sleep(LOOK_EVERY_S)


def main() -> None:
    try:
        follow(sys.argv[1], lambda line: print(json.dumps(line), flush=True))
    except NerError as error:  # reported like any other state
        print(json.dumps(missing(str(error).rstrip("."), absent=False)), flush=True)
        raise SystemExit(error.exit_status) from None


if __name__ == "__main__":
    run_stage("alias", main)
