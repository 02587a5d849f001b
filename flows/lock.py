"""One run at a time on a checkout: a lock file that the system frees when its holder dies, and a note of who it is."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ner.errors import BusyError
from tasks.io import write_json

STATE = Path(".ner")  # everything of ours on this checkout that is neither a result nor in git


@contextmanager
def hold(root: Path, what: str, who: str, wait_s: float = 0) -> Iterator[None]:
    """Hold `.ner/<what>.lock` and say in `.ner/<what>.json` who does. Raises BusyError that names the other holder."""
    folder = root / STATE
    folder.mkdir(parents=True, exist_ok=True)
    lock, note = FileLock(folder / f"{what}.lock"), folder / f"{what}.json"
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise BusyError(f"{_describe(note)} on this checkout: wait until it has ended, or stop it.") from None
    try:
        write_json(note, {"who": who, "pid": os.getpid(), "since": datetime.now().isoformat(timespec="seconds")})
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
