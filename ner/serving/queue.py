"""Rows wait here for the model: those of like length are read together, and nobody waits where the model is idle.

queue = Queue(switch, max_bytes=256 << 20, timeout_s=600, store=None, metrics=Metrics())
answers, backend = await queue.ask(Asked(["Marta lives in Oslo."]), size=21)

The row that is due goes next, with those that suit it: a batch holds so many subwords at most, padding included, as
the model reads at once. One that is neither full nor as large as those being read waits a moment for more. A row of a
large request is due later the more of that request comes before it, so that small requests go between. All rows of a
request are answered by one process, so that the version in the answer's header is true.
"""

import asyncio
import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ner.inference.observation import OBSERVED
from ner.monitoring.store import Store
from ner.serving.backend import Backend
from ner.serving.metrics import Metrics
from ner.serving.request import Asked, Refused, Row
from ner.serving.rollover import Switch

LETTERS = 4  # in a subword, about
WAIT_S = 0.01  # for more rows, where another batch is being read
PACE_S = 0.001  # a subword takes about so long
LONGER = 2  # times a batch, at once to a lane where many wait: the model sorts them by their true lengths
LOOK_AT = 256  # waiting rows, for those that suit
AHEAD = 256  # rows of one request, however many it has
HANGS = 2  # times what a request may take, and the process of a batch is taken to hang
TOO_LONG = "the model took too long: send less at once, or use ner batch."


