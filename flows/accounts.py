"""Accounts of the MLflow server that `make up` runs with authentication: who may read, write, promote.

Run     python -m flows.accounts reader anna      (or editor, admin; again with another role: it is changed)
        python -m flows.accounts --remove anna
Reads   MLFLOW_TRACKING_URI; MLFLOW_AUTH_ADMIN_USERNAME (admin) and MLFLOW_AUTH_ADMIN_PASSWORD, who asks;
        NER_NEW_PASSWORD, else the password is asked for

A reader sees everything; an editor writes runs and registers versions, as the pipeline does; an admin promotes too.
"""

import argparse
import getpass
import os
from typing import Any

import httpx

from flows.access import ADMIN, ADMIN_PASSWORD, PASSWORD, USER
from ner.errors import NerError, ParamsError
from tasks.cli import run_stage
from tasks.store import shown_uri

READER, EDITOR, ADMINISTRATOR = ROLES = ("reader", "editor", "admin")
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
        """Raises NerError."""
        self._ask("DELETE", "2.0/mlflow/users/delete", {"username": name})

    def _ask(self, method: str, path: str, content: dict[str, Any], but: str | None = None) -> bool:
        """False where the answer is the error `but`. Raises NerError for any other, without the password."""
        try:
            answer = httpx.request(method, f"{self._uri}/api/{path}", json=content, auth=self._auth, timeout=TIMEOUT_S)
        except httpx.HTTPError as error:
            raise NerError(f"MLflow at {shown_uri(self._uri)} does not answer ({type(error).__name__}).") from None
        if answer.is_success:
            return True
        try:
            told = dict(answer.json())
        except (ValueError, TypeError):
            told = {}
        if but and told.get("error_code") == but:
            return False
        why = told.get("message") or f"status {answer.status_code}"
        raise NerError(f"MLflow at {shown_uri(self._uri)} refuses ({path.rpartition('mlflow/')[2]}): {str(why)[:200]}")


def make_own(uri: str, admin: str, admin_password: str, user: str, password: str) -> str:
    """The account of the pipeline itself, an editor unless it is the administrator's. Raises NerError."""
    if user != admin and Accounts(uri, admin, admin_password).put(user, password, EDITOR):
        return f"made the MLflow account {user!r} of the pipeline, an editor"
    answer = httpx.get(f"{uri.rstrip('/')}/api/2.0/mlflow/users/current", auth=(user, password), timeout=TIMEOUT_S)
    if not answer.is_success:
        raise NerError(f"MLflow does not take {USER} with {PASSWORD} (status {answer.status_code}): set what it has.")
    return f"the pipeline's MLflow account is {user!r}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.accounts", description="Accounts of the MLflow server.")
    parser.add_argument("role", nargs="?", choices=ROLES)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--remove", metavar="NAME", help="take the account away")
    arguments = parser.parse_args()
    uri, password = os.environ.get("MLFLOW_TRACKING_URI", ""), os.environ.get(ADMIN_PASSWORD, "")
    if not uri.startswith("http") or not password:
        raise ParamsError(f"set MLFLOW_TRACKING_URI (http…) and {ADMIN_PASSWORD}: accounts are the server's.")
    accounts = Accounts(uri, os.environ.get(ADMIN) or "admin", password)
    if arguments.remove:
        accounts.remove(arguments.remove)
        print(f"{arguments.remove} was removed", flush=True)
    elif arguments.name:
        new = os.environ.get("NER_NEW_PASSWORD") or getpass.getpass(f"password for {arguments.name}: ")
        is_new = accounts.put(arguments.name, new, arguments.role)
        print(f"{arguments.name} {'is' if is_new else 'keeps the password and is now'} {arguments.role}", flush=True)
    else:
        parser.error("name a role and an account, or --remove one")


if __name__ == "__main__":
    run_stage("accounts", main)
