"""A version's files are those that were registered, or it is not used: its tag `content` is their digest.

Run     python -m ner.registry.verify ner@champion                  (or ner/3: look, and say how long that took)
        python -m ner.registry.verify ner/3 -- COMMAND …            (look, and become the command)
Reads   the MLflow registry; the version's files, where they lie if that is on this machine

`make serve`, `ner batch` and comparisons look before they load; what a check of a new champion looks at
(ner/registry/promotion/checks.py) is the same. mlflow/ner_model.py looks at its own files again, wherever it is loaded.
"""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ner.common.cli import run_stage
from ner.common.place import loading_refusal
from ner.errors import ModelError, NerError, RegistryError
from ner.registry.champion import shown
from ner.registry.promotion.checks import check_files, model_folder, version_digest
from ner.registry.versions import resolve, use_this_store
from ner.tracking.mlflow_store import patience, registry_errors


def fetch_verified(version: Any, folder: Path) -> Path:
    """Download a version below `folder`, which is there, and return its model's. Raises ModelError, RegistryError."""
    root = folder / "version"
    try:
        check_files(version, root)
    except RegistryError:
        raise
    except NerError as error:
        raise ModelError(refusal(version, error)) from None
    return model_folder(root)


def verify(version: Any) -> Path:
    """Return the files of a version where they lie, or in the temporary folder. Raises ModelError, RegistryError."""
    use_this_store()
    from mlflow.artifacts import download_artifacts

    try:
        with registry_errors(), patience():
            folder = Path(download_artifacts(artifact_uri=f"models:/{version.name}/{version.version}"))
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"the files of {shown(version)} are gone from the registry: take another version.") from None
    check_content(folder, version.tags.get("content", ""), shown(version))
    return folder


def check_content(folder: Path, content: str, name: str) -> None:
    """Raise ModelError where the files of a version are not those of the digest `content`."""
    if not content:
        raise ModelError(refusal(name, "it has no tag 'content', so the pipeline did not register it"))
    try:
        digest = version_digest(folder)
    except NerError as error:
        raise ModelError(refusal(name, error)) from None
    if digest != content:
        why = f"its files are not those that were registered: sha256 {digest[:12]}…, registered {content[:12]}…"
        raise ModelError(refusal(name, why))


def refusal(version: Any, why: object) -> str:
    """Return the sentence, with what to do."""
    name = version if isinstance(version, str) else shown(version)
    return f"{name} is refused: {str(why).rstrip('.')}; take another version, or register it anew."


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    reference, *rest = sys.argv[1:]
    command = rest[1:]  # without the --
    with tempfile.TemporaryDirectory() as scratch:
        tempfile.tempdir = scratch  # where files of a store on another machine are put
        version = resolve(reference)
        began = time.perf_counter()
        folder = verify(version)
        took_s = time.perf_counter() - began
        print(f"{shown(version)}: as registered, {size_mb(folder):.0f} MB in {took_s:.1f} s", flush=True)
    if command:
        if reason := loading_refusal(folder):
            raise ModelError(reason)
        os.execvp(command[0], command)


if __name__ == "__main__":
    run_stage("digest", main)
