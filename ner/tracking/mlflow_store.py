"""Where MLflow's store is, how to reach it in seconds or fail in one sentence, and what every run carries.

The store is MLFLOW_TRACKING_URI, else SQLite in mlflow/data. A server on this machine and SQLite without one share the
artifact folder mlflow/data/artifacts, so that a run written through one is read through the other.
"""

import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ner.common.files import replacing_file
from ner.common.full_disk import is_full, no_room
from ner.common.lock import acquire
from ner.common.place import home
from ner.common.provenance import flow_run_id, git_state
from ner.common.sqlite import sqlite_path, sqlite_uri
from ner.errors import RegistryError
from ner.tracking.artifact_paths import follow

QUICK_TIMEOUT_S, PATIENT_TIMEOUT_S = "4", "120"
DATABASE_ATTEMPTS = 4  # with 1.1 s between the first and the last
PARAMS_A_CALL = 100  # MLflow's own limit
NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's codes for an alias or a version
CONTEXTS = {"train": "training", "validation": "validation", "test": "test"}


def tracking_uri() -> str:
    """Return MLFLOW_TRACKING_URI, else SQLite under `home()`, whose folder is made here."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    if named:
        return named
    folder = home() / "mlflow" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return sqlite_uri(folder / "mlflow.db")


def is_local(uri: str) -> bool:
    """Return whether the store is SQLite or a server on this machine, so that artifacts are in our folder."""
    parts = urlsplit(uri)
    return parts.scheme == "sqlite" or parts.hostname in ("127.0.0.1", "localhost", "::1")


def follow_checkout(root: Path) -> None:
    """Let MLflow's addresses in the checkout's own store follow where it was moved to. Raises RegistryError.

    Where MLFLOW_DEFAULT_ARTIFACT_ROOT names another place, they are somebody's who knows, and stay.
    """
    data = root / "mlflow" / "data"
    if not os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT"):
        follow(data / "mlflow.db", data / "artifacts")


def exists() -> bool:
    """Return whether there is a store to ask: False only for a missing SQLite file, which asking would create."""
    uri = tracking_uri()
    return not uri.startswith("sqlite:///") or sqlite_path(uri).exists()


def artifact_root() -> str | None:
    """Return MLFLOW_DEFAULT_ARTIFACT_ROOT, else mlflow/data of this machine: the artifacts of new experiments.

    None where the server is another machine's, which then decides.
    """
    local = (home() / "mlflow" / "data" / "artifacts").as_uri() if is_local(tracking_uri()) else None
    return os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT") or local


def shown_uri(uri: str) -> str:
    """Return the address without user and password, and SQLite without its folder: fit for print and for git."""
    parts = urlsplit(uri)
    if parts.scheme == "sqlite":
        path = sqlite_path(uri)
        return f"sqlite:///{path.relative_to(home()) if path.is_relative_to(home()) else path.name}"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def client() -> Any:
    """Return an MlflowClient whose calls fail within seconds where nobody answers."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", QUICK_TIMEOUT_S)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    if not tracking_uri().startswith("http"):
        _give_up_soon()
    for name in ("alembic", "urllib3.connectionpool"):  # every table made, every retry
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # a trace of what it also raises
    make_store(tracking_uri(), artifact_root())
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        follow_checkout(home())
    return MlflowClient(tracking_uri=tracking_uri(), registry_uri=os.environ.get("MLFLOW_REGISTRY_URI"))


def _give_up_soon() -> None:
    """Limit MLflow's retries for a database that cannot be opened, which take 100 silent s and have no setting."""
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = DATABASE_ATTEMPTS


@contextmanager
def registry_errors() -> Iterator[None]:
    """Turn what MLflow raises into a RegistryError of one sentence."""
    try:
        yield
    except _store_errors() as error:
        raise RegistryError(_sentence(error)) from error


def no_version(reference: str) -> str:
    """Return the message for an alias or a number without a version: `the MLflow registry has no ner@champion`."""
    return f"the MLflow registry has no {reference}"


def name_a_version(reference: str) -> str:
    """Return what to do about `no_version`, for the message."""
    if "@" not in reference:
        return "the MLflow UI (make up) shows which versions there are"
    name = reference.removeprefix("models:/").partition("@")[0]
    return f"set the alias on a version in the MLflow UI (make up), or name a version, as {name}/1"


@contextmanager
def patience() -> Iterator[None]:
    """Allow long timeouts inside, for uploads; a timeout that the user has set stays."""
    before = os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT")
    if before in (None, QUICK_TIMEOUT_S):
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = PATIENT_TIMEOUT_S
    try:
        yield
    finally:
        os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = before or QUICK_TIMEOUT_S


def experiment_id(store: Any, name: str) -> str:
    """Return the id of the experiment, made where it is not there. Raises RegistryError where somebody deleted it."""
    from mlflow.exceptions import MlflowException

    experiment = store.get_experiment_by_name(name)
    if experiment is None:
        try:
            return store.create_experiment(name, artifact_location=artifact_root())
        except MlflowException:  # another process was first
            experiment = store.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise RegistryError(
            f"the MLflow experiment {name!r} is deleted: restore it with `mlflow experiments restore -x "
            f"{experiment.experiment_id}`, or name another one in params.yaml, registry.experiment."
        )
    return experiment.experiment_id


