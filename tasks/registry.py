"""The model registry: one version for one content, found again, checked, and never promoted from here.

content = content_digest(Path("models/release"))
version = find_version("ner", content) or add_version("ner", mlflow_run_id, Path("models/release"), content)
"""

import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ner.errors import ModelError, RegistryError
from tasks.io import sha256_file, sha256_folder
from tasks.provenance import package_versions
from tasks.store import client, patience, registry_errors, tracking_uri

ROOT = Path(__file__).resolve().parent.parent
CODE = ROOT / "mlflow" / "ner_model.py"
SERVING = (
    "__init__",
    "decoding",
    "drift_observation",
    "encoding",
    "errors",
    "onnx_model",
    "prediction",
    "probability",
    "tags",
    "text",
    "threads",
    "windows",
)  # of ner, that travel
CODE_FILES = (CODE, *(ROOT / "ner" / f"{name}.py" for name in SERVING))
PACKAGES = ("mlflow", "numpy", "pandas", "safetensors", "spacy", "tokenizers", "torch", "transformers")
WEIGHTS = ("model.safetensors", "model.onnx")  # one of them; the second comes from stage `export`
UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack")  # may run code when loaded
ALIAS = "challenger"
CARD = "README.md"  # other words in it do not make another model


def check_model_files(folder: Path) -> None:
    """Raises ModelError where the model is missing, or where a file lies in it that may run code when loaded."""
    if not any((folder / name).is_file() for name in WEIGHTS):
        raise ModelError(f"{folder} holds no model.safetensors: run `dvc repro`, which writes it.")
    unsafe = [file.name for file in sorted(folder.rglob("*")) if file.suffix in UNSAFE]
    if unsafe:
        raise ModelError(
            f"{folder} holds {unsafe[0]}: only safetensors are registered, since loading the file may run code; "
            "remove it and run `dvc repro`."
        )


def content_digest(folder: Path, code: Sequence[Path] = CODE_FILES) -> str:
    """Hex sha256 of what a version is: the files of the model but for its card, and the code that answers with it."""
    digest = hashlib.sha256(sha256_folder(folder, without=CARD).encode())
    for path in code:
        digest.update(f"{path.name}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def find_version(model: str, content: str) -> Any:
    """The newest version of exactly this content whose files are still there, or None."""
    from mlflow.exceptions import MlflowException

    store = client()
    try:
        found = store.search_model_versions(f"name='{model}' and tags.content='{content}'")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    newest_first = sorted(found, key=lambda version: -int(version.version))
    return next((version for version in newest_first if has_files(version)), None)


def has_files(version: Any) -> bool:
    """Whether the weights of a version are still in the artifact store."""
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
        code.mkdir()
        for name in SERVING:
            shutil.copy2(ROOT / "ner" / f"{name}.py", code)
        try:
            with mlflow.start_run(run_id=mlflow_run_id):
                logged = mlflow.pyfunc.log_model(
                    name=model,
                    python_model=str(CODE),
                    artifacts={"model": str(folder)},
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


def fetch_file(version: Any, name: str, folder: Path) -> Path | None:
    """One file of a version's model, downloaded into `folder`; None where it has none. Raises RegistryError."""
    use_this_store()
    from mlflow.artifacts import download_artifacts, list_artifacts

    uri = f"models:/{version.name}/{version.version}"
    with registry_errors(), patience():
        places = [entry.path for entry in list_artifacts(artifact_uri=f"{uri}/artifacts") if entry.is_dir]
        files = [one.path for place in places for one in list_artifacts(artifact_uri=f"{uri}/{place}")]
        found = next((path for path in files if Path(path).name == name), None)
        return Path(download_artifacts(artifact_uri=f"{uri}/{found}", dst_path=str(folder))) if found else None


def requirements(folder: Path) -> list[str]:
    """What the model of a folder needs to be loaded, in the versions that are installed."""
    more = ("onnxruntime",) if (folder / "model.onnx").is_file() else ()
    return [f"{name}=={version}" for name, version in package_versions((*PACKAGES, *more)).items()]


def describe(version: Any, description: str, tags: Mapping[str, str]) -> None:
    """Write a version's description and tags, leaving tags of other people alone."""
    store = client()
    store.update_model_version(version.name, version.version, description)
    for name, value in tags.items():
        if version.tags.get(name) != value:
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
    """Whether the version that registration.json names is in the registry with its files, and its alias resolves.

    Raises RegistryError where the registry cannot be asked.
    """
    from mlflow.exceptions import MlflowException

    with registry_errors():
        store = client()
        try:
            version = store.get_model_version(registration["model"], str(registration["version"]))
            store.get_model_version_by_alias(registration["model"], registration["alias"])
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise
        return version.tags.get("content") == registration["content"] and has_files(version)


def resolve(reference: str) -> Any:
    """The version that `ner@champion`, `ner/3` or either with `models:/` before it means. Raises RegistryError."""
    name, mark, rest = reference.removeprefix("models:/").partition("@" if "@" in reference else "/")
    if not (name and mark and rest):
        raise RegistryError(f"{reference!r} names no model version: write ner@challenger or ner/3.")
    with registry_errors():
        store = client()
        return store.get_model_version_by_alias(name, rest) if mark == "@" else store.get_model_version(name, rest)


def signature() -> Any:
    """Text or tokens in; text and its entities out."""
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
