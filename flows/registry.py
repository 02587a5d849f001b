"""Requests to the MLflow server by its REST interface, since no flow imports mlflow.

about = ask("GET", "registered-models/get", params={"name": "ner"})["registered_model"]
"""

import os
from typing import Any

import httpx

from ner.errors import NerError

TIMEOUT_S = 10


def ask(method: str, path: str, timeout_s: float = TIMEOUT_S, **content: Any) -> dict[str, Any]:
    """The answer of MLFLOW_TRACKING_URI, as the person or by the token that MLflow's own variables name.

    content: what httpx.request takes (params, json). Raises NerError where no MLflow answers, and httpx.HTTPError.
    """
    uri = os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
    user, password, token = (os.environ.get(f"MLFLOW_TRACKING_{one}", "") for one in ("USERNAME", "PASSWORD", "TOKEN"))
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
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise NerError("what answers at MLFLOW_TRACKING_URI is no MLflow server")
    return said
