"""The pipeline's own account of the MLflow server that `make up` runs with authentication: an editor.

Those of people an administrator makes by MLflow's own client: docs/how-to/security.md.
"""

import httpx

from ner.common.access import PASSWORD, USER
from ner.errors import NerError

TIMEOUT_S = 10


def make_own(uri: str, admin: str, admin_password: str, user: str, password: str) -> str:
    """Return the account of the pipeline itself, an editor unless it is the administrator's. Raises NerError."""
    api = f"{uri.rstrip('/')}/api"
    with httpx.Client(auth=(admin, admin_password), timeout=TIMEOUT_S) as client:
        if user != admin:
            made = client.post(f"{api}/2.0/mlflow/users/create", json={"username": user, "password": password})
            if not made.is_success and "RESOURCE_ALREADY_EXISTS" not in made.text:
                raise NerError(f"MLflow makes no account {user!r} (status {made.status_code}): {made.text[:200]}")
            for kind in ("experiment", "registered_model"):
                grant = {"username": user, "resource_type": kind, "resource_id": "*", "permission": "EDIT"}
                client.post(f"{api}/3.0/mlflow/users/permissions/grant", json=grant).raise_for_status()
            if made.is_success:
                return f"made the MLflow account {user!r} of the pipeline, an editor"
        answer = client.get(f"{api}/2.0/mlflow/users/current", auth=(user, password))
    if not answer.is_success:
        raise NerError(f"MLflow does not take {USER} with {PASSWORD} (status {answer.status_code}): set what it has.")
    return f"the pipeline's MLflow account is {user!r}"
