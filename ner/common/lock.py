"""Locks of files, which the system frees when their holder dies: one run at a time on a checkout or an output.

with lock_file(folder / "sweep.lock", "another sweep runs in this checkout: wait until it ends."):
with lock_checkout(root, "run", "ner train"):      # leaves a note of who holds it in .ner/run.json
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ner.errors import BusyError

STATE = Path(".ner")  # everything of ours on this checkout that is neither a result nor in git


@contextmanager
def lock_file(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock file at `path`. Raises BusyError with the sentence `busy` where another process holds it."""
    lock = acquire(path, busy)
    try:
        yield
    finally:
        lock.release()


def acquire(path: Path, busy: str, wait_s: float = 0) -> FileLock:
    """Return the lock file at `path`, held until its `release`. Raises BusyError as `lock_file` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise BusyError(busy) from None
    return lock


@contextmanager
def lock_checkout(root: Path, what: str, who: str, wait_s: float = 0) -> Iterator[None]:
    """Hold `.ner/<what>.lock` and say in `.ner/<what>.json` who does. Raises BusyError that names the other holder."""
    note = root / STATE / f"{what}.json"
    try:
        lock = acquire(note.with_suffix(".lock"), "", wait_s)
    except BusyError:
        raise BusyError(f"{_describe(note)} on this checkout: wait until it has ended, or stop it.") from None
    try:
        holder = {"who": who, "pid": os.getpid(), "since": datetime.now().isoformat(timespec="seconds")}
        note.write_text(json.dumps(holder), encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _describe(note: Path) -> str:
    try:
        holder = json.loads(note.read_text(encoding="utf-8"))
        return f"{holder['who']} (process {holder['pid']}, since {holder['since']}) is at work"
    except (OSError, ValueError, KeyError):
        return "another run is at work"
