"""The new champion is checked, the history of champions is kept in the registry, and `champion` goes back on request.

Run     python -m tasks.promotion --history
        python -m tasks.promotion --check 3            (only look: 0 passed, 6 failed)
        python -m tasks.promotion --record [--on-failure warn|restore] [--again]
        python -m tasks.promotion --rollback "why"     (make rollback REASON="why")
Reads   params.yaml [registry]; the registered model, its versions' files, their runs' predictions/
Writes  tags promotion.* and a table in the description of the registered model; with restore and rollback the alias

Nobody has to tell that they promote: where the alias is and where the history's last entry says that it is, differ.
"""

import argparse
import json
from pathlib import Path

from ner.errors import NerError
from ner.promotion import (
    PROMOTION,
    REMOVAL,
    RESTORE,
    ROLLBACK,
    WARN,
    Entry,
    Ref,
    is_recorded,
    last_good,
    sentence,
    to_tag,
)
from tasks.champion import ALIAS, find_champion, no_champion, shown
from tasks.checks import check_version
from tasks.cli import run_stage
from tasks.history import append, champion_of, history, history_table, is_still_there, ref, who
from tasks.io import read_params, write_json
from tasks.provenance import utc_now
from tasks.registry import resolve
from tasks.store import client, registry_errors

CHECKS_FAILED = 6  # exit status


def record(model: str, on_failure: str = WARN, again: bool = False) -> Entry | None:
    """Check the champion and add an entry where the history does not know it yet; None where there is nothing to say.

    on_failure: WARN leaves the alias, RESTORE puts it back. again: check also a champion that the history knows.
    Raises RegistryError.
    """
    with registry_errors():
        version, entries = find_champion(model), history(model)
        now, before = version and ref(version), champion_of(entries)
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
            champion, action = (now, "none") if passed else act(model, now, entries, on_failure)
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
        raise NerError('a rollback needs a reason for the history: make rollback REASON="why".')
    with registry_errors():
        version, entries = find_champion(model), history(model)
        now = version and ref(version)
        target = last_good(entries, now, lambda one: is_still_there(model, one))
        if target is None:
            champion = f"the champion is {shown(version)}" if version else no_champion(model)
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
    """What follows a failed check: who is champion then, and what was done, in words."""
    if on_failure != RESTORE:
        return bad, "it stays champion until a person moves the alias, or `make rollback`"
    version = find_champion(model)
    if version is None or ref(version) != bad:
        return bad, "the alias was moved meanwhile, so nothing was put back"
    target = last_good(entries, bad, lambda one: is_still_there(model, one))
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


def report(path: Path | None, model: str, entry: Entry | None) -> None:
    """Leave for the flow what was found: the sentence, and the entry as its tag has it."""
    if path:
        told = None if entry is None else json.loads(to_tag(entry))
        write_json(path, {"model": model, "sentence": entry and sentence(model, entry), "entry": told})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tasks.promotion", description="Who is champion, and who was.")
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--history", action="store_true", help="print who was champion when, and why")
    choice.add_argument("--check", metavar="VERSION", help="run every check on a version, and record nothing")
    choice.add_argument("--record", action="store_true", help="check the champion where the history does not know it")
    choice.add_argument("--rollback", metavar="REASON", help="put champion back on the last good version")
    parser.add_argument("--on-failure", choices=(WARN, RESTORE), default=WARN, help="with --record; default: warn")
    parser.add_argument("--again", action="store_true", help="with --record: check a known champion again")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write what was found as JSON")
    arguments = parser.parse_args()
    model = read_params().registry.model
    if arguments.history:
        print(history_table(model), flush=True)
    elif arguments.check:
        checks = check_version(resolve(f"{model}/{arguments.check}"))
        raise SystemExit(0 if all(check.passed for check in checks) else CHECKS_FAILED)
    elif arguments.rollback is not None:
        entry = rollback(model, arguments.rollback)
        report(arguments.report, model, entry)
        print(sentence(model, entry), flush=True)
    else:
        found = record(model, arguments.on_failure, arguments.again)
        report(arguments.report, model, found)
        print(sentence(model, found) if found else "the history already has where champion points", flush=True)
        raise SystemExit(CHECKS_FAILED if found and found.passed is False else 0)


if __name__ == "__main__":
    run_stage("promotion", main)
