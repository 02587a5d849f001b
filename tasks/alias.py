"""Follows an alias: prints where it points as one line of JSON, at once and whenever that changes.

Run     python -m tasks.alias ner@champion        (or ner/3, which always points to that version)
Reads   the MLflow registry, every LOOK_EVERY_S

A line has `version`, or null and `problem`, a sentence; `absent` says that the registry was asked and knows no such
version. flows/serve.py listens, so that it needs no MLflow itself.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ner.errors import NerError, RegistryError
from tasks.cli import run_stage
from tasks.registry import resolve, use_this_store
from tasks.store import exists

LOOK_EVERY_S = 5
MISSES = 2  # so many looks in a row fail before it is told: a server that starts anew is away for a moment
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def look(reference: str) -> dict[str, Any]:
    """What one line says now. A reference in the wrong form raises RegistryError."""
    if not exists():
        return missing("there is no MLflow store here yet: `make train` makes it", absent=False)
    try:
        version = resolve(reference)
    except RegistryError as error:
        code = getattr(error.__cause__, "error_code", None)
        if error.__cause__ is None:
            raise
        if code in NOT_THERE:
            return missing(f"the MLflow registry has no {reference}", absent=True)
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
    }
    return {"version": about, "problem": None, "absent": False}


def missing(problem: str, absent: bool) -> dict[str, Any]:
    """The line for no version."""
    return {"version": None, "problem": problem, "absent": absent}


def takes(model: str, number: str, content: str | None) -> tuple[list[str], list[str]]:
    """Names of the columns and of the parameters in a version's signature; none where its files cannot be read."""
    try:
        return _signature(model, number, content)
    except Exception:  # whatever is wrong with the files, loading them tells it better
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
    """Look for ever; tell the first look, and every one that differs from what was told last."""
    told: dict[str, Any] | None = None
    misses = 0
    while True:
        now = look(reference)
        misses = misses + 1 if now["version"] is None and not now["absent"] else 0
        if now != told and (told is None or misses in (0, MISSES)):
            tell(now)
            told = now
        sleep(LOOK_EVERY_S)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.alias", description="Tell where an alias points.")
    parser.add_argument("reference", help="ner@champion or ner/3")
    arguments = parser.parse_args()
    try:
        follow(arguments.reference, lambda line: print(json.dumps(line), flush=True))
    except NerError as error:  # told like all else, to who listens
        print(json.dumps(missing(str(error).rstrip("."), absent=False)), flush=True)
        raise SystemExit(error.exit_status) from None


if __name__ == "__main__":
    run_stage("alias", main)
