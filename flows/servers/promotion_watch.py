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
from typing import NamedTuple
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound, PrefectException

from flows.runtime.names import dated
from flows.runtime.prefect_api import paused
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
START_AGAIN_AFTER_S = 600  # a check takes a minute; after this long without an entry its flow run was lost
STARTS_IN_A_ROW = 3  # a flow run that ended without an entry is followed at once, but not for ever
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


class Run(NamedTuple):
    """A flow run that was started here."""

    id: UUID
    name: str


@dataclass
class Watch:
    """look: asks the registry; start: starts the flow; is_over: whether a run of it has ended; say: prints a line;
    every_s: seconds between two looks; paused: why flow runs wait, or None."""

    look: Callable[[], Seen]
    start: Callable[[], Run]
    is_over: Callable[[Run], bool]
    say: Callable[[str], None]
    every_s: int = LOOK_EVERY_S
    paused: Callable[[], str | None] = lambda: None  # why flow runs wait
    waits: str | None = None  # what was told of that
    misses: int = 0
    entries: int | None = None
    move: tuple[int | None, int] | None = None  # what was started last: for which champion, after how many entries
    run: Run | None = None
    started_at: float = 0.0
    starts: int = 0
    was_over: bool = False

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
        elif move != self.move:
            name = self.begin(move, now, starts=1)
            self.say(f"champion of {seen.model} points to {where}, unknown to the history: flow run {name} checks it")
        elif lost := self.lost(now):
            name = self.begin(move, now, self.starts + 1)
            self.say(f"flow run {lost} left no entry in the history for {where}: flow run {name} checks it again")

    def begin(self, move: tuple[int | None, int], now: float, starts: int) -> str:
        """Start the flow for a move of the alias; returns its run's name."""
        self.run = self.start()
        self.move, self.started_at, self.starts, self.was_over = move, now, starts, False
        return self.run.name

    def lost(self, now: float) -> str | None:
        """Return the last flow run's name where it ended without an entry in the history, or took too long; else None.

        Or took too long.

        A killed one is followed within two looks, and the third in a row after START_AGAIN_AFTER_S.
        """
        if now - self.started_at >= START_AGAIN_AFTER_S:
            return self.run.name
        before, self.was_over = self.was_over, self.starts < STARTS_IN_A_ROW and self.is_over(self.run)
        return self.run.name if before and self.was_over else None


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


def start() -> Run:
    """Start a flow run of the deployment. Raises PrefectException and httpx.HTTPError."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT)
        made = client.create_flow_run_from_deployment(deployment.id, name=dated("check of the champion"))
        return Run(made.id, made.name)


def is_over(run: Run) -> bool:
    """Return whether the flow run has ended, in whatever way, or somebody deleted it."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(run.id).state
        except ObjectNotFound:
            return True
        return state is not None and state.is_final()


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
    watch = Watch(look, start, is_over, say, every_s, lambda: paused(api, WORK_POOL))
    while True:
        watch.step(time.monotonic())
        time.sleep(every_s)


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    run_stage("watch", main)