class Work:
    """A request: its rows, of which AHEAD at most wait in the queue; `done` has the answers once all are there.

    backend: the process that has its rows, once one has been sent.
    """

    def __init__(self, asked: Asked) -> None:
        loop = asyncio.get_running_loop()
        self.params, self.since = asked.params, loop.time()
        self.backend: Backend | None = None
        self.done: asyncio.Future[list[dict[str, Any]]] = loop.create_future()
        self._answers: list[dict[str, Any]] = [{}] * len(asked.rows)
        self._left, self._due = len(asked.rows), self.since
        self._rows = enumerate(asked.rows)
        if not asked.rows:
            self.done.set_result([])

    def next(self, number: int) -> "list[Waiting]":
        """Return its next rows, as many at most."""
        rows = []
        for index, row in itertools.islice(self._rows, number):
            rows.append(Waiting(self._due, subwords(row), row, index, self))
            self._due += rows[-1].size * PACE_S
        return rows

    def answer(self, index: int, answer: dict[str, Any]) -> None:
        """Take the answer of a row."""
        self._answers[index] = answer
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(self._answers)

    def fail(self, error: Exception) -> None:
        """Let the caller hear of an error."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(eq=False)
class Waiting:
    """A row. due: when it would be read if the requests took turns; size: in subwords, about."""

    due: float
    size: int
    row: Row
    index: int
    work: Work


class Queue:
    """Between the callers and the live backend; max_bytes: of the requests that wait or are answered.

    store: what the model says beside its answers, for monitoring, is kept there.
    """

    def __init__(
        self,
        switch: Switch,
        max_bytes: int,
        timeout_s: float,
        store: Store | None,
        metrics: Metrics,
    ) -> None:
        self._switch, self._max_bytes, self._timeout_s = switch, max_bytes, timeout_s
        self._store, self._metrics = store, metrics
        self._bytes = self._busy = self._busy_long = self._being_read = 0
        self._waiting: list[Waiting] = []
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.watch(lambda: len(self._waiting))

    async def ask(self, asked: Asked, size: int, is_answer: bool = True) -> tuple[list[dict[str, Any]], Backend]:
        """Return the answers, and the backend that gave them. Raises Refused. is_answer: somebody gets them."""
        self._switch.ready()
        if self._bytes and self._bytes + size > self._max_bytes:
            raise Refused(503, "too many large requests wait for the model: ask again in a while.", retry_after_s=10)
        self._bytes += size
        work = Work(asked)
        self._wait(work.next(AHEAD))
        try:
            self._send()
            async with asyncio.timeout(self._timeout_s):
                answers = await work.done
        except TimeoutError:
            raise Refused(504, TOO_LONG) from None
        finally:
            self._bytes -= size
            self._forget(work)
            if work.backend:
                work.backend.release()
        assert work.backend
        self._keep(answers, work.backend.version.name, is_answer)
        return answers, work.backend

    def _wait(self, rows: Sequence[Waiting]) -> None:
        for item in rows:
            bisect.insort(self._waiting, item, key=lambda other: other.due)

    def _forget(self, work: Work) -> None:
        """Take the rows out that nobody waits for any more."""
        before = len(self._waiting)
        self._waiting = [item for item in self._waiting if item.work is not work]
        if len(self._waiting) < before:
            self._send()

    def _send(self) -> None:
        """Send batches while lanes are free and rows wait."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        try:
            self._switch.ready()
        except Refused as refused:
            for item in self._waiting:
                if item.work.backend is None:
                    item.work.fail(refused)
        while batch := self._next():
            backend = batch[0].work.backend or self._switch.ready()
            waited = loop.time() - min(item.work.since for item in batch)
            is_small = len(batch) * self._busy < self._being_read and not is_full(batch, backend.about.budget)
            if is_small and waited < WAIT_S:
                self._timer = loop.call_later(WAIT_S - waited, self._send)
                return
            sent = set(batch)
            self._waiting = [item for item in self._waiting if item not in sent]
            for item in batch:
                self._wait(item.work.next(1))
            self._start(batch, backend)

    def _next(self) -> list[Waiting]:
        """Return the rows to send next; none where no lane is free for any."""
        rows = (item for item in self._waiting if not item.work.done.done())
        head = list(itertools.islice(rows, LOOK_AT))
        for first in itertools.chain(head, rows):
            backend = first.work.backend or self._switch.live
            if backend is None or self._busy >= backend.about.lanes:
                return []
            budget, lanes = backend.about.budget, backend.about.lanes
            if first.size > budget and self._busy_long >= lanes - 1:
                continue  # long ones leave a lane to short ones
            room = min(max(budget, sum(item.size for item in head) // lanes), LONGER * budget)
            suiting = [item for item in head if item is not first and suits(first, item, backend)]
            batch, longest = [first], first.size
            for other in sorted(suiting, key=lambda item: abs(item.size - first.size)):
                longest = max(longest, other.size)
                if longest * (len(batch) + 1) > room:
                    break
                batch.append(other)
            return batch
        return []

    def _start(self, batch: list[Waiting], backend: Backend) -> None:
        now = asyncio.get_running_loop().time()
        for item in batch:
            if item.work.backend is None:
                item.work.backend = backend
                backend.hold()
                self._metrics.waited.observe(now - item.work.since)
        self._metrics.rows.observe(len(batch))
        share = self._busy + 1 + bool(self._waiting)
        is_long = batch[0].size > backend.about.budget
        self._busy += 1
        self._busy_long += is_long
        self._being_read += len(batch)
        task = asyncio.create_task(self._read(batch, backend, max(1, backend.about.lanes // share)))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._done(task, len(batch), is_long))

    def _done(self, task: asyncio.Task[None], rows: int, is_long: bool) -> None:
        self._tasks.discard(task)
        self._being_read -= rows
        self._busy -= 1
        self._busy_long -= is_long
        self._send()

    async def _read(self, batch: list[Waiting], backend: Backend, threads: int) -> None:
        try:
            await self._answer(batch, backend, threads)
        except Exception as error:  # of ours: who waits must hear of it
            for item in batch:
                item.work.fail(error)

    async def _answer(self, batch: list[Waiting], backend: Backend, threads: int) -> None:
        try:
            rows = [item.row for item in batch]
            answers = await backend.predict(rows, batch[0].work.params, threads, HANGS * self._timeout_s)
        except Refused as refused:
            if len(batch) > 1 and refused.status != 503:
                for item in batch:  # one row spoils no other
                    await self._answer([item], backend, threads)
                return
            for item in batch:
                item.work.fail(refused)
            return
        for item, answer in zip(batch, answers, strict=True):
            item.work.answer(item.index, answer)

    def _keep(self, answers: list[dict[str, Any]], model: str, is_answer: bool) -> None:
        """Take what is for monitoring off the answers; a version that was registered before it has none."""
        rows = [(answer.pop(OBSERVED), answer["text"]) for answer in answers if OBSERVED in answer]
        if not is_answer:
            return
        self._metrics.count(answers, sum(observed.get("subwords", 0) for observed, _ in rows))
        if self._store and rows:
            observed, texts = zip(*rows, strict=True)
            self._store.add(model, observed, texts)


def subwords(row: Row) -> int:
    """Return about how many subwords a row has, special ones included."""
    letters = len(row) if isinstance(row, str) else sum(len(token) + 1 for token in row)
    return 2 + letters // LETTERS


def is_full(batch: Sequence[Waiting], budget: int) -> bool:
    """Return whether no other row of that length would find room."""
    return max(item.size for item in batch) * (len(batch) + 1) > budget


def suits(first: Waiting, other: Waiting, backend: Backend) -> bool:
    """Return whether both may be read in one batch."""
    return other.work.params == first.work.params and other.work.backend in (None, backend)
