"""A version's files are those that were registered, or it is not used: its tag `content` is their digest.

Run     python -m ner.registry.verify ner@champion                  (or ner/3: look, and say how long that took)
        python -m ner.registry.verify ner/3 -- COMMAND …            (look, and become the command)
Reads   the MLflow registry; the version's files, where they lie if that is on this machine

`make serve`, `ner batch` and comparisons look before they load; what a check of a new champion looks at
(ner/registry/promotion/checks.py) is the same. mlflow/ner_model.py looks at its own files again, wherever it is loaded.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from ner.common.cli import run_stage
from ner.common.place import loading_refusal
from ner.errors import ModelError, NerError, RegistryError
from ner.registry.champion import shown
from ner.registry.versions import check_model_files, code_files, content_digest, resolve, use_this_store
from ner.tracking.mlflow_store import patience, registry_errors

CODE, MODEL_CODE = "code/ner", "ner_model.py"
BESIDE = {"MLmodel", "conda.yaml", "python_env.yaml", "registered_model_meta", "requirements.txt", MODEL_CODE}
NOT_OURS = "it has no tag 'content', so the pipeline did not register it"
LOADER = "mlflow.pyfunc.loaders.code_model"


def fetch_verified(version: Any, folder: Path) -> Path:
    """Download a version below `folder`, which is there, and return its model's. Raises ModelError, RegistryError."""
    (folder / "version").mkdir()
    return model_folder(verify(version, folder / "version"))


def verify(version: Any, folder: Path | None = None) -> Path:
    """Return a version's verified files, in `folder` or where they lie. Raises ModelError and RegistryError."""
    try:
        return check_files(version, folder)[0]
    except RegistryError:
        raise
    except NerError as error:
        raise ModelError(refusal(shown(version), error)) from None


def check_files(version: Any, folder: Path | None) -> tuple[Path, str]:
    """Hold a version's files, downloaded to `folder` or where they lie, against its tag `content`; where and digest.

    Raises NerError that says what is wrong, and RegistryError.
    """
    if not version.tags.get("content"):
        raise NerError(NOT_OURS)
    use_this_store()
    from mlflow.artifacts import download_artifacts

    uri = f"models:/{version.name}/{version.version}"
    try:
        with registry_errors(), patience():
            there = Path(download_artifacts(artifact_uri=uri, dst_path=str(folder) if folder else None))
    except (FileNotFoundError, NotADirectoryError):
        raise NerError("its files are gone from the artifact store") from None
    place = folder or there
    if not any(place.iterdir()):  # so says a store behind a server
        raise NerError("its files are gone from the artifact store")
    return place, hold_against(place, version.tags["content"])


def hold_against(folder: Path, content: str) -> str:
    """Return the digest of a version's files. Raises NerError where it is not that which was registered, `content`."""
    if not content:
        raise NerError(NOT_OURS)
    digest = version_digest(folder)
    if digest != content:
        raise NerError(
            f"its files are not those that were registered: sha256 {digest[:12]}…, registered {content[:12]}…"
        )
    return digest


def check_content(folder: Path, content: str, name: str) -> None:
    """Raise ModelError where the files of a version are not those of the digest `content`."""
    try:
        hold_against(folder, content)
    except NerError as error:
        raise ModelError(refusal(name, error)) from None


def version_digest(folder: Path) -> str:
    """Return ner.registry.versions.content_digest of a downloaded version: its model and the code that travels with it.

    Bytecode that Python left there, as loading a version from the store does, is removed: it would be run in the place
    of the code. Raises NerError where anything else lies there that `register` does not put there.
    """
    for cache in (folder / "__pycache__", *(folder / CODE).rglob("__pycache__")):
        shutil.rmtree(cache, ignore_errors=True)
    model = model_folder(folder)
    ner = folder / CODE
    if not ner.is_dir() or not (folder / MODEL_CODE).is_file():
        raise NerError(f"the code that answers is not among its files ({CODE}, {MODEL_CODE})")
    entries = [path.name for path in ner.iterdir() if path.is_dir() or path.suffix == ".py"]
    code = {MODEL_CODE: folder / MODEL_CODE, **code_files(ner, entries)}
    known = {folder / name for name in BESIDE} | set(code.values())
    stray = [p for p in sorted(folder.rglob("*")) if p.is_file() and p not in known and not p.is_relative_to(model)]
    if stray:
        raise NerError(f"{stray[0].relative_to(folder).as_posix()} lies among its files and is not of the pipeline")
    try:
        check_model_files(model)
    except ModelError as error:  # its advice is for whoever registers, and the folder is gone when this is read
        raise NerError(str(error).partition(":")[0].replace(str(model), "its model")) from None
    return content_digest(model, code)


def model_folder(folder: Path) -> Path:
    """Return where a downloaded version has its model. Raises NerError where MLmodel is not what `register` writes."""
    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        conf = flavors["python_function"]
        path = conf["artifacts"]["model"]["path"]
        (inside,) = (folder / "artifacts").iterdir()
        layout = (set(flavors), set(conf["artifacts"]), conf["loader_module"], conf["code"], "python_model" in conf)
        code = Path(conf["model_code_path"]).name
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise NerError("its files are not laid out as the pipeline registers them") from None
    if (*layout, code) != (
        {"python_function"},
        {"model"},
        LOADER,
        "code",
        False,
        MODEL_CODE,
    ) or folder / path != inside:
        raise NerError("its MLmodel is not the one that the pipeline registers")
    return inside


def refusal(name: str, why: object) -> str:
    """Return the sentence, with what to do."""
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
