"""The process of one model version (mlflow/serve.py), from its start to its end, and what is asked of it by a socket.

backend = Backend(version, command(version), environment, say)
await backend.start()                    # until it has answered a real request; raises ModelError
answers = await backend.predict(["Marta lives in Oslo."], {}, threads=2)
"""

import asyncio
import itertools
import json
import re
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ner.errors import ModelError
from ner.serving.child import Child
from ner.serving.request import TEXT, TOKENS, Refused, Row

PROGRAM = Path(__file__).resolve().parents[2] / "mlflow" / "serve.py"
FIRST_TEXT = "Marta Okafor joined Helvion Steel in Rotterdam ."
START_WITHIN_S = 600
LAST_WORDS = 40  # lines that are kept for the sentence about its end
LONGEST_PATH = 90  # of a socket, everywhere
LONGEST_LINE = 1 << 31
FOLDER = re.compile(r"(?:\w+://)?(?:/[^/\s'\"]+)*/(?=[^/\s])")  # of a path, which is nobody's business
ENDED = "the process of the model ended while it worked on this request: ask again."
OURS = "the model failed on this request; the log of make serve says why."


@dataclass(frozen=True)
class Version:
    """A model version, as ner.registry.promotion.follow_alias tells it. precision: that its gate judged it in."""

    model: str
    number: int
    content: str | None = None
    gate: str | None = None
    inputs: Sequence[str] = ()
    params: Sequence[str] = ()
    precision: str = "fp32"

    @property
    def name(self) -> str:
        """Return the version's name: ner/3."""
        return f"{self.model}/{self.number}"

    @property
    def takes(self) -> Sequence[str]:
        """Return the columns that a request may have."""
        return [name for name in (TEXT, TOKENS) if name in self.inputs] or [TEXT]


@dataclass(frozen=True)
class About:
    """What the process tells of itself. lanes: batches that it reads at once; budget: subwords of each."""

    precision: str = "fp32"
    device: str = "cpu"
    lanes: int = 2
    budget: int = 256


def command(version: Version) -> list[str]:
    """Return the command of the process, which starts once the version's files are verified (ner/registry/verify.py).

    The version goes by its number, since an alias may move while it loads. The socket's path comes last.
    """
    verify = [sys.executable, "-m", "ner.registry.verify", version.name, "--"]
    return [*verify, sys.executable, "-I", str(PROGRAM), f"models:/{version.name}"]


class Backend:
    """A process that answers for one version. `in_flight` counts the requests of which it has rows."""

    def __init__(
        self, version: Version, command: Sequence[str], environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self.version, self.about, self._say = version, About(), say
        self.in_flight = 0
        self.idle, self.ended = asyncio.Event(), asyncio.Event()
        self.idle.set()
        self.loaded_at: str | None = None
        self.start_s = 0.0
        self._command, self._environment = command, environment
        self._last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self._numbers, self._asked = itertools.count(), dict[int, asyncio.Future[dict[str, Any]]]()
        self._connected = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._child: Child | None = None

    async def start(self, within_s: float = START_WITHIN_S) -> None:
        """Wait until it has answered a real request. Raises ModelError, with the process stopped."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                await self._connect()
                await self._try()
        except TimeoutError:
            await self.stop()
            raise ModelError(f"it did not answer within {within_s:.0f} s") from None
        except BaseException:
            await self.stop()
            raise
        self.start_s = time.monotonic() - began
        self.loaded_at = datetime.now(UTC).isoformat(timespec="seconds")

    @property
    def is_connected(self) -> bool:
        """Whether it can be asked."""
        return self._writer is not None

    def hold(self) -> None:
        """Count a request: the process is needed until `release`."""
        self.in_flight += 1
        self.idle.clear()

    def release(self) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self.idle.set()

    async def predict(
        self, rows: Sequence[Row], params: Mapping[str, Any], threads: int, within_s: float | None = None
    ) -> list[dict[str, Any]]:
        """Return an answer for each row, in order. Raises Refused. A process that takes longer hangs, and is ended."""
        if self.ended.is_set() or self._writer is None:
            raise self._gone()
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        batch = {"id": number, "rows": rows, "params": params, "threads": threads}
        self._writer.write(json.dumps(batch).encode() + b"\n")
        try:
            async with asyncio.timeout(within_s):
                reply = await future
        except TimeoutError:
            self._say(f"{self.version.name} did not answer a batch within {within_s:.0f} s: its process is ended")
            await self.stop()
            self.ended.set()
            raise self._gone() from None
        finally:
            self._asked.pop(number, None)
        if "answers" not in reply:
            raise self._refusal(reply)
        answers = reply["answers"]
        if isinstance(answers, list) and len(answers) == len(rows) and all(is_answer(answer) for answer in answers):
            return answers
        raise Refused(500, f"version {self.version.number} answers in another shape: {str(answers)[:80]!r}.")

    async def stop(self) -> None:
        """End the process and all that it started."""
        self._lose()
        if self._child:
            await self._child.stop()

    async def _connect(self) -> None:
        """Start the process and wait for its first line."""
        base = tempfile.gettempdir()
        with tempfile.TemporaryDirectory(dir=base if len(base) < LONGEST_PATH - 40 else "/tmp") as folder:
            path = f"{folder}/socket"  # in a folder that is ours alone
            server = await asyncio.start_unix_server(self._listen, path, limit=LONGEST_LINE)
            try:
                self._child = Child([*self._command, path], self._environment, self._hear, lambda status: self._end())
                waits = [asyncio.create_task(event.wait()) for event in (self._connected, self.ended)]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
            finally:
                server.close()
        if not self._connected.is_set():
            raise ModelError(f"its process ended: {self.last_words()}")

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        while line := await reader.readline():
            message = json.loads(line)
            if "id" not in message:
                self.about = About(**message)
                self._connected.set()
            elif (future := self._asked.get(message["id"])) and not future.done():
                future.set_result(message)
        self._lose()

    def _end(self) -> None:
        self._lose()
        self.ended.set()

    def _lose(self) -> None:
        """Close the socket; who waits for an answer hears that the process ended."""
        if self._writer:
            self._writer.close()
            self._writer = None
        for future in self._asked.values():
            if not future.done():
                future.set_exception(self._gone())

    def _gone(self) -> Refused:
        return Refused(503, ENDED, retry_after_s=max(5, round(self.start_s)))

    def _refusal(self, reply: Mapping[str, Any]) -> Refused:
        """Return what the caller is told of a failure: what the model says of the input, or that it is ours."""
        if reply["sentence"]:
            return Refused(400, FOLDER.sub("", reply["sentence"])[:500])
        self._say(f"{self.version.name} failed on a request: {reply['error']}")
        return Refused(500, OURS)

    async def _try(self) -> None:
        row: Row = FIRST_TEXT if TEXT in self.version.takes else FIRST_TEXT.split()
        try:
            await self.predict([row], {}, 1)
        except Refused as refused:
            if self.ended.is_set():
                raise ModelError(f"its process ended: {self.last_words()}") from None
            raise ModelError(f"its first request failed: {str(refused).rstrip('.')}") from None

    def last_words(self) -> str:
        """Return the line that says most about its end: the last error in what it printed."""
        lines = [line.strip() for line in self._last_words]
        errors = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
        return FOLDER.sub("", (errors or lines or ["it printed nothing"])[-1])[:300]

    def _hear(self, line: str) -> None:
        self._last_words.append(line)
        self._say(f"{self.version.name} | {line}")


def is_answer(answer: Any) -> bool:
    """Return whether it has the shape of a version's answer."""
    return isinstance(answer, dict) and isinstance(answer.get("entities"), list)
