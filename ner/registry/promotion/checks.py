"""What a version must show once it is champion: it passed its gate, its files, that it loads, what it predicts.

    checks = check_version(resolve("ner/3"))       # prints each verdict as it comes

No code of a version runs before its files have been verified against the registered digest.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.common.cli import of_this_machine
from ner.common.files import write_json
from ner.common.full_disk import is_full, no_room
from ner.common.sqlite import sqlite_uri
from ner.errors import NerError, RegistryError
from ner.registry.champion import shown, stored_predictions
from ner.registry.promotion.rules import Check, check_gate, check_golden, golden_size
from ner.registry.verify import check_files
from ner.registry.versions import ROOT
from ner.tracking.mlflow_store import NOT_THERE

CHECKS = ("gate", "files", "loads", "predictions")
ANSWER, ANSWER_WITHIN_S = ROOT / "mlflow" / "answer.py", 600
SPLIT = "test"  # which also a model that was cross-validated has predicted itself, and not learnt
_SHORT_OF = re.compile(r"MemoryError|[Cc]annot allocate memory|can't allocate memory|Too many open files|can't start")


@dataclass(frozen=True)
class Golden:
    """A few sentences of the test split, and the tags that evaluation stored for them."""

    tokens: list[list[str]]
    document_ids: list[int] | None  # None: each sentence alone
    tags: list[list[str]]


def check_version(version: Any, say: Callable[[str], None] = lambda line: print(line, flush=True)) -> tuple[Check, ...]:
    """Return every check of a version, reported as it ends; what follows a failed one of gate and files is not run.

    A version that may have been tampered with is not loaded. Raises RegistryError where a check could not be made.
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
            folder.mkdir()
            sound = add(
                _check("files", version, lambda: f"as registered, sha256 {check_files(version, folder)[1][:12]}…")
            )
        if not sound:
            failed = checks[-1].name
            for name in CHECKS[len(checks) :]:
                add(Check(name, None, f"not run, since the check {failed!r} failed"))
            return tuple(checks)

        def read() -> str:
            golden.append(read_golden(version))
            return ""

        def load() -> str:
            tags.extend(answer(folder, asked))
            return "it loads and answers a text"

        stored = _check("predictions", version, read)
        asked = golden[0] if golden else Golden([], None, [])
        say(f"{shown(version)}: loading it with the code that travels with it")
        loads = add(_check("loads", version, load))
        if not golden:
            add(stored)
        elif not loads:
            add(Check("predictions", None, "not run, since the check 'loads' failed"))
        else:
            add(check_golden(asked.tokens, asked.tags, tags))
    return tuple(checks)


def read_golden(version: Any) -> Golden:
    """Return the first sentences of test as the version's own run has them. Raises NerError where it has none."""
    fingerprint = version.tags.get("data_fingerprint")
    if not fingerprint:
        raise NerError("it has no tag 'data_fingerprint', so which predictions are its own is not known")
    stored = stored_predictions(version, fingerprint, SPLIT, "without them nothing can be held against its predictions")
    size = golden_size(stored.document_ids) if stored.context == "document" else None
    first = slice(size if size is not None else golden_size(range(len(stored.tokens))))
    tags = stored.tags(stored.logits_alone if size is None else stored.logits)
    return Golden(stored.tokens[first], None if size is None else stored.document_ids[first], tags[first])


def answer(folder: Path, golden: Golden) -> list[list[str]]:
    """Return the tags that a downloaded version gives, in a process that sees only its own code.

    Raises NerError where it cannot, and RegistryError where this machine is short of disk or memory.
    """
    with tempfile.TemporaryDirectory() as scratch:
        questions, answers = Path(scratch) / "questions.json", Path(scratch) / "answers.json"
        write_json(questions, {"sentences": golden.tokens, "document_ids": golden.document_ids})
        command = [sys.executable, "-I", str(ANSWER), str(folder), str(questions), str(answers)]
        seen = {**os.environ, "MLFLOW_TRACKING_URI": sqlite_uri(Path(scratch) / "unused.db")}
        try:
            done = subprocess.run(
                command, cwd=scratch, env=seen, capture_output=True, text=True, timeout=ANSWER_WITHIN_S
            )
        except subprocess.TimeoutExpired:
            raise NerError(f"it did not answer within {ANSWER_WITHIN_S} s") from None
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            last = (lines or ["no message"])[-1][:200]
            if is_full(done.stderr):
                raise RegistryError(f"{no_room()}, then run the same command again.")
            if done.returncode < 0 or _SHORT_OF.search(last):
                how = last if done.returncode > 0 else f"signal {-done.returncode}"
                raise RegistryError(
                    f"loading it was ended by this machine ({how}), "
                    "often since the memory ran out: stop other programs, then run the same command again."
                )
            raise NerError(f"loading it ends with status {done.returncode}: {last}")
        return json.loads(answers.read_text(encoding="utf-8"))["tags"]


def _check(name: str, version: Any, work: Callable[[], str]) -> Check:
    """Return a check with the result of `work`, or with its error's sentence where that is about the version.

    Raises RegistryError where the check could not be made: the registry is down, or this machine has no room, no memory
    or no access. That says nothing about the version.
    """
    try:
        return Check(name, True, work())
    except (NerError, OSError) as error:
        missing = getattr(error.__cause__, "error_code", None) in NOT_THERE
        if isinstance(error, RegistryError | OSError) and not missing:
            reason = error if isinstance(error, NerError) else of_this_machine(error) or error
            raise RegistryError(
                f"the check {name!r} of {shown(version)} could not be made, so nothing was changed: {reason}"
            ) from error
        return Check(name, False, str(error).rstrip("."))


_VERDICT = {True: "passed", False: "FAILED", None: "–"}
