"""The history of champions, in the registry: tags of the registered model that are only ever added.

entries = history("ner")                       # oldest first
append("ner", entry)
"""

import getpass
import os
import uuid
from collections.abc import Mapping
from typing import Any

from ner.common.tables import plain_table
from ner.registry.promotion.rules import Entry, Ref, new_key, read_history, rows, to_tag
from ner.registry.versions import has_files
from ner.tracking.mlflow_store import client, exists, registry_errors


def history(model: str) -> list[Entry]:
    """Return every entry, oldest first; none where there is no such model. Raises NerError and RegistryError."""
    from mlflow.exceptions import MlflowException

    if not exists() and not os.environ.get("MLFLOW_REGISTRY_URI"):
        return []
    with registry_errors():
        try:
            return read_history(client().get_registered_model(model).tags)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return []
            raise


def append(model: str, entry: Entry) -> None:
    """Add the entry under a name that no tag has."""
    store = client()
    key = new_key(store.get_registered_model(model).tags, uuid.uuid4().hex[:8])
    store.set_registered_model_tag(model, key, to_tag(entry))


def is_still_there(model: str, version_ref: Ref) -> bool:
    """Return whether the registry has this very version, with its files."""
    from mlflow.exceptions import MlflowException

    try:
        version = client().get_model_version(model, str(version_ref.version))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return ref(version) == version_ref and has_files(version)


def champion_of(entries: list[Entry]) -> Ref | None:
    """Return who is champion by the history's last word."""
    return entries[-1].champion if entries else None


def ref(version: Any) -> Ref:
    """Return a version of MLflow as the history names it."""
    return Ref(int(version.version), int(version.creation_timestamp))


def who(environment: Mapping[str, str] = os.environ) -> str:
    """Return which flow run, or who at this machine; MLflow does not tell who set an alias."""
    if name := environment.get("NER_FLOW_RUN_NAME"):
        return f"flow run {name}"
    try:
        return f"{getpass.getuser()}, from the command line"
    except (OSError, KeyError):
        return "the command line"


def history_table(model: str) -> str:
    """Return the history for a terminal, newest first."""
    entries = history(model)
    if not entries:
        return f"no version of {model!r} was ever seen as champion: the history is empty."
    table = rows(entries)
    return plain_table(table, "l" * len(table[0]))
