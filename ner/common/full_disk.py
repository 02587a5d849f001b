"""A full disk, whichever library ran into it, and which disk it is."""

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path

_FULL = re.compile(
    r"No space left on device|os error 28|disk is full|PytorchStreamWriter failed|Disk quota exceeded|inline_container"
    r"|No usable temporary directory"
)
SCARCE = 100e6  # bytes; what was half written is gone when somebody looks


def is_full(error: BaseException | str | None) -> bool:
    """Return whether a full disk is behind an error or its text, also of safetensors and torch, which give no errno."""
    while error is not None and not isinstance(error, str):
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) or _FULL.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return error is not None and bool(_FULL.search(error))


def no_room(where: str = "") -> str:
    """Return that a file could not be written, which disk has no room, and what to do; without a full stop.

    where: of the file, as " at <path>".
    """
    try:
        names = {tempfile.gettempdir(): " (temporary files, TMPDIR)", str(Path.cwd()): ""}
    except FileNotFoundError:  # no folder of temporary files takes a byte
        names = {os.environ.get("TMPDIR", "/tmp"): " (temporary files, TMPDIR)"}
    free = {folder: shutil.disk_usage(folder).free for folder in names if os.path.isdir(folder)}
    full = [f"{folder}{names[folder]} has {free[folder] / 1e6:.1f} MB free" for folder in free if free[folder] < SCARCE]
    disks = f" ({', '.join(full)})" if full else ""
    return f"a file could not be written{where}: the disk is full{disks}; make room"
