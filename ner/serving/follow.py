"""Where an alias points, heard from a process that asks the registry: this room knows no MLflow.

follower = Follower(command("ner@champion"), environment, switch.point)
version = await follower.first()         # then switch.point(version, problem) is called with every change
"""

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ner.errors import ModelError, RegistryError
from ner.serving.backend import Version
from ner.serving.child import Child

KNOWN_WITHIN_S = 60  # the first word of the registry
ASK_AGAIN_AFTER_S = 10  # where the process that asks the registry has ended


def command(reference: str) -> list[str]:
    """Return the process that tells where the reference points."""
    return [sys.executable, "-m", "ner.registry.promotion.follow_alias", reference]


class Follower:
    """Listens to the process that asks the registry, and starts it again where it ends."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], point: Callable[..., None]) -> None:
        self._command, self._environment, self._point = command, environment, point
        self._told: dict[str, Any] = {}
        self._heard = asyncio.Event()
        self._is_known = False  # to who asked for the first word
        self._task: asyncio.Task[None] | None = None
        self._child = self._start()

    async def first(self) -> Version:
        """Return the version at the start. Raises ModelError where there is none, RegistryError where nobody knows."""
        try:
            async with asyncio.timeout(KNOWN_WITHIN_S):
                await self._heard.wait()
        except TimeoutError:
            raise RegistryError(f"the MLflow registry did not answer within {KNOWN_WITHIN_S} s.") from None
        finally:
            self._is_known = True
        news = self._told
        if news["version"] is None:
            raise (ModelError if news["absent"] else RegistryError)(f"{news['problem']}.")
        return Version(**news["version"])

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
        await self._child.stop()

    def _start(self) -> Child:
        return Child(self._command, self._environment, self._hear, self._ended, merge_errors=False)

    def _hear(self, line: str) -> None:
        try:
            news = json.loads(line)
            version = Version(**news["version"]) if news["version"] else None
            problem = news["problem"]
        except (ValueError, TypeError, KeyError):
            return  # something that a library prints
        if self._is_known:
            self._point(version, problem)
        else:
            self._told = news
            self._heard.set()

    def _ended(self, status: int) -> None:
        self._task = asyncio.create_task(self._again())
        if not self._is_known:
            problem = f"ner.registry.promotion.follow_alias ended with status {status}; its lines above say why"
            self._told = self._told or {"version": None, "problem": problem, "absent": False}
            self._heard.set()
            return
        self._point(None, "the process that asks the registry ended")

    async def _again(self) -> None:
        await asyncio.sleep(ASK_AGAIN_AFTER_S)
        self._child = self._start()
