"""A backup's archive: read, and held against its own manifest, before anything of it is used."""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from ner.errors import NerError
from tasks.artifact_store import digest

MANIFEST = "manifest.json"
FOLDERS = ("artifacts", "beside", "databases")


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive. Raises NerError for a file that is none, or is cut short."""
    try:
        with tarfile.open(path, "r:") as archive:
            yield archive
    except (FileNotFoundError, IsADirectoryError):
        raise NerError(f"{path} is not there: name an archive that `make backup` has written.") from None
    except (tarfile.TarError, EOFError) as error:
        raise NerError(f"{path} is no whole archive ({error}): use another backup.") from None


def read_manifest(path: Path) -> dict[str, Any]:
    """What `backup` wrote about its archive. Raises NerError."""
    with opened(path) as archive:
        try:
            stream = archive.extractfile(MANIFEST)
            found = json.loads(stream.read()) if stream else {}
        except (KeyError, ValueError):
            found = {}
    if found.get("format") != 1:
        raise NerError(f"{path} has no manifest of a format that is known here: it is no backup, or one cut short.")
    return found


def verify(path: Path, manifest: dict[str, Any]) -> None:
    """Read all of it. Raises NerError where a file is missing, too many, altered, or its name leads elsewhere."""
    left = dict(manifest["files"])
    with opened(path) as archive:
        for entry in archive:
            if entry.name == MANIFEST:
                continue
            about = left.pop(entry.name, None)
            if about is None or not entry.isfile() or not is_plain(entry.name):
                raise NerError(f"{path}: {entry.name!r} is not in its manifest, or no plain file: use another backup.")
            if entry.size != about["size"] or digest(archive.extractfile(entry)) != about["sha256"]:
                raise NerError(f"{path}: {entry.name} is not what was backed up (another sha256): use another backup.")
    if left:
        raise NerError(f"{path} lacks {len(left)} files of its manifest, as {next(iter(left))}: use another backup.")


def is_plain(name: str) -> bool:
    """Whether a member's name leads to a place below one of our folders."""
    parts = PurePosixPath(name).parts
    return len(parts) > 1 and parts[0] in FOLDERS and ".." not in parts and "\0" not in name
