"""The third process of `make up`: waits for the servers, deploys prefect.yaml, prints addresses, becomes the worker."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed

from flows.runtime.crash_recovery import take_up_lost_runs
from flows.runtime.prefect_api import answers, told_when_slow
from flows.servers.settings import WORK_POOL
from ner.common.access import ADMIN, ADMIN_PASSWORD, PASSWORD, USER
from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.common.loopback import no_proxy, proxy
from ner.common.stores import is_team
from ner.errors import NerError
from ner.tracking.mlflow_store import shown_uri

_PREFECT = [sys.executable, "-m", "prefect"]
HEALTHY_WITHIN_S, TIMEOUT_S = 180, 10
BANNER = """\
ready
  Prefect  {prefect}
  MLflow   {mlflow}/#/?workflowType=machine_learning
  log      .ner/up.log
next, in another shell, from this folder and with its environment (. .venv/bin/activate):{no_proxy}
  prefect deployment run ner/train --watch
  prefect deployment run ner/train --param 'train={{"epochs": 3}}' --watch
  make train
promote a version by the alias champion, with the pencil beside its aliases; it is checked within a minute:
  {mlflow}/#/models/{model}?workflowType=machine_learning
Ctrl-C stops all."""


def main() -> None:
    """Become the process `prefect worker start`; never returns."""
    api, mlflow = os.environ["PREFECT_API_URL"], os.environ["MLFLOW_TRACKING_URI"]
    admin, password = os.environ.pop(ADMIN, ""), os.environ.pop(ADMIN_PASSWORD, "")  # flow runs need neither
    wait_until_healthy("the Prefect server", f"{api}/health")
    prefect("work-pool", "create", WORK_POOL, "--type", "process", "--overwrite")
    prefect("deploy", "--all")
    if not is_team(os.environ):  # among several workers none knows whether another's run is lost
        crash_lost_runs()
    take_up_lost_runs()
    wait_until_healthy("the MLflow server", f"{mlflow}/health")
    if password:
        try:
            print(make_own(mlflow, admin, password, os.environ[USER], os.environ[PASSWORD]), flush=True)
        except httpx.HTTPError as error:
            raise NerError(f"MLflow at {shown_uri(mlflow)} makes no account for the pipeline: {error}") from None
    print(banner(api.removesuffix("/api"), mlflow, os.environ, read_params().registry.model), flush=True)
    os.execv(sys.executable, [*_PREFECT, "worker", "start", "--pool", WORK_POOL, "--name", f"ner-{os.getpid()}"])


def banner(prefect: str, mlflow: str, environment: Mapping[str, str], model: str = "ner") -> str:
    """Return the text shown when all is up; behind a proxy also how to exempt this machine in a shell."""
    line = f"\n  export no_proxy={no_proxy(environment)}" if proxy(environment) else ""
    return BANNER.format(prefect=prefect, mlflow=mlflow, model=quote(model, safe=""), no_proxy=line)


def wait_until_healthy(name: str, url: str, within_s: float = HEALTHY_WITHIN_S) -> None:
    """Ask until the answer is good. Raises NerError after `within_s`."""
    until = time.monotonic() + within_s
    with told_when_slow(f"waiting for {name} to answer at {shown_uri(url)}"):
        while time.monotonic() < until:
            if answers(url.removesuffix("/health")):
                return
            time.sleep(0.5)
    raise NerError(f"{name} did not answer at {shown_uri(url)} within {within_s:.0f} s; see its lines above.")


def crash_lost_runs() -> None:
    """End the flow runs of a worker that was killed: to the server they still run, and would hold the one slot."""
    unfinished = FlowRunFilter(state={"type": {"any_": [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]}})
    pool = WorkPoolFilter(name={"any_": [WORK_POOL]})
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=unfinished, work_pool_filter=pool):
            client.set_flow_run_state(run.id, Crashed(message="Its worker was killed."), force=True)
            print(f"flow run {run.name} was lost with its worker; it is now marked as crashed", flush=True)


def prefect(*arguments: str) -> None:
    """Run a prefect command, quiet unless it fails. Raises NerError."""
    done = subprocess.run([*_PREFECT, "--no-prompt", *arguments], capture_output=True, text=True)
    if done.returncode:
        output: Sequence[str] = (done.stdout + done.stderr).split()
        raise NerError(f"`prefect {' '.join(arguments)}` failed: {' '.join(output)[-400:]}")


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


if __name__ == "__main__":
    run_stage("worker", main)
