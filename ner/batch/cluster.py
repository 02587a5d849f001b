"""Who finds the entities of a batch's chunks: this process, or the workers of a Dask cluster.

with engine("local:4", model, 0.0) as find:       # None: this process; tcp://host:8786: a cluster that is there
    for chunk, entities, observed in find(chunks):          # a few chunks at a time; from a cluster in any order
        ...                                                 # observed: None unless asked for with observe=True

A worker that dies costs its chunk's time: Dask gives the chunk to another one, and what it answers is taken once.
"""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ner.batch.chunks import Chunk
from ner.batch.model import Model, code_digest, read_inputs
from ner.errors import NerError

CHUNKS_A_WORKER = 3  # one at work, the others on their way
WORKERS_WITHIN_S, LOOK_EVERY_S = 30, 5
GO_ON = "repeat the command to resume"

Entities = list[list[dict[str, Any]]]
Observed = list[dict[str, Any]] | None
Found = Iterator[tuple[Chunk, Entities, Observed]]


@contextmanager
def engine(
    cluster: str | None, model: Model, min_score: float, observe: bool = False
) -> Iterator[Callable[[Iterator[Chunk]], Found]]:
    """Give a function that finds the entities of chunks. Raises NerError where there is no such cluster."""
    if cluster is None:
        arguments: tuple[bool, Model, float, str, int | None] = (observe, model, min_score, code_digest(), None)
        yield lambda chunks: ((chunk, *read_inputs([row.input for row in chunk.rows], *arguments)) for chunk in chunks)
        return
    with connect(cluster) as (client, threads):
        arguments = (observe, model, min_score, code_digest(), threads)
        yield lambda chunks: on_cluster(client, cluster, chunks, arguments)


@contextmanager
def connect(cluster: str) -> Iterator[tuple[Any, int | None]]:
    """Connect to the cluster: its client, and the threads of each worker's network; None: as many as the worker has."""
    from dask import config
    from dask.system import CPU_COUNT
    from distributed import Client, LocalCluster

    quiet = {"distributed.admin.system-monitor.gil.enabled": False}
    if cluster.startswith("local:"):
        number = _number(cluster)
        threads = max(1, CPU_COUNT // number)
        options = {"threads_per_worker": 1, "memory_limit": 0, "dashboard_address": None}
        with (
            config.set(quiet),
            LocalCluster(n_workers=number, silence_logs=logging.ERROR, **options) as local,
            Client(local) as client,
        ):
            yield client, threads
        return
    if "://" not in cluster:
        raise NerError(f"{cluster!r} is no cluster: write local:4 for four processes here, or tcp://host:8786.")
    try:
        client = Client(cluster, timeout=WORKERS_WITHIN_S)
        client.wait_for_workers(1, timeout=WORKERS_WITHIN_S)
    except (OSError, TimeoutError) as error:
        raise NerError(f"no Dask cluster with workers answers at {cluster} ({error}): start it; {GO_ON}.") from None
    with client:
        yield client, None


def on_cluster(client: Any, where: str, chunks: Iterator[Chunk], arguments: tuple[Any, ...]) -> Found:
    """Yield the entities of chunks as they come, a bounded number of chunks on their way. Raises NerError."""
    on_way: dict[Any, Chunk] = {}
    run = uuid.uuid4().hex[:8]

    def take() -> tuple[Chunk, Entities, Observed]:
        future = first_done(client, where, list(on_way))
        return on_way.pop(future), *future.result()

    with cluster_errors(where):
        client.run(exec, f"import {__name__}")  # a worker without this code would end at its first chunk
        for chunk in chunks:
            while len(on_way) >= CHUNKS_A_WORKER * max(1, len(client.nthreads())):
                yield take()
            inputs = [row.input for row in chunk.rows]
            future = client.submit(on_worker, inputs, *arguments, key=f"ner-{run}-{chunk.number}", pure=False)
            on_way[future] = chunk
        while on_way:
            yield take()


def first_done(client: Any, where: str, futures: list[Any]) -> Any:
    """Return the first future that is done. Raises NerError where no worker is left."""
    from distributed import wait

    without_workers_since = None
    while True:
        try:
            return next(iter(wait(futures, timeout=LOOK_EVERY_S, return_when="FIRST_COMPLETED").done))
        except TimeoutError:
            if client.nthreads():
                without_workers_since = None
                continue
        without_workers_since = without_workers_since or time.monotonic()
        if time.monotonic() - without_workers_since > WORKERS_WITHIN_S:
            raise NerError(f"no worker of {where} is left: start some; {GO_ON}.")


def on_worker(
    inputs: list[Any], observe: bool, model: Model, min_score: float, code: str, threads: int | None
) -> tuple[Entities, Observed]:
    """Run `read_inputs` on a worker; without a number of threads with as many as the worker has."""
    from distributed import get_worker

    return read_inputs(inputs, observe, model, min_score, code, threads or get_worker().state.nthreads)


@contextmanager
def cluster_errors(where: str) -> Iterator[None]:
    """Turn what Dask raises into a NerError of one sentence."""
    from distributed import KilledWorker
    from distributed.client import CancelledError
    from distributed.comm import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise NerError(f"a chunk was lost with several workers of {where} in a row ({error}): {GO_ON}.") from None
    except ModuleNotFoundError as error:
        raise NerError(
            f"a worker of {where} lacks a module ({error}): start the workers in a copy of this checkout, with its "
            "environment, by `python -m distributed.cli.dask_worker`."
        ) from None
    except (CancelledError, CommClosedError, OSError, TimeoutError) as error:
        raise NerError(f"the cluster at {where} is gone ({error}): start it again; {GO_ON}.") from None


def _number(cluster: str) -> int:
    text = cluster.removeprefix("local:")
    if not text.isdecimal() or not 0 < int(text) <= 1024:
        raise NerError(f"{cluster!r} is no cluster: local: needs a number of processes, as in local:4.")
    return int(text)
