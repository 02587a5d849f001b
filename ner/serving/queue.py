"""Requests wait here for the model: so many are asked at once, the others in the order in which they came.

queue = Queue(switch, default_lanes(), max_bytes=256 << 20)
answers, version = await queue.ask(Asked(["Marta lives in Oslo."]), size=21)

Who waits has no version yet: the live one answers when his turn comes, so that a change of versions drops nobody.
(To ask the model for several waiting requests at once was tried: on a CPU it brought nothing.)
"""

import asyncio
import os
from typing import Any

from ner.inference.observation import OBSERVED
from ner.monitoring.store import Store
from ner.serving.backend import Version
from ner.serving.request import Asked, Refused
from ner.serving.rollover import Switch


def default_lanes() -> int:
    """Return how many requests the model gets at once: long ones must not hold up short ones, and MLflow's server takes
    cores + 4.
    """
    cores = os.cpu_count() or 1
    return min(max(4, cores // 2), cores + 4, 32)


class Queue:
    """Lanes between the callers and the live backend; max_bytes: of the requests that wait or are answered.

    store: what the model says beside its answers, for monitoring, is kept there.
    """

    def __init__(self, switch: Switch, lanes: int, max_bytes: int, store: Store | None = None) -> None:
        self._switch, self._max_bytes, self._bytes, self._store = switch, max_bytes, 0, store
        self._lanes = asyncio.Semaphore(lanes)

    async def ask(self, asked: Asked, size: int) -> tuple[list[dict[str, Any]], Version]:
        """Return the answers, and the version that gave them. Raises Refused."""
        if self._bytes and self._bytes + size > self._max_bytes:
            raise Refused(503, "too many large requests wait for the model: ask again in a while.", retry_after_s=10)
        self._bytes += size
        try:
            async with self._lanes:
                backend = self._switch.ready()
                answers = await backend.predict(asked.rows, asked.params)
            self._keep(answers, backend.version.name)
            return answers, backend.version
        finally:
            self._bytes -= size

    def _keep(self, answers: list[dict[str, Any]], model: str) -> None:
        """Take what is for monitoring off the answers; a version that was registered before it has none."""
        rows = [(answer.pop(OBSERVED), answer["text"]) for answer in answers if OBSERVED in answer]
        if self._store and rows:
            observed, texts = zip(*rows, strict=True)
            self._store.add(model, observed, texts)
