"""Reports in two parts: what the inputs determine, and what is measured or named anew each time.

write_training(reports, determined, measured)
training = training_record(reports / "training.json")      # both parts, and `key`
training.get("mlflow_run_id")                              # None where only another machine knows it

The second part of a training (ids, times, machine, versions) lies in .ner/trainings/<key>.json of the checkout,
that of a registration (version, address, ids) in reports/registered.json. Neither is in git or in DVC, and no stage
reads one to write an output, so that the same inputs give the same bytes.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ner.common.files import json_text, read_json, sha256_file, write_json, write_text
from ner.tracking.mlflow_store import home

TRAINING, REGISTRATION, REGISTERED = "training.json", "registration.json", "registered.json"
MEASURED = Path(".ner/trainings")
KEY = 16  # hex digits of sha256


def write_training(reports: Path, determined: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
    """Write both parts, training.json last, and return the training's key."""
    text = json_text(determined)
    key = hashlib.sha256(text.encode()).hexdigest()[:KEY]
    write_json(measured_path(key), measured)
    write_text(reports / TRAINING, text)
    return key


def training_record(path: Path) -> dict[str, Any]:
    """Return training.json with its `key` and what this checkout has measured of that training, if anything."""
    key = training_key(path)
    return {**read_json(path), **read_measured(key), "key": key}


def training_key(path: Path) -> str:
    """Return the hex digits that name a training by everything that determines it."""
    return sha256_file(path)[:KEY]


def read_measured(key: str) -> dict[str, Any]:
    """Return what this checkout measured when the training of that key was last done; empty if unknown."""
    path = measured_path(key)
    return read_json(path) if path.exists() else {}


def measured_path(key: str) -> Path:
    """Return where this checkout keeps what was measured."""
    return home() / MEASURED / f"{key}.json"


def write_registration(reports: Path, determined: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Write both parts. named: the version and so on, with the `content` that they are about."""
    write_json(reports / REGISTERED, named)
    write_json(reports / REGISTRATION, determined)


def registration_record(path: Path) -> dict[str, Any]:
    """Return registration.json with what this checkout knows of the version; `version` is None where it knows none."""
    determined, beside = read_json(path), path.with_name(REGISTERED)
    named = read_json(beside) if beside.exists() else {}
    is_of_it = named.get("content") == determined.get("content")
    return {"version": None, **determined, **(named if is_of_it else {})}
