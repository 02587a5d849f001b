"""The fourth process of `make up`: starts flow `ner-promoted` when the alias `champion` is not where the history says.

Run     python -m flows.watch      (needs PREFECT_API_URL, and MLFLOW_TRACKING_URI as http)

A look is one request for the registered model, whose tags are the history; most looks end there. What it starts is
idempotent, so that a restart here, or asking twice, adds nothing.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException

from flows.worker import wait_until_healthy
from ner.errors import NerError
from ner.promotion import Entry, read_history, sentence
from tasks.cli import run_stage
from tasks.io import read_params

DEPLOYMENT = "ner-promoted/promoted"
ALIAS = "champion"
LOOK_EVERY_S = 15
START_AGAIN_AFTER_S = 600  # a check takes a minute; after this long without an entry its flow run was lost
MISSES = 2  # so many looks in a row fail before it is said: servers that start together are not there at once


@dataclass(frozen=True)
class Seen:
    """What a look found: the version with the alias, or None, and the history."""

    model: str
    champion: int | None
    entries: list[Entry]

    @property
    def recorded(self) -> int | None:
        """Who is champion by the history's last word."""
        known = self.entries[-1].champion if self.entries else None
        return known.version if known else None


@dataclass
class Watch:
    """look: asks the registry; start: starts the flow and returns its run's name; say: prints a line."""

    look: Callable[[], Seen]
    start: Callable[[], str]
    say: Callable[[str], None]
    misses: int = 0
    entries: int | None = None
    started: tuple[int | None, int] | None = field(default=None)  # for which champion, after how many entries
    started_at: float = 0.0

    def step(self, now: float) -> None:
        """Look once, at `now` in seconds. What cannot be reached is told once, and the next step looks again."""
        try:
            self.act(self.look(), now)
        except (NerError, httpx.HTTPError, PrefectException) as error:
            self.misses += 1
            if self.misses == MISSES:
                self.say(f"{problem(error)}; it looks again every {LOOK_EVERY_S} s")
        else:
            if self.misses >= MISSES:
                self.say("both servers answer again")
            self.misses = 0

    def act(self, seen: Seen, now: float) -> None:
        """Tell what is new in the history; start the flow where champion is not where the history says."""
        if self.entries is not None:
            for entry in seen.entries[self.entries :]:
                self.say(("" if entry.passed else "WARNING: ") + sentence(seen.model, entry))
        self.entries = len(seen.entries)
        move = (seen.champion, len(seen.entries))
        if seen.champion == seen.recorded:
            self.started = None
        elif move != self.started or now - self.started_at >= START_AGAIN_AFTER_S:
            name = self.start()
            self.started, self.started_at = move, now
            where = f"version {seen.champion}" if seen.champion else "no version"
            self.say(f"champion of {seen.model} points to {where}, unknown to the history: flow run {name} checks it")


def look() -> Seen:
    """Ask the registry. Raises NerError and httpx.HTTPError."""
    model, uri = read_params().registry.model, os.environ["MLFLOW_TRACKING_URI"].rstrip("/")
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    answer = httpx.get(
        f"{uri}/api/2.0/mlflow/registered-models/get",
        params={"name": model},
        auth=(user, password) if user else None,
        timeout=10,
    )
    if answer.status_code == 404:
        return Seen(model, None, [])
    answer.raise_for_status()
    try:
        about = answer.json()["registered_model"]
        tags = {tag["key"]: tag.get("value", "") for tag in about.get("tags", [])}
        versions = [int(one["version"]) for one in about.get("aliases", []) if one["alias"] == ALIAS]
    except (ValueError, KeyError, TypeError):
        raise NerError("what answers at MLFLOW_TRACKING_URI is no MLflow server") from None
    return Seen(model, versions[0] if versions else None, read_history(tags))


def start() -> str:
    """Start a flow run of the deployment; returns its name. Raises PrefectException and httpx.HTTPError."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        return client.create_flow_run_from_deployment(deployment.id).name


def problem(error: Exception) -> str:
    """What keeps it from looking, in words."""
    if isinstance(error, ObjectNotFound):
        return f"the deployment {DEPLOYMENT} is not there: `prefect deploy --all` makes it"
    if isinstance(error, httpx.HTTPError):
        return f"the MLflow or the Prefect server does not answer ({type(error).__name__})"
    return str(error).rstrip(".")


def main() -> None:
    """Look until a signal ends it."""
    with suppress(NerError):  # the worker ends `make up` for a server that does not come
        wait_until_healthy("the Prefect server", f"{os.environ['PREFECT_API_URL']}/health")
        wait_until_healthy("the MLflow server", f"{os.environ['MLFLOW_TRACKING_URI']}/health")
    watch = Watch(look, start, lambda line: print(line, flush=True))
    while True:
        watch.step(time.monotonic())
        time.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    run_stage("watch", main)
