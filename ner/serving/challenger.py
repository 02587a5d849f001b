"""A second version beside the one that answers: which reads a share of the requests in the shadow, or answers it.

    challenger = Challenger(switch, queue, metrics, store, shadow=0.5, canary=0.1)
    challenger.answers(key)                               # is this request for the canary?
    challenger.read_too(asked, size, answers, backend)    # in the shadow: nobody waits for it, nobody hears of it

What both versions read, and where their entities differ, is counted for Prometheus and kept for `ner compare`, with the
texts only where monitor.keep is text. The shadow reads IN_SHADOW requests at once; more are counted as skipped.
"""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ner.errors import NerError
from ner.monitoring.store import Store
from ner.serving.backend import Backend, Version
from ner.serving.follow import Follower
from ner.serving.metrics import Metrics
from ner.serving.queue import Queue
from ner.serving.request import Asked, Refused
from ner.serving.rollover import Switch

KEY_HEADER, ROLE_HEADER = "X-Canary-Key", "X-Model-Role"
IN_SHADOW = 2  # requests at once
AGAIN_S = 1  # until the process of a challenger that did not come up is asked for again; the switch waits longer


@dataclass
class Challenger:
    """The other version. shadow, canary: shares of the requests, 0 to 1."""

    switch: Switch
    queue: Queue
    metrics: Metrics
    store: Store | None
    shadow: float
    canary: float
    _reading: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    @property
    def name(self) -> str | None:
        """Return the version's name: ner/4; None where none is ready."""
        return self.switch.live.version.name if self.switch.live else None

    def answers(self, key: str | None, live: Backend | None) -> bool:
        """Return whether the canary answers a request. The same key is always answered by the same side.

        key: the caller's X-Canary-Key, such as a user's id; None: by chance.
        """
        return self._is_other(live) and place(key) < self.canary

    def read_too(self, asked: Asked, size: int, answers: Sequence[Mapping[str, Any]], backend: Backend) -> None:
        """Let the challenger read, after the answer, what `backend` answered."""
        if not (asked.rows and self._is_other(backend)) or random.random() >= self.shadow:  # noqa: S311
            return
        if len(self._reading) >= IN_SHADOW:
            self.metrics.shadow.labels("skipped").inc(len(asked.rows))
            return
        task = asyncio.create_task(self._read(asked, size, answers, backend.version))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def run(self, follower: Follower, say: Callable[[str], None]) -> None:
        """Keep the challenger up, for ever. One that is not there yet, or does not come up, stops nobody."""
        try:
            self.switch.point(await follower.first(), None)
        except NerError as error:
            say(f"challenger: {error}")
        while True:
            try:
                await self.switch.run()
            except NerError as error:
                say(f"WARNING: challenger: {error}")
                await asyncio.sleep(AGAIN_S)

    def _is_other(self, backend: Backend | None) -> bool:
        """Return whether a challenger is ready that is another version than the one that answers."""
        other = self.switch.live
        return bool(other and other.is_connected and not (backend and backend.version.name == other.version.name))

    async def _read(self, asked: Asked, size: int, answers: Sequence[Mapping[str, Any]], champion: Version) -> None:
        try:
            theirs, backend = await self.queue.ask(asked, size, is_answer=False)
        except Refused:
            self.metrics.shadow.labels("failed").inc(len(asked.rows))
            return
        rows = []
        for ours, other in zip(answers, theirs, strict=True):
            row = difference(ours, other)
            self.metrics.shadow.labels("differs" if row["champion"] or row["challenger"] else "same").inc()
            for side in ("champion", "challenger"):
                for name, _, _ in row[side]:
                    self.metrics.only_one.labels(name, side).inc()
            rows.append({"against": backend.version.name, **row})
        if self.store:
            self.store.add(champion.name, rows, [answer["text"] for answer in answers])


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return by type how many entities both versions see, and [type, start, end] of those that one alone sees."""
    left, right = spans(ours), spans(theirs)
    both = Counter(name for name, _, _ in sorted(left & right))
    return {"both": both, "champion": sorted(left - right), "challenger": sorted(right - left)}


def spans(answer: Mapping[str, Any]) -> set[tuple[str, int, int]]:
    """Return an answer's entities: type, start, end."""
    return {(entity["type"], entity["start"], entity["end"]) for entity in answer["entities"]}


def place(key: str | None) -> float:
    """Return where a caller stands between 0 and 1: always at the same place, or at a new one without a key."""
    if key is None:
        return random.random()  # noqa: S311
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
