"""One `mlflow models serve` of one model version on a port of its own, from its start to its end.

backend = Backend(version, command(version, port), port, environment, client, say)
await backend.start()                    # until it has answered a real request; raises ModelError
answers = await backend.predict(rows, {})
"""

import asyncio
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from ner.common.ports import HOST
from ner.errors import ModelError
from ner.serving.child import Child
from ner.serving.request import TEXT, TOKENS, Refused, Row

FIRST_TEXT = "Marta Okafor joined Helvion Steel in Rotterdam ."
START_WITHIN_S = 600
LAST_WORDS = 40  # lines that are kept for the sentence about its end
FOLDER = re.compile(r"(?:\w+://)?(?:/[^/\s'\"]+)*/(?=[^/\s])")  # of a path, which is nobody's business
ENDED = "the process of the model ended while it worked on this request: ask again"
TOO_LONG = "the model took too long: send less at once, or use ner batch."
OURS = "the model failed on this request; the log of make serve says why"


@dataclass(frozen=True)
class Version:
    """A model version, as ner.registry.promotion.follow_alias tells it."""

    model: str
    number: int
    content: str | None = None
    gate: str | None = None
    inputs: Sequence[str] = ()
    params: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Return the version's name: ner/3."""
        return f"{self.model}/{self.number}"

    @property
    def takes(self) -> Sequence[str]:
        """Return the columns that a request may have."""
        return [name for name in (TEXT, TOKENS) if name in self.inputs] or [TEXT]


def command(version: Version, port: int, timeout_s: int) -> list[str]:
    """Return the command of MLflow's own server, which starts once the version's files are verified
    (ner/registry/verify.py).

    The version goes by its number, since an alias may move while it loads.
    """
    looked_at = [sys.executable, "-m", "ner.registry.verify", version.name, "--"]
    mlflow = [sys.executable, "-P", "-m", "mlflow", "models", "serve", "--model-uri", f"models:/{version.name}"]
    return [
        *looked_at,
        *mlflow,
        "--env-manager",
        "local",
        "--host",
        HOST,
        "--port",
        str(port),
        "--timeout",
        str(timeout_s),
    ]


class Backend:
    """A process that answers for one version. `in_flight` counts the requests that it works on."""

    def __init__(
        self,
        version: Version,
        command: Sequence[str],
        port: int,
        environment: Mapping[str, str],
        client: httpx.AsyncClient,
        say: Callable[[str], None],
    ) -> None:
        self.version, self._client, self._say = version, client, say
        self.in_flight = 0
        self.idle, self.ended = asyncio.Event(), asyncio.Event()
        self.idle.set()
        self.loaded_at: str | None = None
        self.start_s = 0.0
        self._url = f"http://{HOST}:{port}"
        self._last_words: deque[str] = deque(maxlen=LAST_WORDS)
        self._child = Child(command, environment, self._hear, lambda status: self.ended.set())

    async def start(self, within_s: float = START_WITHIN_S) -> None:
        """Wait until it has answered a real request. Raises ModelError, with the process stopped."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                await self._healthy()
                await self._try()
        except TimeoutError:
            await self.stop()
            raise ModelError(f"it did not answer within {within_s:.0f} s") from None
        except BaseException:
            await self.stop()
            raise
        self.start_s = time.monotonic() - began
        self.loaded_at = datetime.now(UTC).isoformat(timespec="seconds")

    async def predict(self, rows: Sequence[Row], params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return an answer for each row, in order. Raises Refused."""
        self.in_flight += 1
        self.idle.clear()
        try:
            answers: list[dict[str, Any]] = [{} for _ in rows]
            for name, kind in ((TEXT, str), (TOKENS, list)):  # apart: a frame with gaps would fill them with NaN
                places = [i for i, row in enumerate(rows) if isinstance(row, kind)]
                predictions = await self._ask([{name: rows[i]} for i in places], params) if places else []
                for i, answer in zip(places, predictions, strict=True):
                    answers[i] = answer
            return answers
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self.idle.set()

    async def stop(self) -> None:
        """End the process and all that it started."""
        await self._child.stop()

    async def _ask(self, records: list[dict[str, Any]], params: Mapping[str, Any]) -> list[dict[str, Any]]:
        body = {"dataframe_records": records} | ({"params": dict(params)} if params else {})
        try:
            answer = await self._client.post(f"{self._url}/invocations", json=body)
        except httpx.ReadTimeout:
            raise Refused(504, TOO_LONG) from None
        except httpx.HTTPError:
            await self._see_whether_it_lives()
            raise Refused(503, f"{ENDED}.", retry_after_s=max(5, round(self.start_s))) from None
        if answer.status_code != 200:
            raise self._refusal(answer)
        try:
            predictions = answer.json()["predictions"]
            if len(predictions) == len(records) and all(
                isinstance(prediction["entities"], list) for prediction in predictions
            ):
                return predictions
        except (ValueError, KeyError, TypeError):
            pass
        raise Refused(500, f"version {self.version.number} answers in another shape: {answer.text[:80]!r}.")

    def _refusal(self, answer: httpx.Response) -> Refused:
        """Return what the caller is told of a failure: what the model says of the input, or that it is ours."""
        if answer.status_code == 504:
            return Refused(504, TOO_LONG)
        try:
            body = dict(answer.json())
        except (ValueError, TypeError):
            body = {"message": answer.text}
        if body.get("error_class") == "SCHEMA_ENFORCEMENT_FAILED":
            return Refused(400, f"{self.version.name} does not take such rows: GET /version names its columns.")
        _, mark, sentence = str(body.get("message")).rpartition("\nError: ")
        if body.get("error_code") == "INVALID_PARAMETER_VALUE" and mark:
            return Refused(400, FOLDER.sub("", sentence)[:500])
        reason = body.get("stack_trace") or body.get("message")
        self._say(f"{self.version.name} failed on a request with status {answer.status_code}: {reason}")
        return Refused(500, f"{OURS}.")

    async def _see_whether_it_lives(self) -> None:
        """Check whether the server process lives: one that was killed is missed at once."""
        try:
            await self._client.get(f"{self._url}/health", timeout=5)
        except httpx.TimeoutException:
            pass  # it is busy
        except httpx.HTTPError:
            self.ended.set()

    async def _healthy(self) -> None:
        while not self.ended.is_set():
            try:
                if (await self._client.get(f"{self._url}/health", timeout=5)).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.2)
        raise ModelError(f"its process ended: {self.last_words()}")

    async def _try(self) -> None:
        row: Row = FIRST_TEXT if TEXT in self.version.takes else FIRST_TEXT.split()
        try:
            await self.predict([row], {})
        except Refused as refused:
            if self.ended.is_set():
                raise ModelError(f"its process ended: {self.last_words()}") from None
            raise ModelError(f"its first request failed: {str(refused).rstrip('.')}") from None

    def last_words(self) -> str:
        """Return the line that says most about its end: the last error in what it printed."""
        lines = [line.strip() for line in self._last_words if not line.startswith("Exception: Command")]  # not a cause
        errors = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
        return FOLDER.sub("", (errors or lines or ["it printed nothing"])[-1])[:300]

    def _hear(self, line: str) -> None:
        self._last_words.append(line)
        self._say(f"{self.version.name} | {line}")
