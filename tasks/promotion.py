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
import getpass
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from ner.errors import NerError, RegistryError
from ner.promotion import (
    PROMOTION,
    REMOVAL,
    RESTORE,
    ROLLBACK,
    WARN,
    Check,
    Entry,
    Ref,
    check_gate,
    check_golden,
    golden_size,
    is_recorded,
    last_good,
    new_key,
    read_history,
    rows,
    sentence,
    to_tag,
    with_table,
)
from tasks.champion import ALIAS, find_champion, no_champion, run_of, shown
from tasks.cli import run_stage
from tasks.io import read_params, write_json
from tasks.predictions import read_predictions
from tasks.registry import ROOT, check_model_files, content_digest, has_files, resolve, use_this_store
from tasks.store import client, exists, patience, predictions_folder, registry_errors

CHECKS_FAILED = 6  # exit status
CHECKS = ("gate", "files", "loads", "predictions")
ANSWER, ANSWER_WITHIN_S = ROOT / "mlflow" / "answer.py", 600
SPLIT = "validation"
CODE, MODEL_CODE = "code/ner", "ner_model.py"
BESIDE = {"MLmodel", "conda.yaml", "python_env.yaml", "registered_model_meta", "requirements.txt", MODEL_CODE}
LOADER = "mlflow.pyfunc.loaders.code_model"


@dataclass(frozen=True)
class Golden:
    """A few sentences of the validation split, and the tags that evaluation stored for them."""

    tokens: list[list[str]]
    document_ids: list[int] | None  # None: each sentence alone
    tags: list[list[str]]


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


def check_version(version: Any, say: Callable[[str], None] = lambda line: print(line, flush=True)) -> tuple[Check, ...]:
    """Every check of a version, told as they end; what follows a failed one of gate and files is not run.

    A version that may have been tampered with is not loaded. Raises RegistryError where the registry cannot be asked.
    """
    checks: list[Check] = []

    def add(check: Check) -> bool:
        checks.append(check)
        say(f"{shown(version)}: {check.name}: {_VERDICT[check.passed]}: {check.reason}")
        return bool(check.passed)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "version"
        golden: list[Golden] = []
        tags: list[list[str]] = []
        sound = add(check_gate(version.tags.get("gate")))
        if sound:
            say(f"{shown(version)}: fetching its files")
            sound = add(_check("files", version, lambda: check_files(version, folder)))
        if not sound:
            failed = checks[-1].name
            for name in CHECKS[len(checks) :]:
                add(Check(name, None, f"not run, since the check {failed!r} failed"))
            return tuple(checks)
        stored = _check("predictions", version, lambda: golden.append(read_golden(version, Path(scratch))) or "")
        asked = golden[0] if golden else Golden([], None, [])
        say(f"{shown(version)}: loading it with the code that travels with it")
        loads = add(
            _check("loads", version, lambda: tags.extend(answer(folder, asked)) or "it loads and answers a text")
        )
        if not golden:
            add(stored)
        elif not loads:
            add(Check("predictions", None, "not run, since the check 'loads' failed"))
        else:
            add(check_golden(asked.tokens, asked.tags, tags))
    return tuple(checks)


def check_files(version: Any, folder: Path) -> str:
    """Download a version's files and hold them against its tag `content`; returns what is good about them.

    Raises NerError that says what is wrong, and RegistryError.
    """
    wanted = version.tags.get("content")
    if not wanted:
        raise NerError("it has no tag 'content', so the pipeline did not register it")
    use_this_store()
    from mlflow.artifacts import download_artifacts

    try:
        with patience(), registry_errors():
            uri = f"models:/{version.name}/{version.version}"
            folder.mkdir()
            download_artifacts(artifact_uri=uri, dst_path=str(folder))
    except (FileNotFoundError, NotADirectoryError):
        raise NerError("its files are gone from the artifact store") from None
    found = version_digest(folder)
    if found != wanted:
        raise NerError(f"its files are not those that were registered: sha256 {found[:12]}…, registered {wanted[:12]}…")
    return f"as registered, sha256 {found[:12]}…"


def version_digest(folder: Path) -> str:
    """tasks.registry.content_digest of a downloaded version: of its model and of the code that travels with it.

    Raises NerError where anything lies there that `register` does not put there, since loading might run it.
    """
    model = model_folder(folder)
    code = [folder / MODEL_CODE, *sorted((folder / CODE).glob("*.py"))]
    known = {folder / name for name in BESIDE} | set(code)
    stray = [p for p in sorted(folder.rglob("*")) if p.is_file() and p not in known and not p.is_relative_to(model)]
    if stray:
        raise NerError(f"{stray[0].relative_to(folder).as_posix()} lies among its files and is not of the pipeline")
    check_model_files(model)
    return content_digest(model, code)


