"""Serves the champion on this machine: a process that holds the model, and a front that drops no request.

Run     ner serve [--model ner/3]      (make serve)
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
from contextlib import contextmanager
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
from ner.serving.follow import Follower
from ner.serving.metrics import Metrics, Watched
from ner.serving.queue import Queue
from ner.serving.rollover import Switch
from ner.serving.settings import Settings, child_environment, listen, read_settings
from ner.tracking.mlflow_store import name_a_version, shown_uri, tracking_uri

ALIAS = "champion"
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
    follow: Sequence[str],
    start: Callable[[Version], list[str]],
    store: Store | None = None,
) -> None:
    """Serve until a signal. follow, start: commands of the children; store: of what monitoring needs.

    Raises NerError where nothing can be served.
    """
    uri, metrics = tracking_uri(), Metrics()
    environment = child_environment(uri) | {"NER_OBSERVE": "1"}

    def make(version: Version) -> Backend:
        chosen = version.precision if settings.precision == "as judged" else settings.precision
        return Backend(version, start(version), environment | {"NER_PRECISION": chosen}, say)

    with listen(settings.port, settings.access.listen) as door:
        switch = Switch(reference, make, say, metrics.restarts.inc)
        follower = Follower(follow, environment, switch.point)
        try:
            switch.point(await first_version(follower, reference), None)
            alias = reference.partition("@")[2] or None
            address = shown_uri(uri).rstrip("/") if uri.startswith("http") else None
            queue = Queue(switch, HELD * settings.max_bytes, settings.timeout_s, store, metrics)
            api = Api(switch, queue, metrics, settings.max_bytes, alias, address)
            app = Watched(Door(make_app(api), settings.access), metrics, settings.log == "json")
            await _until_signal(app, door, switch, partial(_ready, reference, settings, say))
        finally:
            await asyncio.gather(follower.stop(), switch.stop())


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


async def _tell_ready(switch: Switch, ready: Callable[[Switch], None]) -> None:
    while not switch.live:
        await asyncio.sleep(0.1)
    ready(switch)


def _ready(reference: str, settings: Settings, say: Callable[[str], None], switch: Switch) -> None:
    follows = f"it follows {reference}" if "@" in reference else f"it stays with {reference}"
    name = switch.live.version.name if switch.live else reference
    direct = "--noproxy '*' " if proxy(os.environ) else ""
    say(READY.format(name=name, url=settings.url, direct=direct, sample=SAMPLE, follows=follows))


async def first_version(follower: Follower, reference: str) -> Version:
    """Return the version to serve first. Raises NerError with what to do."""
    try:
        return await follower.first()
    except ModelError as error:
        raise ModelError(f"{str(error).rstrip('.')}: {name_a_version(reference)}.") from None


def main(model: Annotated[str | None, typer.Option(help="ner@champion (default) or ner/3.")] = None) -> None:
    """Serve a version until a signal. Raises NerError where nothing can be served."""
    params = read_params()
    reference = model or f"{params.registry.model}@{ALIAS}"
    reference, store = reference.removeprefix("models:/"), Store.of(params.monitor, "serve")
    settings, follow = read_settings(os.environ), serve_follow.command(reference)
    asyncio.run(serve(reference, settings, partial(print, flush=True), follow, serve_backend.command, store))
