"""The modules of ours, without those that a user's runs leave in mlflow/data."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("ner", "tasks", "flows", "mlflow")


def our_code(*rooms: str, pattern: str = "*.py") -> Iterator[Path]:
    """Files below the rooms, by default all of them."""
    for room in rooms or ROOMS:
        yield from (path for path in (ROOT / room).rglob(pattern) if not path.is_relative_to(ROOT / "mlflow" / "data"))
