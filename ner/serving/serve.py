"""Serves the champion on this machine: a process that holds the model, and a front that drops no request.

Run     ner serve [--model ner/3] [--shadow ner@challenger] [--canary 0.1]      (make serve SHADOW=… CANARY=…)
Reads   the MLflow registry (MLFLOW_TRACKING_URI, else the store in mlflow/data), through `python -m
        ner.registry.promotion.follow_alias`;
        NER_SERVE_PORT (5001), NER_SERVE_MAX_MB (16, of a request), NER_SERVE_TIMEOUT_S (600, the model's time for one);
        NER_HOST, NER_ALLOWED_HOSTS, NER_SERVE_TOKEN: for others than this machine, see ner/common/access.py;
        params.yaml [monitor]
Writes  what monitoring needs, into .ner/monitor or NER_MONITOR_FOLDER (docs/explanation/drift.md)

Where the alias moves, the new version is started beside the old one, has to answer a real request, and takes the next
ones; the old one finishes its own and stops.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Annotated, Any

import typer
import uvicorn

from ner.common.files import read_params
from ner.common.loopback import proxy
from ner.errors import ModelError
from ner.monitoring.store import Store
from ner.serving import backend as serve_backend
from ner.serving import follow as serve_follow
from ner.serving.app import Api, make_app
from ner.serving.auth import Door
from ner.serving.backend import Backend, Version
from ner.serving.challenger import Challenger
from ner.serving.follow import Follower
from ner.serving.metrics import Metrics, Watched
from ner.serving.queue import Queue
from ner.serving.rollover import Switch
from ner.serving.settings import Beside, Settings, child_environment, listen, read_settings
from ner.tracking.mlflow_store import name_a_version, shown_uri, tracking_uri

ALIAS, CHALLENGER = "champion", "challenger"
HELD = 16  # largest requests that are held at once
DRAIN_WITHIN_S = 30  # after Ctrl-C
KEEP_ALIVE_S = 75
SAMPLE = '{"inputs": {"text": ["Marta Okafor joined Helvion Steel in Rotterdam."]}}'
READY = """\
ready: {name} answers
  try it   {url}/
  ask      curl {direct}{url}/invocations -H 'Content-Type: application/json' -d '{sample}'
{follows}; Ctrl-C stops all"""


class Server(uvicorn.Server):
    """uvicorn's server, except that signals are ours: the children are stopped after the last answer."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(
    reference: str,
    settings: Settings,
    say: Callable[[str], None],
    follow: Callable[[str], list[str]],
    start: Callable[[Version], list[str]],
    store: Store | None = None,
    beside: Beside | None = None,
) -> None:
    """Serve until a signal. follow, start: commands of the children; store: of what monitoring needs; beside: a
    second version.

    Raises NerError where nothing can be served.
    """
    uri, metrics = tracking_uri(), Metrics()
    environment = child_environment(uri) | {"NER_OBSERVE": "1"}

    def make(version: Version) -> Backend:
        chosen = version.precision if settings.precision == "as judged" else settings.precision
        return Backend(version, start(version), environment | {"NER_PRECISION": chosen}, say)

    async with AsyncExitStack() as stack:
        door = stack.enter_context(listen(settings.port, settings.access.listen))

        async def side(follow: Sequence[str], reference: str) -> tuple[Queue, Switch, Follower]:
            switch = Switch(reference, make, say, metrics.restarts.inc)
            stack.push_async_callback(switch.stop)
            follower = Follower(follow, environment, switch.point)
            stack.push_async_callback(follower.stop)
            return Queue(switch, HELD * settings.max_bytes, settings.timeout_s, store, metrics), switch, follower

        queue, switch, follower = await side(follow(reference), reference)
        switch.point(await first_version(follower, reference), None)
        challenger = None
        if beside:
            theirs, other, follower = await side(follow(beside.reference), beside.reference)
            challenger = Challenger(
                other, theirs, metrics, store and store.beside("shadow"), beside.shadow, beside.canary
            )
            stack.push_async_callback(_end, asyncio.create_task(challenger.run(follower, say)))
        alias = reference.partition("@")[2] or None
        address = shown_uri(uri).rstrip("/") if uri.startswith("http") else None
        api = Api(switch, queue, metrics, settings.max_bytes, alias, address, challenger)
        app = Watched(Door(make_app(api), settings.access), metrics, settings.log == "json")
        await _until_signal(app, door, switch, partial(_ready, reference, settings, beside, say))


async def _until_signal(app: Any, door: socket.socket, switch: Switch, ready: Callable[[Switch], None]) -> None:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_WITHIN_S,
    )
    server = Server(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    keep = asyncio.create_task(switch.run())
    keep.add_done_callback(lambda task: setattr(server, "should_exit", True))
    announcement = asyncio.create_task(_tell_ready(switch, ready))
    try:
        await server.serve(sockets=[door])
    finally:
        announcement.cancel()
        keep.cancel()
        (ended,) = await asyncio.gather(keep, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _tell_ready(switch: Switch, ready: Callable[[Switch], None]) -> None:
    while not switch.live:
        await asyncio.sleep(0.1)
    ready(switch)


def _ready(
    reference: str, settings: Settings, beside: Beside | None, say: Callable[[str], None], switch: Switch
) -> None:
    follows = f"it follows {reference}" if "@" in reference else f"it stays with {reference}"
    follows += f"; {beside.reference} {beside}" if beside else ""
    name = switch.live.version.name if switch.live else reference
    direct = "--noproxy '*' " if proxy(os.environ) else ""
    say(READY.format(name=name, url=settings.url, direct=direct, sample=SAMPLE, follows=follows))


async def first_version(follower: Follower, reference: str) -> Version:
    """Return the version to serve first. Raises NerError with what to do."""
    try:
        return await follower.first()
    except ModelError as error:
        raise ModelError(f"{str(error).rstrip('.')}: {name_a_version(reference)}.") from None


def main(
    model: Annotated[str | None, typer.Option(help="ner@champion (default) or ner/3.")] = None,
    shadow: Annotated[
        str | None,
        typer.Option(help="This version, as ner@challenger, reads requests too; nobody gets its answers."),
    ] = None,
    shadow_share: Annotated[float, typer.Option(min=0, max=1, help="Share of the requests that it reads.")] = 1.0,
    canary: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the requests that it answers; without --shadow: ner@challenger."),
    ] = 0.0,
) -> None:
    """Serve a version until a signal. Raises NerError where nothing can be served."""
    params = read_params()
    reference = (model or f"{params.registry.model}@{ALIAS}").removeprefix("models:/")
    beside = None
    if shadow or canary:
        other = (shadow or CHALLENGER).removeprefix("models:/")
        if not {"@", "/"} & set(other):  # an alias alone
            other = f"{params.registry.model}@{other}"
        beside = Beside(other, shadow_share if shadow else 0.0, canary)
    settings, store = read_settings(os.environ), Store.of(params.monitor, "serve")
    say = partial(print, flush=True)
    asyncio.run(serve(reference, settings, say, serve_follow.command, serve_backend.command, store, beside))
