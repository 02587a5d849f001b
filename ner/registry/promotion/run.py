"""Promotions: check the new champion, keep the history of champions in the registry, and roll back on request.

Run     ner history
        ner check 3                (only look: 0 passed, 6 failed)
        ner rollback "why"
        ner record-promotion       (flow ner-promoted runs it)
Reads   params.yaml [registry]; the registered model, its versions' files, their runs' predictions/
Writes  tags promotion.* of the registered model; with restore and rollback the alias

Nobody has to tell that they promote: where the alias is and where the history's last entry says that it is, differ.
"""

import getpass
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ner.common.files import read_params, write_json
from ner.common.provenance import utc_now
from ner.common.tables import plain_table
from ner.errors import NerError
from ner.registry.champion import ALIAS, find_champion, shown
from ner.registry.promotion.checks import check_version
from ner.registry.promotion.rules import (
    PROMOTION,
    REMOVAL,
    RESTORE,
    ROLLBACK,
    WARN,
    Entry,
    Ref,
    is_recorded,
    last_good,
    new_key,
    read_history,
    rows,
    sentence,
    to_tag,
)
from ner.registry.versions import has_files, resolve
from ner.tracking.mlflow_store import client, exists, no_version, registry_errors

CHECKS_FAILED = 6  # exit status


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


def record(model: str, on_failure: str = WARN, again: bool = False) -> Entry | None:
    """Check the champion and add an entry where the history does not know it yet; None where there is nothing to say.

    on_failure: WARN leaves the alias, RESTORE puts it back. again: check also a champion that the history knows.
    Raises RegistryError, having changed nothing, where a check could not be made.
    """
    with registry_errors():
        version, entries = find_champion(model), history(model)
        now, before = ref(version) if version else None, champion_of(entries)
        if is_recorded(entries, now) and not (again and version):
            return None
        if version is None:
            reason = "the alias was removed, or its version deleted, in MLflow"
            entry = Entry(utc_now(), REMOVAL, before, None, None, None, (), "", who(), "none", reason)
        else:
            checks = check_version(version)
            if len(history(model)) != len(entries):
                return None  # a rollback, or another run, has the last word; the next look sees what is left to do
            passed = all(check.passed for check in checks)
            champion, action = (now, "none") if passed else act(model, ref(version), entries, on_failure)
            failed = "; ".join(f"{check.name}: {check.reason}" for check in checks if check.passed is False)
            gate, reason = version.tags.get("gate", "no tag 'gate'"), failed or "every check passed"
            entry = Entry(utc_now(), PROMOTION, before, now, champion, passed, checks, gate, who(), action, reason)
        append(model, entry)
        return entry


def rollback(model: str, reason: str) -> Entry:
    """Put the alias on the last good version other than the champion.

    Raises NerError, having changed nothing, where the history has none or no reason is given, and RegistryError.
    """
    if not reason.strip():
        raise NerError('a rollback needs a reason for the history: ner rollback "why".')
    with registry_errors():
        version, entries = find_champion(model), history(model)
        now = ref(version) if version else None
        target = last_good(entries, now, lambda candidate: is_still_there(model, candidate))
        if target is None:
            champion = f"the champion is {shown(version)}" if version else no_version(f"{model}@{ALIAS}")
            raise NerError(
                f"there is nothing to go back to, so nothing was changed: {champion}, and the history has no other "
                "version that passed its checks, was not rolled back from, and still exists."
            )
        put_alias(model, target)
        gate = client().get_model_version(model, str(target.version)).tags.get("gate", "")
        action = f"the alias was put on version {target.version}, which passed its checks when it was champion"
        entry = Entry(utc_now(), ROLLBACK, now, target, target, True, (), gate, who(), action, reason)
        append(model, entry)
        return entry


def act(model: str, bad: Ref, entries: list[Entry], on_failure: str) -> tuple[Ref | None, str]:
    """Return what follows a failed check: who is champion then, and what was done, in words."""
    if on_failure != RESTORE:
        return bad, "it stays champion until a person moves the alias, or `ner rollback`"
    version = find_champion(model)
    if version is None or ref(version) != bad:
        return bad, "the alias was moved meanwhile, so nothing was put back"
    target = last_good(entries, bad, lambda candidate: is_still_there(model, candidate))
    put_alias(model, target)
    if target is None:
        return None, "the alias was removed, since no earlier version is good"
    return target, f"the alias was put back on version {target.version}"


def put_alias(model: str, target: Ref | None) -> None:
    """Set `champion`, or take it away."""
    if target is None:
        client().delete_registered_model_alias(model, ALIAS)
    else:
        client().set_registered_model_alias(model, ALIAS, str(target.version))


Report = Annotated[Path | None, typer.Option(help="Also write as JSON what the flow shows.")]


def write_report(path: Path | None, model: str, entry: Entry | None) -> None:
    """Write the result for the flow: the sentence, and the entry as its tag has it."""
    if path:
        content = None if entry is None else json.loads(to_tag(entry))
        write_json(path, {"model": model, "sentence": entry and sentence(model, entry), "entry": content})


def show_history() -> None:
    """Print who was champion when, and why."""
    print(history_table(read_params().registry.model), flush=True)


def check(version: Annotated[str, typer.Argument(help="Its number.")]) -> None:
    """Print every check of a version, and record nothing; the exit status is 6 where one failed."""
    checks = check_version(resolve(f"{read_params().registry.model}/{version}"))
    raise SystemExit(0 if all(check.passed for check in checks) else CHECKS_FAILED)


def go_back(
    reason: Annotated[str, typer.Argument(help="The reason, which is written into the history.")], report: Report = None
) -> None:
    """Put champion back on the last good version."""
    model = read_params().registry.model
    entry = rollback(model, reason)
    write_report(report, model, entry)
    print(sentence(model, entry), flush=True)


def main(
    on_failure: Annotated[Literal["warn", "restore"], typer.Option(help="What a failed check does.")] = "warn",
    again: Annotated[bool, typer.Option("--again", help="Check the champion although the history has it.")] = False,
    report: Report = None,
) -> None:
    """Check the champion where the history does not know it; the exit status is 6 where a check failed."""
    model = read_params().registry.model
    entry = record(model, on_failure, again)
    write_report(report, model, entry)
    print(sentence(model, entry) if entry else "the history already has where champion points", flush=True)
    raise SystemExit(CHECKS_FAILED if entry and entry.passed is False else 0)
