"""MLflow runs that no registered version needs: listed, put into MLflow's trash, and after a time removed for good.

runs = read_runs()                      # Runs(things, trash, kept)
put_in_trash("3eb973e0…")               # `mlflow runs restore --run-id` takes it out again
empty_trash(["3eb973e0…"], 30, needs)   # files and all, by `mlflow gc`
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ner.errors import RegistryError
from ner.retention import DAY_S, Thing, keep_families
from tasks.leftovers import size_of
from tasks.registered import Needs, pages
from tasks.store import client, exists, home, is_local, registry_errors, tracking_uri

RUNS, TRASH = "MLflow run", "MLflow run in trash"
KEEP, TRASHED = "ner.keep", "ner.trashed_ms"  # tags: a person's word that it stays; when it went into the trash
PARENT = "mlflow.parentRunId"
PAGE, GC_WITHIN_S = 500, 600
_ACTIVE_ONLY, _DELETED_ONLY, _ALL = 1, 2, 3  # mlflow.entities.ViewType


@dataclass(frozen=True)
class Runs:
    """things: runs in use, trash: those that were deleted; kept: why, for each run that stays whatever its age."""

    things: list[Thing]
    trash: list[Thing]
    kept: dict[str, str]


def read_runs(needs: Needs, root: Path) -> Runs:
    """Every run of the store. Raises RegistryError."""
    if not exists():
        return Runs([], [], {})
    with registry_errors():
        store = client()
        experiments = [one.experiment_id for one in pages(lambda token: _experiments(store, token, _ALL))]
        active, deleted = (list(_runs(store, experiments, view)) for view in (_ACTIVE_ONLY, _DELETED_ONLY))
    kept = {run: f"{version} needs it" for run, version in needs.mlflow_runs.items()}
    for run in active:
        if run.info.status not in ("FINISHED", "FAILED", "KILLED"):
            kept.setdefault(run.info.run_id, f"it has not ended ({run.info.status})")
        if KEEP in run.data.tags:
            kept.setdefault(run.info.run_id, f"its tag {KEEP} says so")
    for run_id, report in named_in_reports(root).items():
        kept.setdefault(run_id, f"{report} names it")
    parents = {run.info.run_id: run.data.tags.get(PARENT) for run in [*active, *deleted]}
    things, trash = [_thing(RUNS, run, _last_ms(run)) for run in active], []
    for run in deleted:  # what a person deleted is that person's to remove
        if trashed := run.data.tags.get(TRASHED):
            trash.append(_thing(TRASH, run, int(trashed)))
    return Runs(things, trash, keep_families(kept, parents))


def named_in_reports(root: Path) -> dict[str, str]:
    """The runs that the reports of this checkout name, each with its report."""
    found: dict[str, str] = {}
    for path in sorted((root / "reports").glob("*.json")):
        try:
            tree = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for run_id in _run_ids(tree):
            found.setdefault(run_id, f"reports/{path.name}")
    return found


def put_in_trash(run_id: str) -> None:
    """Delete the run, and the models that were logged in it, so that they can be restored. Raises RegistryError."""
    with registry_errors():
        store = client()
        run = store.get_run(run_id)
        store.set_tag(run_id, TRASHED, str(int(time.time() * 1000)))
        for output in run.outputs.model_outputs if run.outputs else ():
            store.delete_logged_model(output.model_id)
        store.delete_run(run_id)


def empty_trash(run_ids: Sequence[str], days: float, needs: Needs) -> None:
    """Remove runs for good that have been in the trash for `days`. Raises RegistryError where that is not safe.

    `mlflow gc` also removes experiments and logged models that anybody deleted: none may be there that a version needs.
    """
    backend = backend_uri()
    with registry_errors():
        store = client()
        deleted = [one.name for one in pages(lambda token: _experiments(store, token, _DELETED_ONLY))]
        if deleted:
            raise RegistryError(
                f"the experiment {deleted[0]!r} is in MLflow's trash, and `mlflow gc` would remove it with its runs: "
                "restore it (`mlflow experiments restore`), or remove it yourself."
            )
        for model_id in needs.models:
            store.get_logged_model(model_id)  # raises for one that was deleted
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "gc",
        "--older-than",
        f"{int(days * DAY_S)}s",
        "--backend-store-uri",
        backend,
    ]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri()}
    command += ["--run-ids", ",".join(run_ids)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=GC_WITHIN_S)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RegistryError(f"`mlflow gc` ended with status {done.returncode}: {last[:300]}.")


def backend_uri() -> str:
    """The database behind MLflow: MLFLOW_BACKEND_STORE_URI, else the one of this checkout. Raises RegistryError."""
    named, uri, ours = os.environ.get("MLFLOW_BACKEND_STORE_URI"), tracking_uri(), home() / "mlflow/data/mlflow.db"
    if named or uri.startswith("sqlite:"):
        return named or uri
    if is_local(uri) and ours.exists():
        return f"sqlite:///{ours}"
    raise RegistryError(
        "the trash is emptied where MLflow's database is: set MLFLOW_BACKEND_STORE_URI, or run this on its machine."
    )


def _experiments(store: Any, token: str | None, view: int) -> Any:
    return store.search_experiments(view_type=view, max_results=PAGE, page_token=token)


def _runs(store: Any, experiments: list[str], view: int) -> Iterator[Any]:
    if experiments:
        yield from pages(
            lambda token: store.search_runs(experiments, run_view_type=view, max_results=PAGE, page_token=token)
        )


def _thing(kind: str, run: Any, since_ms: int) -> Thing:
    folder = _folder(run.info.artifact_uri)
    size = None if folder is None else size_of(folder)
    return Thing(kind, run.info.run_id, size, time.time() - since_ms / 1000, run.info.run_name or "")


def _last_ms(run: Any) -> int:
    return run.info.end_time or run.info.start_time


def _folder(uri: str) -> Path | None:
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _run_ids(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key == "mlflow_run_id" and isinstance(value, str):
                yield value
            yield from _run_ids(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _run_ids(value)
