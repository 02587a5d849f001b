"""The two that are compared: which versions they are, and the predictions of both for the same data.

challenger, champion = find_side("ner", "challenger"), find_side("ner", "ner/2")
fingerprint = same_data(challenger, champion, ["validation"], present=None)
ours, theirs = read_both(challenger, champion, fingerprint, "validation")
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.errors import NerError, RegistryError
from ner.params import Params
from tasks.champion import check_same_sentences, find_alias, no_champion, run_of, shown, stored_predictions
from tasks.predictions import Predictions, read_predictions
from tasks.prepared import read_manifest
from tasks.registry import resolve
from tasks.store import client, registry_errors

HERE = "reports"  # names the model of this checkout
PREDICTIONS = Path("reports/predictions")
ADVICE = "run `python -m tasks.compare` with the same names and --predict (the deployment: with predict=true)"
DIGITS = 16  # of a fingerprint, in the name of the folder in a run


@dataclass(frozen=True)
class Side:
    """A version of the registry or, without one, the model whose predictions are in reports/."""

    version: Any | None

    @property
    def name(self) -> str:
        return shown(self.version) if self.version else "the model of this checkout"

    @property
    def short(self) -> str:
        return str(self.version.version) if self.version else "checkout"

    @property
    def run_id(self) -> str | None:
        return run_of(self.version) if self.version else None


def find_side(model: str, reference: str) -> Side:
    """What `ner/3`, `3`, `ner@champion`, `champion` or `reports` means. Raises RegistryError."""
    if reference == HERE:
        return Side(None)
    if reference.isdecimal():
        reference = f"{model}/{reference}"
    if "/" in reference.removeprefix("models:/"):
        return Side(resolve(reference))
    name, _, alias = reference.removeprefix("models:/").rpartition("@")
    name = name or model
    version = find_alias(name, alias)
    if version is None:
        raise RegistryError(f"{no_champion(name, alias)}: set it in MLflow, or name two versions, as in {name}/3.")
    return Side(version)


def is_same(one: Side, other: Side) -> bool:
    """Whether both are one version."""
    return (one.version and ref(one)) == (other.version and ref(other))


def ref(side: Side) -> tuple[str, str]:
    return side.version.name, str(side.version.version)


def same_data(challenger: Side, champion: Side, splits: Sequence[str], present: str | None) -> str:
    """The fingerprint (its first digits) of data that both have predicted: the present data where both have.

    Raises NerError that says what to run where there is none, and RegistryError.
    """
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
    """The fingerprints (first digits) of the data of which a side has predictions for every one of the splits."""
    if side.version is None:
        return {read_predictions(PREDICTIONS, splits[0]).fingerprint[:DIGITS]}
    with registry_errors():
        store, run_id = client(), run_of(side.version)
        folders = [entry.path for entry in store.list_artifacts(run_id, "predictions") if entry.is_dir]
        names = {folder: {Path(file.path).stem for file in store.list_artifacts(run_id, folder)} for folder in folders}
    return {Path(folder).name for folder in folders if names[folder] >= set(splits)}


def read_both(challenger: Side, champion: Side, fingerprint: str, split: str) -> tuple[Predictions, Predictions]:
    """What both predicted of a split. Raises NerError where that cannot be read or is of other sentences."""
    ours, theirs = (
        stored_predictions(side.version, fingerprint, split, ADVICE)
        if side.version
        else read_predictions(PREDICTIONS, split)
        for side in (challenger, champion)
    )
    check_same_sentences(theirs, ours, champion.name, split, ADVICE)
    return ours, theirs


def predict_lacking(sides: Sequence[Side], splits: Sequence[str], params: Params, prepared: Path) -> None:
    """Let each version of the registry do so whose run lacks predictions of the present data, or has damaged ones.

    Raises NerError.
    """
    from tasks.predict_version import predict_version

    present = read_manifest(prepared)["fingerprint"]
    for side in sides:
        if side.version and not all(has_readable(side.version, present, split) for split in splits):
            predict_version(side.version, params, prepared)


def has_readable(version: Any, fingerprint: str, split: str) -> bool:
    """Whether predictions of that data are in a version's run and can be read. Raises RegistryError."""
    try:
        return stored_predictions(version, fingerprint, split, ADVICE).fingerprint == fingerprint
    except RegistryError:
        raise
    except NerError:
        return False
