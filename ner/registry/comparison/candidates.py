"""The two that are compared: which versions they are, and the predictions of both for the same data.

challenger, champion = find_side("ner", "challenger"), find_side("ner", "ner/2")
fingerprint = same_data(challenger, champion, ["validation"], present=None)
ours, theirs = read_both(challenger, champion, fingerprint, "validation")
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.data.predictions import Predictions, read_predictions
from ner.data.prepared import read_manifest
from ner.errors import NerError, RegistryError
from ner.params import Params
from ner.registry.champion import check_same_sentences, run_of, shown, stored_predictions
from ner.registry.versions import resolve
from ner.tracking.mlflow_store import client, registry_errors

HERE = "reports"  # names the model of this checkout
PREDICTIONS = Path("reports/predictions")
ADVICE = "run `ner compare` with the same names and --predict (the deployment: with predict=true)"
DIGITS = 16  # of a fingerprint, in the name of the folder in a run


@dataclass(frozen=True)
class Side:
    """A model in a comparison: a registered version, or the one in reports/."""

    version: Any  # None: without one

    @property
    def name(self) -> str:
        return shown(self.version) if self.version else "the model of this checkout"

    @property
    def short(self) -> str:
        return str(self.version.version) if self.version else "checkout"

    @property
    def served_as(self) -> str:
        """Return what the server calls the version: ner/3; empty without one."""
        return f"{self.version.name}/{self.version.version}" if self.version else ""

    @property
    def run_id(self) -> str | None:
        return run_of(self.version) if self.version else None


def find_side(model: str, reference: str) -> Side:
    """Return what `ner/3`, `3`, `ner@champion`, `champion` or `reports` means. Raises RegistryError."""
    if reference == HERE:
        return Side(None)
    if reference.isdecimal():
        reference = f"{model}/{reference}"
    elif not re.search("[@/]", reference.removeprefix("models:/")):
        reference = f"{model}@{reference}"
    return Side(resolve(reference))


def is_same(side: Side, other: Side) -> bool:
    """Return whether two sides are one version."""
    return (side.version and ref(side)) == (other.version and ref(other))


def ref(side: Side) -> tuple[str, str]:
    return side.version.name, str(side.version.version)


def same_data(challenger: Side, champion: Side, splits: Sequence[str], present: str | None) -> str:
    """Return the fingerprint (its first digits) of data that both have predicted: the present data where both have."""
    both = {side.name: predicted(side, splits) for side in (challenger, champion)}
    known = [side.version.tags.get("data_fingerprint") for side in (challenger, champion) if side.version]
    wanted = [fingerprint[:DIGITS] for fingerprint in (present, *known) if fingerprint]
    for fingerprint in (*wanted, *sorted(both[challenger.name])):
        if all(fingerprint in has for has in both.values()):
            return fingerprint
    lacking = [name for name, has in both.items() if not wanted or wanted[0] not in has]
    data = f"{' and '.join(splits)} of the data with fingerprint {wanted[0] if wanted else 'unknown'}"
    raise NerError(f"there are no predictions by {' and '.join(lacking)} for {data}: {ADVICE}.")


def predicted(side: Side, splits: Sequence[str]) -> set[str]:
    """Return the fingerprints (first digits) of data whose splits a side has all predicted."""
    if side.version is None:
        return {read_predictions(PREDICTIONS, splits[0]).fingerprint[:DIGITS]}
    with registry_errors():
        store, run_id = client(), run_of(side.version)
        folders = [entry.path for entry in store.list_artifacts(run_id, "predictions") if entry.is_dir]
        names = {folder: {Path(file.path).stem for file in store.list_artifacts(run_id, folder)} for folder in folders}
    return {Path(folder).name for folder in folders if names[folder] >= set(splits)}


def read_both(challenger: Side, champion: Side, fingerprint: str, split: str) -> tuple[Predictions, Predictions]:
    """Return what both predicted of a split. Raises NerError where that cannot be read or is of other sentences."""
    ours, theirs = (
        stored_predictions(side.version, fingerprint, split, ADVICE)
        if side.version
        else read_predictions(PREDICTIONS, split)
        for side in (challenger, champion)
    )
    check_same_sentences(theirs, ours, champion.name, split, ADVICE)
    return ours, theirs


def predict_lacking(sides: Sequence[Side], splits: Sequence[str], params: Params, prepared: Path) -> None:
    """Let each version of the registry do so whose run lacks predictions of the present data, or has damaged ones."""
    from ner.registry.predict_version import predict_version

    present = read_manifest(prepared)["fingerprint"]
    for side in sides:
        if side.version and not all(has_readable(side.version, present, split) for split in splits):
            predict_version(side.version, params, prepared)


def has_readable(version: Any, fingerprint: str, split: str) -> bool:
    """Return whether predictions of that data are in a version's run and can be read. Raises RegistryError."""
    try:
        return stored_predictions(version, fingerprint, split, ADVICE).fingerprint == fingerprint
    except RegistryError:
        raise
    except NerError:
        return False
