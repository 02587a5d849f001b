"""Known vulnerabilities in OSV's format, from a file: which of them concern a package in a version.

advisories = read_advisories(Path("all.zip"), {"requests"})      # or a folder, or one .json
advisories.of("requests", "2.19.0")
Source: the evaluation algorithm of the OSV schema (ossf.github.io/osv-schema), for ranges of type ECOSYSTEM.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ner.errors import NerError
from tasks.archives import open_member, open_zip

ECOSYSTEM = "PyPI"
LARGEST = 32 << 20  # bytes of an advisory


@dataclass
class Advisories:
    """count: all that were read; newest: when the last of them was changed; undecided: of our packages, no versions."""

    by_name: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    count: int = 0
    newest: str = ""
    undecided: list[str] = field(default_factory=list)

    def add(self, advisory: dict[str, Any], names: set[str]) -> None:
        self.count += 1
        self.newest = max(self.newest, str(advisory.get("modified", "")))
        for affected in advisory.get("affected", []):
            if name := name_of(affected):
                affected["package"]["name"] = name  # pip-audit compares it as it stands
        concerned = {name_of(one) for one in advisory.get("affected", [])} & names
        for name in concerned:
            self.by_name.setdefault(name, []).append(advisory)
        if concerned and not any(map(is_decidable, advisory["affected"])):
            self.undecided.append(str(advisory["id"]))

    def of(self, name: str, version: str) -> list[dict[str, Any]]:
        """Those that are not withdrawn and concern the package in that version."""
        wanted, name = Version(version), canonicalize_name(name)
        return [
            advisory
            for advisory in self.by_name.get(name, [])
            if not advisory.get("withdrawn")
            and any(name_of(one) == name and is_affected(one, wanted) for one in advisory["affected"])
        ]


def read_advisories(path: Path, names: Iterable[str]) -> Advisories:
    """All advisories of a zip, a folder or a file. names: of the packages that matter. Raises NerError."""
    found, wanted = Advisories(), {str(canonicalize_name(name)) for name in names}
    for name, content in contents(path):
        try:
            advisory = json.loads(content)
            found.add(advisory, wanted)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise NerError(f"{path}: {name} is no advisory in OSV's format.") from None
    if not found.count:
        raise NerError(f"{path} holds no advisory: give osv.dev's export of {ECOSYSTEM} (all.zip), or a folder of it.")
    return found


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each .json. Raises NerError."""
    if path.is_dir():
        for file in sorted(path.rglob("*.json")):
            yield file.name, file.read_bytes()
    elif path.suffix == ".json":
        yield path.name, path.read_bytes()
    elif path.is_file():
        with open_zip(path) as archive:
            for member in archive.infolist():
                if member.filename.endswith(".json") and member.file_size <= LARGEST:
                    with open_member(archive, member.filename) as stream:
                        yield member.filename, stream.read()
    else:
        raise NerError(f"{path} is not there: give a file or a folder of advisories in OSV's format.")


def name_of(affected: dict[str, Any]) -> str:
    """The canonical name of a package of PyPI; of another ecosystem, nothing."""
    package = affected.get("package", {})
    return canonicalize_name(package["name"]) if package.get("ecosystem") == ECOSYSTEM else ""


def is_decidable(affected: dict[str, Any]) -> bool:
    """Whether it says which versions: a range of commits alone does not."""
    return bool(affected.get("versions")) or any(one.get("type") == "ECOSYSTEM" for one in affected.get("ranges", []))


def is_affected(affected: dict[str, Any], version: Version) -> bool:
    """By the list of versions, or by a range."""
    if any(same(text, version) for text in affected.get("versions", [])):
        return True
    ranges = [one["events"] for one in affected.get("ranges", []) if one.get("type") == "ECOSYSTEM"]
    return any(is_within(events, version) for events in ranges)


def is_within(events: list[dict[str, str]], version: Version) -> bool:
    """Whether the last event at or before the version is one that introduces."""
    inside = False
    for kind, at in sorted(
        ((kind, at) for event in events for kind, at in event.items()), key=lambda one: order(one[1])
    ):
        if kind == "introduced" and version >= order(at):
            inside = True
        elif kind == "fixed" and version >= order(at) or kind == "last_affected" and version > order(at):
            inside = False
    return inside


def order(text: str) -> Version:
    """A version to compare; "0" is before all."""
    try:
        return Version("0.dev0") if text == "0" else Version(text)
    except InvalidVersion:
        return Version("0.dev0")


def same(text: str, version: Version) -> bool:
    try:
        return Version(text) == version
    except InvalidVersion:
        return False
