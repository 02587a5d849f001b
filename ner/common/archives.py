"""Reader of zip archives (wheels among them) from other people: their members are checked before anything is extracted.

with open_zip(path) as archive, open_member(archive, "pkg/train.txt") as stream: …

A member is only ever copied to a file that we name. An archive is refused where a name in it climbs out of its folder
or begins at the root, where it holds a link or two members of one name, or where a member would unpack to what no
corpus and no encoder needs.
"""

import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from ner.errors import SourceError

MAX_MEMBERS = 200_000
MAX_MEMBER_BYTES = 64 << 30
MAX_RATIO, RATIO_FROM = 100, 64 << 20  # text shrinks to a third, weights not at all; small members may shrink more


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open an archive whose list of members is valid. Raises SourceError."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise SourceError(f"{path.name} is no readable zip archive ({error}): it is damaged or cut short.") from None
    try:
        check_members(archive, path.name)
    except SourceError:
        archive.close()
        raise
    return archive


def check_members(archive: zipfile.ZipFile, name: str) -> None:
    """Raise SourceError for the first member that is not safe to extract."""
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise SourceError(f"{name} holds {len(members):,} files, more than {MAX_MEMBERS:,}: the archive is refused.")
    seen = set()
    for member in members:
        if why := problem(member):
            raise SourceError(f"{name} holds {member.filename[:200]!r}, which {why}: the archive is refused.")
        if member.filename in seen:
            raise SourceError(f"{name} holds {member.filename[:200]!r} twice: the archive is refused.")
        seen.add(member.filename)


def problem(member: zipfile.ZipInfo) -> str | None:
    """Return what is unsafe about a member, as the end of a sentence."""
    if climbs(member.filename) or climbs(member.orig_filename):
        return "climbs out of its folder"
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if member.file_size > MAX_MEMBER_BYTES:
        return f"would take {member.file_size / 1e9:,.0f} GB"
    if member.file_size > max(RATIO_FROM, MAX_RATIO * member.compress_size):
        return f"would unpack to {member.file_size / max(member.compress_size, 1):,.0f} times its size"
    return None


def climbs(name: str) -> bool:
    """Whether a name leads out of the folder that it is to be put in."""
    path = name.replace("\\", "/")
    return PurePosixPath(path).is_absolute() or ".." in path.split("/") or "\0" in name or path[1:2] == ":"


def open_member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    """Open a member for reading. Raises SourceError where it is missing, or locked by a password."""
    where = Path(archive.filename or "").name
    try:
        return archive.open(name)
    except KeyError:
        raise SourceError(f"{where} holds no file {name}.") from None
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise SourceError(f"{name} in {where} cannot be read: {error}.") from None
