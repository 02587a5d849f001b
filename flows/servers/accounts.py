"""Accounts of the MLflow server that `make up` runs with authentication: who may read, write, promote.

Run     ner accounts reader anna      (or editor, admin; again with another role: it is changed)
        ner accounts --remove anna
Reads   MLFLOW_TRACKING_URI; MLFLOW_AUTH_ADMIN_USERNAME (admin) and MLFLOW_AUTH_ADMIN_PASSWORD, who asks;
        NER_NEW_PASSWORD, else the password is asked for

A reader sees everything; an editor writes runs and registers versions, as the pipeline does; an admin promotes too.
"""

import getpass
import os
from typing import Annotated, Any, Literal

import httpx
import typer

from ner.common.access import ADMIN, ADMIN_PASSWORD, PASSWORD, USER
from ner.errors import NerError, ParamsError
from ner.tracking.mlflow_store import shown_uri

EDITOR, ADMINISTRATOR = "editor", "admin"
EDITED = ("experiment", "registered_model")
TIMEOUT_S = 10
THERE = "RESOURCE_ALREADY_EXISTS"


class Accounts:
    """MLflow's accounts, through its REST interface, as an administrator."""

    def __init__(self, uri: str, admin: str, password: str) -> None:
        self._uri = uri.rstrip("/")
        self._auth = (admin, password)

    def put(self, name: str, password: str, role: str) -> bool:
        """Make the account, or give the one that is there the role; whether it is new. Raises NerError."""
        is_new = self._ask("POST", "2.0/mlflow/users/create", {"username": name, "password": password}, THERE)
        self._ask("PATCH", "2.0/mlflow/users/update-admin", {"username": name, "is_admin": role == ADMINISTRATOR})
        for kind in EDITED:
            grant = {"username": name, "resource_type": kind, "resource_id": "*"}
            if role == EDITOR:
                self._ask("POST", "3.0/mlflow/users/permissions/grant", grant | {"permission": "EDIT"})
            else:
                self._ask("POST", "3.0/mlflow/users/permissions/revoke", grant, "RESOURCE_DOES_NOT_EXIST")
        return is_new

    def remove(self, name: str) -> None:
        """Raise NerError."""
        self._ask("DELETE", "2.0/mlflow/users/delete", {"username": name})

    def _ask(self, method: str, path: str, content: dict[str, Any], but: str | None = None) -> bool:
        """Return the answer, or False for the error `but`. Raises NerError for any other, without the password."""
        try:
            answer = httpx.request(method, f"{self._uri}/api/{path}", json=content, auth=self._auth, timeout=TIMEOUT_S)
        except httpx.HTTPError as error:
            raise NerError(f"MLflow at {shown_uri(self._uri)} does not answer ({type(error).__name__}).") from None
        if answer.is_success:
            return True
        try:
            body = dict(answer.json())
        except (ValueError, TypeError):
            body = {}
        if but and body.get("error_code") == but:
            return False
        why = body.get("message") or f"status {answer.status_code}"
        raise NerError(f"MLflow at {shown_uri(self._uri)} refuses ({path.rpartition('mlflow/')[2]}): {str(why)[:200]}")


def make_own(uri: str, admin: str, admin_password: str, user: str, password: str) -> str:
    """Return the account of the pipeline itself, an editor unless it is the administrator's. Raises NerError."""
    if user != admin and Accounts(uri, admin, admin_password).put(user, password, EDITOR):
        return f"made the MLflow account {user!r} of the pipeline, an editor"
    answer = httpx.get(f"{uri.rstrip('/')}/api/2.0/mlflow/users/current", auth=(user, password), timeout=TIMEOUT_S)
    if not answer.is_success:
        raise NerError(f"MLflow does not take {USER} with {PASSWORD} (status {answer.status_code}): set what it has.")
    return f"the pipeline's MLflow account is {user!r}"


def main(
    role: Annotated[Literal["reader", "editor", "admin"] | None, typer.Argument(help="What it may do.")] = None,
    name: Annotated[str | None, typer.Argument(help="The account; it is created if it does not exist.")] = None,
    remove: Annotated[str | None, typer.Option(help="Remove this account.")] = None,
) -> None:
    """Make, change or remove an account. Raises ParamsError and NerError."""
    if not (remove or (name and role)):
        raise ParamsError("name a role (reader, editor, admin) and an account, as in ner accounts reader anna.")
    uri, password = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get(ADMIN_PASSWORD, "")
    if not uri.startswith("http") or not password:
        raise ParamsError(f"set MLFLOW_TRACKING_URI (http…) and {ADMIN_PASSWORD}: accounts are the server's.")
    accounts = Accounts(uri, os.environ.get(ADMIN) or "admin", password)
    if remove:
        accounts.remove(remove)
        print(f"{remove} was removed", flush=True)
    else:
        new = os.environ.get("NER_NEW_PASSWORD") or getpass.getpass(f"password for {name}: ")
        is_new = accounts.put(name, new, role)
        print(f"{name} {'is' if is_new else 'keeps the password and is now'} {role}", flush=True)
