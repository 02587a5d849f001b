"""The fourth process of `make up`: starts flow `ner-promoted` when the alias `champion` is not where the history says.

Run     python -m flows.servers.promotion_watch      (needs PREFECT_API_URL, and MLFLOW_TRACKING_URI as http)

A look is one request for the registered model, whose tags are the history; most looks end there. It looks every 15 s,
or every NER_WATCH_EVERY_S seconds. What it starts is idempotent, so that a restart here, or asking twice, adds nothing.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException

from flows.runtime.names import dated
from flows.runtime.prefect_api import paused, print_now
from flows.servers.mlflow_rest import ask
from flows.servers.settings import WORK_POOL
from flows.servers.worker import wait_until_healthy
from ner.common.cli import run_stage
from ner.common.files import read_params
from ner.errors import NerError, ParamsError
from ner.registry.promotion.rules import Entry, read_history, sentence

DEPLOYMENT = "ner-promoted/promoted"
ALIAS = "champion"
EVERY = "NER_WATCH_EVERY_S"
LOOK_EVERY_S = 15
START_AGAIN_AFTER_S = 300  # a check takes a minute; after this long without an entry its flow run was lost
MISSES = 2  # so many looks in a row fail before it is reported: servers that start together are not there at once


@dataclass(frozen=True)
class Seen:
    """The state of the registry: the version with the alias, or None, and the history."""

    model: str
    champion: int | None
    entries: list[Entry]

    @property
    def recorded(self) -> int | None:
        """Return who is champion by the history's last word."""
        known = self.entries[-1].champion if self.entries else None
        return known.version if known else None


@dataclass
class Watch:
    """look: asks the registry; start: starts the flow and returns its run's name; say: prints a line."""

    look: Callable[[], Seen]
    start: Callable[[], str]
    say: Callable[[str], None]
    every_s: int = LOOK_EVERY_S
    paused: Callable[[], str | None] = lambda: None  # why flow runs wait
    waits: str | None = None  # what was told of that
    misses: int = 0
    entries: int | None = None
    move: tuple[int | None, int] | None = None  # what was started last: for which champion, after how many entries
    started_at: float = 0.0

    def step(self, now: float) -> None:
        """Look once, at `now` in seconds. What cannot be reached is reported once, and asked again in the next step."""
        before, self.waits = self.waits, self.paused()
        if self.waits and self.waits != before:
            self.say(f"WARNING: {self.waits}")
        try:
            self.act(self.look(), now)
        except (NerError, httpx.HTTPError, PrefectException) as error:
            self.misses += 1
            if self.misses == MISSES:
                self.say(f"{problem(error)}; it looks again every {self.every_s} s")
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
        where = f"version {seen.champion}" if seen.champion else "no version"
        if seen.champion == seen.recorded:
            self.move = None
        elif move != self.move or now - self.started_at >= START_AGAIN_AFTER_S:
            name = self.start()
            self.move, self.started_at = move, now
            self.say(f"champion of {seen.model} points to {where}, unknown to the history: flow run {name} checks it")


def look() -> Seen:
    """Ask the registry. Raises NerError and httpx.HTTPError."""
    model = read_params().registry.model
    try:
        about = ask("GET", "registered-models/get", params={"name": model})
    except httpx.HTTPStatusError as error:
        if error.response.status_code == 404:
            return Seen(model, None, [])
        raise
    try:
        registered = about["registered_model"]
        tags = {tag["key"]: tag.get("value", "") for tag in registered.get("tags", [])}
        versions = [int(alias["version"]) for alias in registered.get("aliases", []) if alias["alias"] == ALIAS]
    except (ValueError, KeyError, TypeError):
        raise NerError("what answers at MLFLOW_TRACKING_URI is no MLflow server") from None
    return Seen(model, versions[0] if versions else None, read_history(tags))


def start() -> str:
    """Start a flow run of the deployment and return its name. Raises PrefectException and httpx.HTTPError."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        return client.create_flow_run_from_deployment(deployment.id, name=dated("check of the champion")).name


def problem(error: Exception) -> str:
    """Return what keeps the watch from reading the registry, in words."""
    if isinstance(error, ObjectNotFound):
        return f"the deployment {DEPLOYMENT} is not there: `prefect deploy --all` makes it"
    if isinstance(error, httpx.HTTPError):
        return f"the MLflow or the Prefect server does not answer ({type(error).__name__})"
    return str(error).rstrip(".")


def read_interval(environment: Mapping[str, str]) -> int:
    """Return the seconds between two looks, by NER_WATCH_EVERY_S, else 15. Raises ParamsError."""
    text = environment.get(EVERY) or str(LOOK_EVERY_S)
    if not text.isdecimal() or not 1 <= int(text) <= 3600:
        raise ParamsError(f"{EVERY} is {text!r}, need whole seconds from 1 to 3600.")
    return int(text)


def main() -> None:
    """Look until a signal ends it."""
    every_s = read_interval(os.environ)
    with suppress(NerError):  # the worker ends `make up` for a server that does not come
        wait_until_healthy("the Prefect server", f"{os.environ['PREFECT_API_URL']}/health")
        wait_until_healthy("the MLflow server", f"{os.environ['MLFLOW_TRACKING_URI']}/health")
    api = os.environ["PREFECT_API_URL"]
    watch = Watch(look, start, print_now, every_s, lambda: paused(api, WORK_POOL))
    while True:
        watch.step(time.monotonic())
        time.sleep(every_s)


if __name__ == "__main__":
    run_stage("watch", main)
