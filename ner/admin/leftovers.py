"""Find what killed runs have left on a checkout and no run needs; nothing is removed here.

for left in find_leftovers(Path.cwd()):     # Leftover(path, why, size, age_s)
"""

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from ner.common.files import TEMPORARY

WORKSPACES, STATE, CHECKPOINTS = Path(".ner/workspaces"), Path(".ner"), Path("checkpoints")
SEEDS = (
    "seeds"  # under checkpoints: results of seeds stay, they are of a few kB; only half-done trainings are left over
)
RECENT_S = 3600  # what was written since may belong to a stage that somebody runs by hand
WRITERS = ("data", "models", "reports", "mlflow/data")
_HALF_WRITTEN = re.compile(rf"^\.(.+)\.[a-z0-9_]{{8}}({re.escape(TEMPORARY)})?$")  # older ones have no end


@dataclass(frozen=True)
class Leftover:
    """path: from the root; size: bytes; age_s: since anything in it was written."""

    path: Path
    why: str
    size: int
    age_s: float


def find_leftovers(root: Path) -> list[Leftover]:
    """Return unfinished trainings, workspaces, half-written files, and lock notes of processes that have ended.

    While a run works here there are none: all of it may be the run's.
    """
    if _holder(root / STATE / "run.json") not in (None, os.getpid()):
        return []
    written = [_measured(root, path, why) for path, why in (*_checkpoints(root), *_workspaces(root), *_temporary(root))]
    notes = [_measured(root, path, why) for path, why in _notes(root)]
    return [*(leftover for leftover in written if leftover.age_s > RECENT_S), *notes]


def size_of(path: Path) -> int:
    """Return bytes of a file, or of all files below a folder, as far as they can be read."""
    return sum(stat.st_size for stat in _stats(path))


def age_of(path: Path) -> float:
    """Return seconds since anything at or below `path` was written."""
    return time.time() - max((stat.st_mtime for stat in _stats(path)), default=time.time())


def _measured(root: Path, path: Path, why: str) -> Leftover:
    return Leftover(path.relative_to(root), why, size_of(path), age_of(path))


def _stats(path: Path) -> Iterator[os.stat_result]:
    for entry in [path, *(path.rglob("*") if path.is_dir() and not path.is_symlink() else ())]:
        try:
            stat = entry.lstat()
        except OSError:
            continue
        yield stat


def _checkpoints(root: Path) -> Iterator[tuple[Path, str]]:
    why = "a training that did not end"
    for folder in sorted((root / CHECKPOINTS).glob("*")):
        if folder.name != SEEDS:
            yield folder, why
    for seed in sorted((root / CHECKPOINTS / SEEDS).glob("*")):
        for name in ("model", "checkpoints"):
            if (seed / name).exists():
                yield seed / name, why


def _workspaces(root: Path) -> Iterator[tuple[Path, str]]:
    for folder in sorted((root / WORKSPACES).glob("*")):
        yield folder, "the copy that a run with other parameters worked in"


def _temporary(root: Path) -> Iterator[tuple[Path, str]]:
    for writer in WRITERS:
        folders = [root / writer, *(path for path in (root / writer).glob("*") if path.is_dir())]
        for path in sorted(path for folder in folders for path in folder.glob(".*")):
            if _HALF_WRITTEN.match(path.name):
                yield path, "half written"


def _notes(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield notes of who holds a lock, whose holder is gone: one that ended removes its own."""
    for name in ("run.json", "up.json"):
        if (root / STATE / name).exists() and _holder(root / STATE / name) is None:
            yield root / STATE / name, "the process that it names is gone"
    profiles = root / STATE / "profiles.toml"
    if profiles.exists() and _holder(root / STATE / "up.json") is None:
        yield profiles, "make up has ended, and `prefect` would look for its server"


def _holder(note: Path) -> int | None:
    """Return the process that a note of ner/common/lock.py names, where it is alive."""
    try:
        pid = int(json.loads(note.read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if psutil.pid_exists(pid) else None