def source_tags(commit: str | None = None, dirty: bool | None = None, flow_run: str | None = None) -> dict[str, str]:
    """Return tags that say where a run comes from; without arguments, of this process."""
    if commit is None:
        (commit, dirty), flow_run = git_state(), flow_run_id()
    return {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": "python -m tasks.train",
        "mlflow.source.git.commit": commit,
        "git_commit": commit,
        "git_dirty": str(dirty).lower(),
        "flow_run_id": flow_run or "none",
    }


def dataset_inputs(manifest: Mapping[str, Any]) -> list[Any]:
    """Return one MLflow input a split; its digest is the beginning of the fingerprint of the whole corpus."""
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import Array

    columns: dict[str, Any] = {
        "document_id": "long",
        "sentence_id": "long",
        "tokens": Array("string"),
        "ner_tags": Array("string"),
    }
    schema = {"mlflow_colspec": Schema([ColSpec(kind, name) for name, kind in columns.items()]).to_dict()}
    inputs = []
    for split, counts in manifest["splits"].items():
        file = counts.get("parquet") or counts.get("file", f"{split}.parquet")
        dataset = Dataset(
            name=f"{manifest['source']}/{split}",
            digest=manifest["fingerprint"][:36],
            source_type="local",
            source=json.dumps({"uri": f"data/prepared/{file}"}),
            schema=json.dumps(schema),
            profile=json.dumps({k: v for k, v in counts.items() if isinstance(v, int | dict)}),
        )
        inputs.append(DatasetInput(dataset, tags=[InputTag("mlflow.data.context", CONTEXTS.get(split, split))]))
    return inputs


def predictions_folder(fingerprint: str) -> str:
    """Return the artifact folder for a model's predictions of that data, where a later gate finds them."""
    return f"predictions/{fingerprint[:16]}"


def log_params(store: Any, run_id: str, params: Mapping[str, Any]) -> None:
    """Log parameters in as many calls as MLflow wants."""
    from mlflow.entities import Param

    entries = [Param(name, str(value)) for name, value in params.items()]
    for first in range(0, len(entries), PARAMS_A_CALL):
        store.log_batch(run_id, params=entries[first : first + PARAMS_A_CALL])


def upload(store: Any, run_id: str, paths: Sequence[Path], folder: str = "reports") -> None:
    """Log files under `folder`, and folders under `folder`/name, into the run's artifacts; leave missing ones out."""
    for path in paths:
        if path.is_dir():
            store.log_artifacts(run_id, str(path), f"{folder}/{path.name}")
        elif path.is_file():
            store.log_artifact(run_id, str(path), folder)


def _store_errors() -> tuple[type[Exception], ...]:
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, *_s3_errors())


def _s3_errors() -> tuple[type[Exception], ...]:
    """Return the errors of boto3, which is loaded only where an artifact store is S3."""
    if "boto3" not in sys.modules:
        return ()
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (Boto3Error, BotoCoreError, ClientError)


def _sentence(error: Exception) -> str:
    text, where = str(error), f"MLflow at {shown_uri(tracking_uri())}"
    what_to_do = "start it with `make up`, or unset MLFLOW_TRACKING_URI to use the store in mlflow/data"
    if "Connection refused" in text or "Failed to establish" in text or "NameResolution" in text:
        return f"{where} cannot be reached (nothing answers there): {what_to_do}."
    if re.search("Connection aborted|Connection reset|RemoteDisconnected|Connection broken", text):
        return f"{where} cannot be reached (the connection broke): {what_to_do}."
    if "timed out" in text.lower() or "timeout" in text.lower():
        return f"{where} does not answer in time: {what_to_do}."
    if "_alembic_tmp_" in text or re.search(r"table \w+ already exists", text):
        todo = "where it holds no runs yet remove the file, else put a backup back (ner restore)"
        return f"{where} was left half made by a command that was stopped: {todo}."
    if "readonly database" in text or "read-only" in text.lower():
        return f"{where} is read-only: make its file and its folder writable, then run the same command again."
    if is_full(text):
        return f"{where}: {no_room()}, then run the same command again."
    first = next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)
    return f"{where} refuses: {first[:300].rstrip('.')}."


MADE_WITHIN_S = 300  # by another process, on a busy machine


def make_store(uri: str, artifact_root: str | None) -> None:
    """Make the database that an address of SQLite names, where there is none; other addresses are left alone.

    artifact_root: of MLflow's own experiment `Default`. Raises BusyError where another process takes too long with it.
    """
    path = sqlite_path(uri)
    if not uri.startswith("sqlite:///") or path.name in ("", ":memory:") or path.exists():
        return
    busy = f"another process makes {path} for over {MADE_WITHIN_S} s: stop it, then run the same command again."
    lock = acquire(path.with_name(f".{path.name}.lock"), busy, MADE_WITHIN_S)
    try:
        if not path.exists():
            from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

            with replacing_file(path) as temporary:
                SqlAlchemyStore(sqlite_uri(temporary), artifact_root or path.parent.as_uri()).engine.dispose()
    finally:
        lock.release()
