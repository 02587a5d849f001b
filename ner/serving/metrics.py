"""What operators see: numbers for Prometheus (GET /metrics), an id for each request, and one JSON line for it on wish.

app = Watched(make_app(api), metrics, log=True)

NER_SERVE_LOG=json writes the lines to stdout: time, level, message (method, path, status), request_id, trace_id (of the
caller's W3C traceparent), seconds, version.
"""

import json
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
ID = re.compile(r"[\x21-\x7e]{1,128}")  # of a caller's own X-Request-Id
TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
PATHS = ("/invocations", "/", "/health", "/ping", "/live", "/version", "/metrics", "/openapi.json")


class Metrics:
    """The numbers, in a registry of their own."""

    def __init__(self) -> None:
        self._all = own = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter("ner_requests", "Requests, by address and status", ("path", "status"), registry=own)
        self.seconds = Histogram(
            "ner_request_seconds", "From request to answer", ("path",), buckets=SECONDS, registry=own
        )
        self.waited = Histogram("ner_queue_seconds", "Until the model had a request", buckets=SECONDS, registry=own)
        self.waiting = Gauge("ner_rows_waiting", "Rows that wait for the model", registry=own)
        self._waiting: list[Callable[[], int]] = []  # of each queue
        self.waiting.set_function(lambda: sum(rows() for rows in self._waiting))
        self.rows = Histogram("ner_batch_rows", "Rows read together", buckets=ROWS, registry=own)
        self.subwords = Counter("ner_subwords", "Subwords read", registry=own)
        self.entities = Counter("ner_entities", "Entities in answers", ("type",), registry=own)
        self.shadow = Counter("ner_shadow_rows", "Rows that the challenger read too", ("result",), registry=own)
        self.only_one = Counter(
            "ner_shadow_entities", "Entities that one side alone sees", ("type", "only"), registry=own
        )
        self.restarts = Counter("ner_restarts", "Processes of a model that ended by themselves", registry=own)
        self._version = Gauge("ner_version", "1 for the version that answers", ("version", "precision"), registry=own)

    def serves(self, version: str | None, precision: str = "") -> None:
        """Note the version that answers now; None where none does."""
        self._version.clear()
        if version:
            self._version.labels(version, precision).set(1)

    def watch(self, waiting: Callable[[], int]) -> None:
        """Add the rows that wait in a queue to those of the others: a challenger has a queue of its own."""
        self._waiting.append(waiting)

    def count(self, answers: Sequence[Mapping[str, Any]], subwords: int) -> None:
        """Count what was read and found."""
        self.subwords.inc(subwords)
        for answer in answers:
            for entity in answer["entities"]:
                self.entities.labels(entity["type"]).inc()

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._all)


class Watched:
    """Counts each request of an application and gives it an id: the caller's X-Request-Id, or a new one."""

    def __init__(self, app: Callable[..., Awaitable[None]], metrics: Metrics, log: bool = False) -> None:
        self._app, self._metrics, self._log = app, metrics, log

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, headers = time.perf_counter(), dict(scope["headers"])
        own = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = own if ID.fullmatch(own) else uuid.uuid4().hex
        status, version = 500, ""

        async def sent(message: dict[str, Any]) -> None:
            nonlocal status, version
            if message["type"] == "http.response.start":
                status = message["status"]
                version = dict(message["headers"]).get(b"x-model-version", b"").decode()
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            seconds = time.perf_counter() - began
            path = scope["path"] if scope["path"] in PATHS else "other"
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(seconds)
            if self._log:
                trace = TRACE.fullmatch(headers.get(b"traceparent", b"").decode("latin-1"))
                line = {
                    "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "level": "INFO" if status < 500 else "ERROR",
                    "message": f"{scope['method']} {path} {status}",
                    "request_id": request_id,
                    "trace_id": trace[1] if trace else None,
                    "seconds": round(seconds, 4),
                    "version": version or None,
                }
                print(json.dumps(line), flush=True)
