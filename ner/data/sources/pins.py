"""Reader of the lock files, which `make lock` writes and `make env` and `make dev` install.

locked(LOCK)                    # {"accelerate": "1.15.0", …}: every name, whatever it is for
locked(LOCK, here=True)         # without those for another system or another Python
"""

from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from ner.errors import NerError

LOCK, DEV_LOCK = Path("requirements.lock"), Path("requirements-dev.lock")


def is_of_cuda(name: str) -> bool:
    """Whether only torch's CUDA build needs a package: nvidia-ml-py, plain Python, is in every environment."""
    return name.startswith(("cuda-", "nvidia-", "triton")) and name != "nvidia-ml-py"


def locked(path: Path, here: bool = False) -> dict[str, str]:
    """Return the version of each locked package. Raises NerError for a line that pins nothing."""
    versions = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.partition("#")[0].rstrip("\\ ")
        if not text or text.lstrip().startswith("--hash="):
            continue
        try:
            requirement = Requirement(text)
            (pin,) = requirement.specifier
        except (InvalidRequirement, ValueError):
            raise NerError(f"{path}, line {number}: {text!r} names no version: write name==version.") from None
        if pin.operator != "==":
            raise NerError(f"{path}, line {number}: {text!r} names no version: write name==version.")
        if not here or requirement.marker is None or requirement.marker.evaluate():
            versions[requirement.name.lower()] = pin.version
    return versions
