"""The model registry: one version for one content, looked up, checked, and never promoted from here.

content = content_digest(Path("models/release"))
version = find_version("ner", content) or add_version("ner", mlflow_run_id, Path("models/release"), content)
"""

import hashlib
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.common.files import sha256_file, sha256_folder
from ner.common.provenance import package_versions
from ner.errors import ModelError, RegistryError
from ner.tracking.mlflow_store import (
    NOT_THERE,
    client,
    exists,
    name_a_version,
    no_version,
    patience,
    registry_errors,
    tracking_uri,
)

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "mlflow" / "ner_model.py"
# what a version answers with, and nothing else of ours is imported by it (pyproject.toml, importlinter)
TRAVELS = ("__init__.py", "encoding", "errors.py", "inference", "tags.py")
PACKAGES = ("mlflow", "numpy", "pandas", "safetensors", "spacy", "tokenizers", "torch", "transformers")
WEIGHTS = ("model.safetensors", "model.onnx")  # one of them; the second comes from stage `export`
UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack")  # may run code when loaded
ALIAS = "challenger"
PRECISION = "prediction_precision"  # the tag: that of the predictions that the gate judged
COPY = re.compile(r"models:/(?P<name>[^/]+)/(?P<number>\d+)")  # the source of a version that is a copy of another
LAST_TAG = "gate"  # of those written at registration: a version without it was not registered to the end
CARD = "README.md"  # other words in it do not make another model


def code_files(ner: Path = ROOT / "ner", travels: Sequence[str] = TRAVELS) -> dict[str, Path]:
    """Return the modules that travel with a version, by their paths in the folder `ner`, sorted; hidden ones do not."""
    below = [ner / name for name in travels]
    paths = [path for entry in below for path in (entry.rglob("*.py") if entry.is_dir() else [entry])]
    names = {path.relative_to(ner).as_posix(): path for path in sorted(paths)}
    return {name: path for name, path in names.items() if not name.startswith(".") and "/." not in name}


def check_model_files(folder: Path) -> None:
    """Raise ModelError where the model is missing, or where a file lies in it that may run code when loaded."""
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise ModelError(f"{folder} holds no model.safetensors: run `dvc repro`, which writes it.")
    unsafe = [file.name for file in sorted(folder.rglob("*")) if file.suffix in UNSAFE]
    if unsafe:
        raise ModelError(
            f"{folder} holds {unsafe[0]}: only safetensors are registered, since loading the file may run code; "
            "remove it and run `dvc repro`."
        )


def content_digest(folder: Path, code: Mapping[str, Path] | None = None) -> str:
    """Return Hex sha256 of a version: the model's files except its card, and the code that travels with it."""
    digest = hashlib.sha256(sha256_folder(folder, without=CARD).encode())
    for name, path in {CODE.name: CODE, **code_files()}.items() if code is None else code.items():
        digest.update(f"{name}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def find_version(model: str, content: str) -> Any:
    """Return the newest version of exactly this content whose files are still there, rather no copy, or None."""
    from mlflow.exceptions import MlflowException

    store = client()
    try:
        versions = store.search_model_versions(f"name='{model}' and tags.content='{content}'")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    newest_first = sorted(versions, key=lambda version: (is_copy(version), -int(version.version)))
    return next((version for version in newest_first if has_files(version)), None)


def has_files(version: Any) -> bool:
    """Return whether the weights of a version are still in the artifact store."""
    from mlflow.exceptions import MlflowException

    use_this_store()
    from mlflow.artifacts import list_artifacts

    try:
        uri = f"models:/{version.name}/{version.version}"
        folders = [entry.path for entry in list_artifacts(artifact_uri=uri) if entry.is_dir]
        if "artifacts" not in folders:
            return False
        (model,) = list_artifacts(artifact_uri=f"{uri}/artifacts")
        inside = list_artifacts(artifact_uri=f"{uri}/{model.path}")
    except (MlflowException, OSError, ValueError):
        return False
    return any(Path(entry.path).name in WEIGHTS and entry.file_size for entry in inside)


def add_version(model: str, mlflow_run_id: str, folder: Path, content: str) -> Any:
    """Log the model into the run and register it; returns the version. The run stays finished at the time it had."""
    import mlflow

    store = client()
    before = store.get_run(mlflow_run_id).info
    use_this_store()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch, patience():
        warnings.simplefilter("ignore")  # advice about examples and type hints
        code = Path(scratch) / "ner"
        for name, path in code_files().items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, code / name)
        source = without_links(folder, Path(scratch) / "model")
        try:
            with mlflow.start_run(run_id=mlflow_run_id):
                logged = mlflow.pyfunc.log_model(
                    name=model,
                    python_model=str(CODE),
                    artifacts={"model": str(source)},
                    code_paths=[str(code)],
                    signature=signature(),
                    pip_requirements=requirements(folder),
                    tags={"content": content},
                    model_config={"files": sha256_folder(folder, without=CARD)},  # which the model itself looks at
                )
        finally:
            store.set_terminated(mlflow_run_id, "FINISHED", end_time=before.end_time)
        ensure_model(store, model)
        return store.create_model_version(
            model, source=logged.model_uri, run_id=mlflow_run_id, tags={"content": content}, model_id=logged.model_id
        )


