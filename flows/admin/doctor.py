"""Is everything here in order for a run: this machine, the servers, DVC, the registry; and if not, what to do.

Run     ner doctor [--json]     (seconds, and at most 10 more where a server hangs)
Exits with 1 where there is a problem; warnings alone are 0. It writes nothing.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, TypeVar

import httpx
import typer

from flows.runtime.prefect_api import paused
from flows.servers.mlflow_rest import running
from flows.servers.settings import WORK_POOL
from ner.admin.health import OK, PROBLEM, WARNING, Finding, machine
from ner.common.files import read_params
from ner.errors import NerError
from ner.tracking.mlflow_store import shown_uri

ANSWERS_WITHIN_S, REMOTE_WITHIN_S = 3.0, 6.0
T = TypeVar("T")
SHOWN = 3  # names in a sentence


def examine(root: Path) -> Iterator[Finding]:
    """Yield every finding, machine first. Raises ParamsError where params.yaml cannot be read."""
    params = read_params()
    remote = _aside(lambda: reach_remote(root))  # the slow ones first, side by side
    registry = _aside(lambda: list(check_registry(params.registry.model)))
    where = addresses(root, os.environ)
    asked = {name: _aside(lambda url=url, name=name: ask_server(name, url)) for name, url in where.items()}
    yield from machine(root, params)
    for name in ("prefect", "mlflow"):
        yield _result(asked[name], name, ANSWERS_WITHIN_S) if name in asked else no_server(name)
    if "prefect" in asked and (reason := paused(where["prefect"], WORK_POOL)):
        yield Finding("pool", WARNING, f"{reason}.")
    yield from _guarded("dvc", lambda: check_dvc(root))
    yield _result(remote, "remote", REMOTE_WITHIN_S)
    answers = "mlflow" not in asked or _result(asked["mlflow"], "mlflow", 0).verdict != PROBLEM
    if answers:
        yield from registry.result()
    else:
        yield Finding("registry", WARNING, "not checked, since MLflow does not answer.")


def addresses(root: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return where each server should answer: as the environment says, else as `make up` says while it runs."""
    started = running(root)
    named = {"prefect": "PREFECT_API_URL", "mlflow": "MLFLOW_TRACKING_URI"}
    urls = {name: environment.get(key) or started.get(key) or "" for name, key in named.items()}
    return {name: url.rstrip("/") for name, url in urls.items() if url.startswith("http")}


def ask_server(name: str, url: str) -> Finding:
    """Return whether the server answers, and its version."""
    path = {"prefect": f"{url}/admin/version", "mlflow": f"{url}/version"}[name]
    shown = shown_uri(url)
    try:
        answer = httpx.get(path, timeout=ANSWERS_WITHIN_S, auth=_login(name))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        what_to_do = "`make up` starts it; where that runs already, .ner/up.log says more"
        return Finding(name, PROBLEM, f"nothing answers at {shown} ({type(error).__name__}): {what_to_do}.")
    if answer.status_code in (401, 403):
        return Finding(name, PROBLEM, f"{shown} refuses (status {answer.status_code}): set its user and password.")
    if not answer.is_success:
        return Finding(name, PROBLEM, f"{shown} answers with status {answer.status_code}: look at its log.")
    theirs, ours = answer.text.strip().strip('"')[:40], version(name)
    if theirs != ours:
        return Finding(name, WARNING, f"{shown} is {name} {theirs}, this checkout has {ours}: use one version.")
    return Finding(name, OK, f"{name} {theirs} answers at {shown}.")


def no_server(name: str) -> Finding:
    """Return what is used in place of a server that no setting names."""
    used = {"prefect": "`make train` starts a temporary one", "mlflow": "the store is mlflow/data"}[name]
    return Finding(name, OK, f"no server is named, so {used}; `make up` starts both servers.")


def check_dvc(root: Path) -> Iterator[Finding]:
    """Yield which stages DVC would run."""
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            status = repo.status()
    except LockError:
        yield Finding("dvc", WARNING, "another DVC command works on this checkout: run this again when it has ended.")
        return
    except DvcException as error:
        yield Finding("dvc", PROBLEM, f"DVC cannot work here: {' '.join(str(error).split())[:200]}")
        return
    changed = [name.removeprefix("dvc.yaml:") for name in status]
    if changed:
        yield Finding("stages", WARNING, f"changed: {_some(changed)}: `make train` brings them up to date.")
    else:
        yield Finding("stages", OK, "all are up to date.")


def reach_remote(root: Path) -> Finding:
    """Return whether DVC's default remote can be listed."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        name = repo.config["core"].get("remote")
        if name is None:
            return Finding("remote", OK, "DVC has no default remote, so results are not shared.")
        try:
            far = repo.cloud.get_remote_odb(name, "status")
            has_folder = far.fs.exists(far.path)
        except Exception as error:  # each kind of remote raises errors of its own
            why = f"the remote {name} cannot be read ({_short(error)})"
            return Finding("remote", PROBLEM, f"{why}: see `dvc remote list`.")
    if not has_folder:  # some kinds of remote say the same where nobody answers
        return Finding("remote", WARNING, f"the remote {name} is new, or cannot be reached: try `dvc push`.")
    return Finding("remote", OK, f"the remote {name} can be read.")


def check_registry(model: str) -> Iterator[Finding]:
    """Yield a finding for champion and challenger each: whether the files of its version are there.

    A process of its own asks, since MLflow is imported for seconds.
    """
    command = [sys.executable, "-m", "ner.registry.aliases", model]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no word why"])[-1].removeprefix("registry: ")
        yield Finding("registry", PROBLEM, reason)
        return
    for alias, state in json.loads(done.stdout).items():
        if state is None:
            what = "a person sets it in the MLflow UI" if alias == "champion" else "`make train` registers one"
            yield Finding(alias, OK, f"no version of {model} has the alias; {what}.")
        elif not state[1]:
            restore = "put the artifacts back from a backup, or set the alias on another version"
            yield Finding(alias, PROBLEM, f"the files of {model} version {state[0]} are gone: {restore}.")
        else:
            yield Finding(alias, OK, f"{model} version {state[0]}, with its files.")


def _guarded(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except NerError as error:
        yield Finding(name, PROBLEM, str(error))


def _aside(check: Callable[[], T]) -> Future[T]:
    """Run the check in a thread that the end of the process does not wait for."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(check())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _result(future: Future[Finding], name: str, within_s: float) -> Finding:
    try:
        return future.result(within_s)
    except TimeoutError:
        return Finding(name, PROBLEM, f"no answer within {within_s:.0f} s: see that it runs and can be reached.")
    except Exception as error:
        return Finding(name, PROBLEM, f"it could not be checked ({_short(error)}).")


def _login(name: str) -> tuple[str, str] | None:
    if name == "prefect":
        user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    else:
        user, password = (os.environ.get(f"MLFLOW_TRACKING_{key}", "") for key in ("USERNAME", "PASSWORD"))
    return (user, password) if user else None


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200].rstrip(".")


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as one JSON list.")] = False,
) -> None:
    """Print every finding; the exit status is 1 where one is a problem."""
    findings = []
    for finding in examine(Path.cwd()):
        findings.append(finding)
        if not as_json:
            print(f"{finding.verdict:<9}{finding.name:<12}{finding.sentence}", flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    raise SystemExit(int(any(finding.verdict == PROBLEM for finding in findings)))
