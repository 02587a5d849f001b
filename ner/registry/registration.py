"""Whether the registry still has what reports/registration.json names: asked often, so it imports little."""

from pathlib import Path

from ner.common.files import read_json
from ner.registry.versions import is_there
from ner.tracking.mlflow_store import exists

REGISTRATION = Path("reports/registration.json")
LOST = 5  # exit status of `python -m tasks.register --check`


def is_registered(root: Path) -> bool:
    """Return whether the registry still has what reports/registration.json names. Raises RegistryError, as NerError."""
    path = root / REGISTRATION
    return path.exists() and not is_declined(root) and exists() and is_there(read_json(path))


def is_declined(root: Path) -> bool:
    """Return whether reports/registration.json says that the model failed its gate and has no version."""
    path = root / REGISTRATION
    return path.exists() and "reason" in read_json(path)