def without_links(folder: Path, scratch: Path) -> Path:
    """Return `folder`, or a copy below `scratch` where files of it are links into a cache: MLflow does not follow."""
    if not any(path.is_symlink() for path in (folder, *folder.rglob("*"))):
        return folder
    return Path(shutil.copytree(folder, scratch / folder.name, copy_function=shutil.copyfile))


def fetch_file(version: Any, name: str, folder: Path) -> Path | None:
    """Return one file of a version's model, downloaded into `folder`; None where it has none. Raises RegistryError."""
    use_this_store()
    from mlflow.artifacts import download_artifacts, list_artifacts

    uri = f"models:/{version.name}/{version.version}"
    with registry_errors(), patience():
        places = [entry.path for entry in list_artifacts(artifact_uri=f"{uri}/artifacts") if entry.is_dir]
        files = [file.path for place in places for file in list_artifacts(artifact_uri=f"{uri}/{place}")]
        where = next((path for path in files if Path(path).name == name), None)
        return Path(download_artifacts(artifact_uri=f"{uri}/{where}", dst_path=str(folder))) if where else None


def requirements(folder: Path) -> list[str]:
    """Return what the model of a folder needs to be loaded, in the versions that are installed."""
    more = ("onnxruntime",) if (folder / "model.onnx").is_file() else ()
    return [f"{name}=={version}" for name, version in package_versions((*PACKAGES, *more)).items()]


def describe(version: Any, description: str, tags: Mapping[str, str]) -> None:
    """Write a version's description and tags, once: what it was registered with is not changed by a later run."""
    if LAST_TAG in version.tags:
        return
    store = client()
    store.update_model_version(version.name, version.version, description)
    for name, value in sorted(tags.items(), key=lambda tag: tag[0] == LAST_TAG):
        store.set_model_version_tag(version.name, version.version, name, value)


def ensure_model(store: Any, model: str) -> None:
    """Make the registered model where it is not there."""
    from mlflow.exceptions import MlflowException

    try:
        store.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def is_there(registration: Mapping[str, Any]) -> bool:
    """Return whether the registry has the version of registration.json, with its files and its alias."""
    from mlflow.exceptions import MlflowException

    with registry_errors():
        try:
            client().get_model_version_by_alias(registration["model"], registration["alias"])
        except MlflowException as error:
            if error.error_code in NOT_THERE:
                return False
            raise
        return find_version(registration["model"], registration["content"]) is not None


def resolve(reference: str) -> Any:
    """Return the version that `ner@champion`, `ner/3` or either with `models:/` before it means, `as_registered`.

    Raises RegistryError, with what to do where there is none.
    """
    from mlflow.exceptions import MlflowException

    name, mark, rest = reference.removeprefix("models:/").partition("@" if "@" in reference else "/")
    if not (name and mark and rest):
        raise RegistryError(f"{reference!r} names no model version: write ner@challenger or ner/3.")
    if not exists() and not os.environ.get("MLFLOW_REGISTRY_URI"):
        raise RegistryError(f"{no_version(reference)}, since there is no MLflow store here yet: `make train` makes it.")
    with registry_errors():
        store = client()
        ask = store.get_model_version_by_alias if mark == "@" else store.get_model_version
        try:
            return as_registered(ask(name, rest))
        except MlflowException as error:
            if error.error_code not in NOT_THERE:
                raise
            raise RegistryError(f"{no_version(reference)}: {name_a_version(reference)}.") from error


def is_copy(version: Any) -> bool:
    """Return whether a version was made of another one, as MLflow's button "Promote model" does."""
    return COPY.fullmatch(version.source or "") is not None


def as_registered(version: Any) -> Any:
    """Return the version; a copy gets the tags of its original, where that is still there."""
    from mlflow.exceptions import MlflowException

    origin = version
    try:
        while source := COPY.fullmatch(origin.source or ""):
            origin = client().get_model_version(source["name"], source["number"])
    except MlflowException as error:
        if error.error_code not in NOT_THERE:
            raise
    version.tags.update(origin.tags)
    return version


def signature() -> Any:
    """Return text or tokens in; text and its entities out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    fields = {"type": "string", "start": "long", "end": "long", "text": "string", "score": "double"}
    of_tokens = [Property(name, DataType.long, required=False) for name in ("token_start", "token_end")]
    entity = Object([*(Property(name, DataType[kind]) for name, kind in fields.items()), *of_tokens])
    tokens = ColSpec(Array(DataType.string), "tokens", required=False)
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, "text", required=False), tokens]),
        params=ParamSchema([ParamSpec("min_score", DataType.double, 0.0)]),
        outputs=Schema([ColSpec(DataType.string, "text"), ColSpec(Array(entity), "entities")]),
    )


def use_this_store() -> None:
    """Point MLflow's module-level functions, which take no client, to our store."""
    import mlflow

    mlflow.set_tracking_uri(tracking_uri())