def model_folder(folder: Path) -> Path:
    """Where a downloaded version has its model. Raises NerError where MLmodel is not what `register` writes."""
    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        conf = flavors["python_function"]
        path = conf["artifacts"]["model"]["path"]
        (inside,) = (folder / "artifacts").iterdir()
        told = (set(flavors), set(conf["artifacts"]), conf["loader_module"], conf["code"], "python_model" in conf)
        code = Path(conf["model_code_path"]).name
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise NerError("its files are not laid out as the pipeline registers them") from None
    if (*told, code) != ({"python_function"}, {"model"}, LOADER, "code", False, MODEL_CODE) or folder / path != inside:
        raise NerError("its MLmodel is not the one that the pipeline registers")
    return inside


def read_golden(version: Any, scratch: Path) -> Golden:
    """The first sentences of validation as the version's own run has them. Raises NerError where it has none."""
    fingerprint = version.tags.get("data_fingerprint")
    if not fingerprint:
        raise NerError("it has no tag 'data_fingerprint', so which predictions are its own is not known")
    run_id, folder = run_of(version), predictions_folder(fingerprint)
    path = f"{folder}/{SPLIT}.parquet"
    with registry_errors(), patience():
        store = client()
        if path not in {entry.path for entry in store.list_artifacts(run_id, folder)}:
            raise NerError(f"its run has no {path}, so there is nothing to hold its predictions against")
        stored = read_predictions(Path(store.download_artifacts(run_id, path, str(scratch))).parent, SPLIT)
    size = golden_size(stored.document_ids) if stored.context == "document" else None
    first = slice(size if size is not None else golden_size(range(len(stored.tokens))))
    tags = stored.tags(stored.logits_alone if size is None else stored.logits)
    return Golden(stored.tokens[first], None if size is None else stored.document_ids[first], tags[first])


def answer(folder: Path, golden: Golden) -> list[list[str]]:
    """The tags that a downloaded version gives, loaded in a process that sees no code but its own. Raises NerError."""
    with tempfile.TemporaryDirectory() as scratch:
        questions, answers = Path(scratch) / "questions.json", Path(scratch) / "answers.json"
        write_json(questions, {"sentences": golden.tokens, "document_ids": golden.document_ids})
        command = [sys.executable, "-I", str(ANSWER), str(folder), str(questions), str(answers)]
        seen = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{scratch}/unused.db"}
        try:
            done = subprocess.run(
                command, cwd=scratch, env=seen, capture_output=True, text=True, timeout=ANSWER_WITHIN_S
            )
        except subprocess.TimeoutExpired:
            raise NerError(f"it did not answer within {ANSWER_WITHIN_S} s") from None
        if done.returncode:
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            raise NerError(f"loading it ends with status {done.returncode}: {(said or ['no word why'])[-1][:200]}")
        return json.loads(answers.read_text(encoding="utf-8"))["tags"]


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


def history(model: str) -> list[Entry]:
    """Every entry, oldest first; none where there is no such model. Raises NerError and RegistryError."""
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
    """Add the entry under a name that no tag has, and show the last ones in the model's description."""
    store = client()
    key = new_key(store.get_registered_model(model).tags, uuid.uuid4().hex[:8])
    store.set_registered_model_tag(model, key, to_tag(entry))
    about = store.get_registered_model(model)
    store.update_registered_model(model, with_table(about.description or "", read_history(about.tags)))


def is_still_there(model: str, one: Ref) -> bool:
    """Whether the registry has this very version, with its files."""
    from mlflow.exceptions import MlflowException

    try:
        version = client().get_model_version(model, str(one.version))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise
    return ref(version) == one and has_files(version)


def put_alias(model: str, target: Ref | None) -> None:
    """Set `champion`, or take it away."""
    if target is None:
        client().delete_registered_model_alias(model, ALIAS)
    else:
        client().set_registered_model_alias(model, ALIAS, str(target.version))


def champion_of(entries: list[Entry]) -> Ref | None:
    """Who is champion by the history's last word."""
    return entries[-1].champion if entries else None


def ref(version: Any) -> Ref:
    """A version of MLflow as the history names it."""
    return Ref(int(version.version), int(version.creation_timestamp))


def who(environment: Mapping[str, str] = os.environ) -> str:
    """Which flow run, or who at this machine; MLflow does not tell who set an alias."""
    if name := environment.get("NER_FLOW_RUN_NAME"):
        return f"flow run {name}"
    try:
        return f"{getpass.getuser()}, from the command line"
    except (OSError, KeyError):
        return "the command line"


def utc_now() -> str:
    """ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def history_table(model: str) -> str:
    """The history for a terminal, newest first."""
    entries = history(model)
    if not entries:
        return f"no version of {model!r} was ever seen as champion: the history is empty."
    table = rows(entries)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)


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


def _check(name: str, version: Any, work: Callable[[], str]) -> Check:
    """The check with what `work` returns, or the sentence of its error; a registry that is down is no verdict."""
    try:
        return Check(name, True, work())
    except NerError as error:
        if isinstance(error, RegistryError):
            with registry_errors():
                client().get_model_version(version.name, version.version)
        return Check(name, False, str(error).rstrip("."))


_VERDICT = {True: "passed", False: "FAILED", None: "–"}

if __name__ == "__main__":
    run_stage("promotion", main)
