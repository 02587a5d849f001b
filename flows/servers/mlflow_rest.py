"""Requests to the MLflow server by its REST interface, since no flow imports mlflow.

about = ask("GET", "registered-models/get", params={"name": "ner"})["registered_model"]
"""

import os
import tomllib
from pathlib import Path
from typing import Any

import httpx

from ner.common.lock import STATE
from ner.errors import NerError

TIMEOUT_S = 10
SERVERS = STATE / "profiles.toml"  # what `make up` writes while it runs, for Prefect and for us


def ask(method: str, path: str, timeout_s: float = TIMEOUT_S, **content: Any) -> dict[str, Any]:
    """Return the answer of the MLflow server, as the person or by the token that MLflow's own variables name.

    content: what httpx.request takes (params, json). Raises NerError where no MLflow answers, and httpx.HTTPError.
    """
    uri = server()
    if uri is None:
        raise NerError("no MLflow server is named: start it with `make up`, or set MLFLOW_TRACKING_URI")
    user, password, token = (os.environ.get(f"MLFLOW_TRACKING_{key}", "") for key in ("USERNAME", "PASSWORD", "TOKEN"))
    answer = httpx.request(
        method,
        f"{uri}/api/2.0/mlflow/{path}",
        auth=(user, password) if user else None,
        headers={"Authorization": f"Bearer {token}"} if token and not user else None,
        timeout=timeout_s,
        **content,
    )
    answer.raise_for_status()
    try:
        body = answer.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NerError("what answers at MLFLOW_TRACKING_URI is no MLflow server")
    return body


def server() -> str | None:
    """Return the MLflow server of MLFLOW_TRACKING_URI, else the one that `make up` runs here; None without one."""
    name = "MLFLOW_TRACKING_URI"
    uri = os.environ.get(name) or running(Path.cwd()).get(name, "")
    return uri.rstrip("/") if uri.startswith("http") else None


def running(root: Path) -> dict[str, str]:
    """Return PREFECT_API_URL and MLFLOW_TRACKING_URI of `make up` while it runs on this checkout; else nothing."""
    path = root / SERVERS
    about = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {**about.get("profiles", {}).get(about.get("active"), {}), **about.get("servers", {})}


def run_page(run_id: str | None) -> str | None:
    """Return the page of an MLflow run, for a browser; None without a server or without such a run there."""
    uri = server()
    if not (run_id and uri and "@" not in uri):
        return None
    try:
        about = ask("GET", "runs/get", params={"run_id": run_id})["run"]["info"]
    except (httpx.HTTPError, NerError, KeyError):
        return None
    return f"{uri}/#/experiments/{about['experiment_id']}/runs/{run_id}"
