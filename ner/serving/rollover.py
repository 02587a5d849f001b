"""Which backend answers: started, watched, started again where it ends, and changed for another without a gap.

switch = Switch("ner@champion", make, say)  # make(version) starts the process of a backend
switch.point(version, None)                 # the alias is there now
await switch.run()                          # for ever; raises ModelError where the very first version does not come up

A version that does not come up never takes the place of one that answers. It is tried again, later and later.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ner.errors import ModelError, NerError
from ner.serving.backend import Backend, Version
from ner.serving.request import Refused

SOON_S, SOON_LIMIT_S = 1, 60  # until the next try, doubled with each, where nothing answers
LATER_S, LATER_LIMIT_S = 60, 3600  # and where another version answers
STEADY_S = 300  # a backend that has lived so long did not fail again
WAIT_S = 30  # for a caller, where nobody knows how long a start takes


@dataclass
class Failure:
    """How often in a row a version failed, and when it is tried again."""

    count: int
    again_at: float
    reason: str


class Switch:
    """`live` is the backend that answers new requests, or None; `note` is what a caller should know about it."""

    def __init__(
        self,
        reference: str,
        make: Callable[[Version], Backend],
        say: Callable[[str], None],
        restarted: Callable[[], None],
    ) -> None:
        self._reference, self._make, self._say, self._restarted = reference, make, say, restarted
        self.live: Backend | None = None
        self.starting: Version | None = None
        self._wanted: Version | None = None
        self._last: Version | None = None  # the one that answered last
        self._problem: str | None = None  # why nothing is known of the alias
        self._failures: dict[int, Failure] = {}
        self._changed = asyncio.Event()
        self._live_since = 0.0
        self._start_s: float = WAIT_S
        self._tasks: set[asyncio.Task[None]] = set()
        self._retiring: set[Backend] = set()

    @property
    def note(self) -> str | None:
        """Return a sentence where the version that answers is not the alias's, or not the newest wanted."""
        live, wanted = self.live, self._wanted
        failure = self._failures.get(wanted.number) if wanted else None
        if self._problem and live:
            return f"{self._problem}; {live.version.name} keeps answering."
        if wanted and failure and not (live and live.version.number == wanted.number):
            keeps = f"; {live.version.name} keeps answering" if live else ""
            return f"{wanted.name} did not come up ({failure.reason}){keeps}."
        if live and live.version.gate is not None and not live.version.gate.startswith("passed"):
            return f"{live.version.name} did not pass its gate."
        return f"{live.version.name} never passed a gate." if live and live.version.gate is None else None

    def ready(self) -> Backend:
        """Return the live backend. Raises Refused, which says why there is none and when to ask again."""
        if self.live and self.live.is_connected:  # its end is known by the socket before the process has ended
            return self.live
        doing = f"{self.starting.name} is loading" if self.starting else "its process ended and is started again"
        wait_s = max(1, round(self._start_s))
        raise Refused(503, f"no model is ready ({doing}): ask again in {wait_s} s.", wait_s)

    def point(self, version: Version | None, problem: str | None) -> None:
        """Take the version that the alias is on now; None, with a sentence, where it is on none or nobody knows."""
        if problem and problem != self._problem:
            self._say(problem + (f"; {self.live.version.name} keeps answering" if self.live else ""))
        elif self._problem and version:
            self._say(f"{self._reference} is {version.name} now")
        self._problem = problem
        if version:
            if self._wanted and self._wanted.number != version.number:
                self._failures.pop(version.number, None)  # a person wants it tried now
            self._wanted = version
            if self.live and self.live.version.number == version.number:
                self.live.version = version  # its tags may be others now
        self._changed.set()

    async def run(self) -> None:
        """Bring up what is due, for ever."""
        while True:
            self._changed.clear()
            due = self._due()
            if due:
                await self._bring_up(due)
            else:
                await self._until_changed(self._pause())

    async def stop(self) -> None:
        """End every process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        backends = [*self._retiring, *([self.live] if self.live else [])]
        self.live = None
        await asyncio.gather(*(backend.stop() for backend in backends))

    def _due(self) -> Version | None:
        """Return the version to start now: the alias's; else, where nothing answers, the one that answered last."""
        wanted, live = self._wanted, self.live
        if wanted and not (live and live.version.number == wanted.number) and not self._is_held(wanted):
            return wanted
        return self._last if self._last and not live and not self._is_held(self._last) else None

    def _is_held(self, version: Version) -> bool:
        failure = self._failures.get(version.number)
        return failure is not None and time.monotonic() < failure.again_at

    def _pause(self) -> float | None:
        """Return seconds until something may be due."""
        now = time.monotonic()
        waits = [failure.again_at - now for failure in self._failures.values() if failure.again_at > now]
        return min(waits, default=None)

    async def _until_changed(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _bring_up(self, version: Version) -> None:
        """Start a version, unless the alias moves on meanwhile, and let it answer. Raises ModelError for the first."""
        self.starting = version
        if version.number not in self._failures:
            meanwhile = f"; {self.live.version.name} answers until it is ready" if self.live else ""
            self._say(f"{version.name} is loading{meanwhile}")
        try:
            backend = await self._start(version)
        except (NerError, OSError) as error:
            self._failed(version, str(error))
            if self._last is None:
                raise ModelError(
                    f"{version.name} does not come up: {error}; the lines above say more. "
                    "Serve another version with ner serve --model ner/1, or move the alias."
                ) from None
            return
        finally:
            self.starting = None
        if backend:
            self._take_over(backend)

    async def _start(self, version: Version) -> Backend | None:
        backend = self._make(version)
        start = asyncio.create_task(backend.start())
        try:
            while not start.done():
                change = asyncio.create_task(self._changed.wait())
                await asyncio.wait({start, change}, return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                self._changed.clear()
                if not start.done() and self._wanted and version.number not in self._useful():
                    self._say(f"{version.name} is no longer wanted")
                    return None
            start.result()
            return backend
        finally:
            if not start.done() or start.cancelled() or start.exception():
                start.cancel()
                await asyncio.gather(start, return_exceptions=True)

    def _useful(self) -> set[int]:
        """Return numbers of the versions that are worth starting."""
        versions = [self._wanted, None if self.live else self._last]
        return {version.number for version in versions if version}

    def _take_over(self, backend: Backend) -> None:
        old, self.live, self._last = self.live, backend, backend.version
        self._live_since, self._start_s = time.monotonic(), backend.start_s
        rest = f"; {old.version.name} finishes {old.in_flight} requests and stops" if old else ""
        self._say(f"{backend.version.name} answers now{rest}")
        if backend.version.gate is None or not backend.version.gate.startswith("passed"):
            self._say(f"WARNING: {self.note}")
        self._task(self._watch(backend))
        if old:
            self._retiring.add(old)
            self._task(self._retire(old))

    async def _watch(self, backend: Backend) -> None:
        await backend.ended.wait()
        if backend is self.live:
            self.live = None
            self._restarted()
            self._failed(backend.version, "its process ended", time.monotonic() - self._live_since > STEADY_S)
            self._say(f"the process of {backend.version.name} ended; it is started again")
            self._changed.set()
            await backend.stop()

    async def _retire(self, backend: Backend) -> None:
        idle, ended = asyncio.create_task(backend.idle.wait()), asyncio.create_task(backend.ended.wait())
        await asyncio.wait({idle, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (idle, ended):
            task.cancel()
        await backend.stop()
        self._retiring.discard(backend)
        self._say(f"{backend.version.name} has stopped")

    def _failed(self, version: Version, reason: str, was_steady: bool = False) -> None:
        before = self._failures.get(version.number)
        count = 1 if before is None or was_steady else before.count + 1
        first, limit = (LATER_S, LATER_LIMIT_S) if self.live else (SOON_S, SOON_LIMIT_S)
        wait = min(first * 2 ** (count - 1), limit)
        self._failures[version.number] = Failure(count, time.monotonic() + wait, reason)
        if before is None and self.live:
            self._say(f"WARNING: {self.note}")

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
