"""The HTTP side of the server: which address answers what, and every error as {"error": "one sentence"}.

app = make_app(Api(switch, queue, metrics, max_bytes=16 << 20, alias="champion", mlflow_url="http://127.0.0.1:5000"))
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ner.serving.backend import Backend
from ner.serving.challenger import KEY_HEADER, ROLE_HEADER, Challenger
from ner.serving.metrics import Metrics
from ner.serving.page import FORM, Page, form_text
from ner.serving.queue import Queue
from ner.serving.request import JSON, Asked, Refused, check_content_type, read
from ner.serving.rollover import Switch
from ner.serving.schema import BODY, ERRORS, About, Error, Predictions

VERSION_HEADER, PRECISION_HEADER = "X-Model-Version", "X-Model-Precision"
SMALL = 100_000  # bytes that are read to rows at once; more is done beside the event loop
READ_ON = 10  # times the limit: so much of a body that is too large is still taken, so that its sender hears the answer
WHERE = "POST /invocations asks the model, GET / is a page to try it, and there are /health, /version and /openapi.json"


@dataclass
class Api:
    """What programs ask. alias: the one that is followed, or None; mlflow_url: of the tracking server, or None.

    challenger: a second version, which reads in the shadow or answers a share of the requests.
    """

    switch: Switch
    queue: Queue
    metrics: Metrics
    max_bytes: int
    alias: str | None
    mlflow_url: str | None
    challenger: Challenger | None = None

    async def invocations(self, request: Request) -> Response:
        """Return rows in, entities out."""
        kind = check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
        body = await read_body(request, self.max_bytes)
        other = self.challenger
        if other and other.answers(request.headers.get(KEY_HEADER), self.switch.live):
            try:
                return await self._answer(body, kind, other.switch.ready(), other.queue, {ROLE_HEADER: "canary"})
            except Refused as refused:
                if refused.status < 500:
                    raise  # what the caller sent is to blame
        role = {ROLE_HEADER: "champion"} if other and other.canary else {}
        return await self._answer(body, kind, self.switch.ready(), self.queue, role)

    async def _answer(
        self, body: bytes, kind: str, backend: Backend, queue: Queue, headers: Mapping[str, str]
    ) -> Response:
        reading = (body, kind, backend.version.takes, backend.version.params)
        asked = read(*reading) if len(body) < SMALL else await asyncio.to_thread(read, *reading)
        predictions, backend = await queue.ask(asked, len(body)) if asked.rows else ([], backend)
        response = as_json({"predictions": predictions}, headers={**version_headers(backend), **headers})
        if self.challenger and queue is self.queue:
            self.challenger.read_too(asked, len(body), predictions, backend)
        return response

    async def health(self) -> Response:
        """Return status 200 when a model is ready, and the server is not about to stop."""
        backend = self.switch.ready()
        return as_json({"status": "ready", "version": backend.version.name}, headers=version_headers(backend))

    async def live(self) -> Response:
        """Return status 200 as long as the server itself runs, model or not."""
        return as_json({"status": "live"})

    async def numbers(self) -> Response:
        """Return the metrics."""
        live = self.switch.live
        self.metrics.serves(live.version.name if live else None, live.about.precision if live else "")
        return Response(self.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    async def version(self) -> Response:
        """Return which model version answers."""
        backend = self.switch.ready()
        version, starting = backend.version, self.switch.starting
        about = About(
            model=version.model,
            version=version.number,
            alias=self.alias,
            loaded_at=backend.loaded_at,
            precision=backend.about.precision,
            device=backend.about.device,
            content=version.content,
            gate=version.gate,
            columns=list(version.takes),
            params=list(version.params),
            loading=starting.name if starting else None,
            note=self.switch.note,
            challenger=self.challenger.name if self.challenger else None,
            canary=self.challenger.canary if self.challenger else 0,
        )
        return as_json(about.model_dump(), headers=version_headers(backend))


@dataclass
class Site:
    """The page for people."""

    api: Api
    page: Page = field(default_factory=Page)

    async def form(self) -> Response:
        return self.show(200)

    async def answer(self, request: Request) -> Response:
        """Return the page with what the model says of the text in the form, or with why it says nothing."""
        text = ""
        try:
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
                raise Refused(415, "this address takes the form of the page: POST /invocations takes JSON.")
            body = await read_body(request, self.api.max_bytes)
            text = form_text(body)
            (prediction,), backend = await self.api.queue.ask(Asked([text]), len(body))
        except Refused as refused:
            return self.show(refused.status, text=text, problem=str(refused))
        return self.show(200, backend, text=text, answer=prediction)

    def show(self, status: int, backend: Backend | None = None, **shown: Any) -> Response:
        backend, address = backend or self.api.switch.live, None
        version = backend.version if backend else None
        if version and self.api.mlflow_url:
            address = f"{self.api.mlflow_url}/#/models/{quote(version.model, safe='')}/versions/{version.number}"
        html, headers = self.page.render(version, self.api.switch.note, address, **shown)
        return HTMLResponse(html, status, headers | (version_headers(backend) if backend else {}))


def make_app(api: Api) -> FastAPI:
    """Return the application; whoever calls runs the switch of `api`."""
    app = FastAPI(title="Named-entity recognition", docs_url=None, redoc_url=None)  # their pages load scripts from afar
    site, get = Site(api), ["GET", "HEAD"]
    answers: dict[int | str, dict[str, Any]] = {200: {"model": Predictions}, **ERRORS}
    app.add_api_route("/invocations", api.invocations, methods=["POST"], responses=answers, openapi_extra=BODY)
    app.add_api_route("/health", api.health, methods=["GET"], responses={503: {"model": Error}})
    app.add_api_route("/health", api.health, methods=["HEAD"], include_in_schema=False)
    app.add_api_route("/ping", api.health, methods=get, include_in_schema=False)
    app.add_api_route("/live", api.live, methods=get, include_in_schema=False)
    app.add_api_route("/metrics", api.numbers, methods=["GET"], include_in_schema=False)
    app.add_api_route("/version", api.version, responses={200: {"model": About}, 503: {"model": Error}})
    app.add_api_route("/", site.form, methods=get, include_in_schema=False)
    app.add_api_route("/", site.answer, methods=["POST"], include_in_schema=False)
    handlers: dict[type[Exception], Any] = {
        Refused: refused, HTTPException: no_such, ClientDisconnect: gone, Exception: broken,
    }  # fmt: skip
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    return app


async def refused(request: Request, error: Refused) -> Response:
    """Return our own error message as the response."""
    retry = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    return as_json({"error": str(error)}, error.status, retry)


async def no_such(request: Request, error: HTTPException) -> Response:
    """Return the error for an address, or a method, that is not there."""
    allowed = " or ".join(sorted((error.headers or {}).get("Allow", "another method").split(", ")))
    messages = {
        404: f"there is nothing at this address: {WHERE}.",
        405: f"{request.method} is not for this address: use {allowed}.",
    }
    return as_json({"error": messages.get(error.status_code, str(error.detail))}, error.status_code, error.headers)


async def gone(request: Request, error: ClientDisconnect) -> Response:
    """Return an answer for a caller that left while it was sending: nobody hears it."""
    return Response(status_code=400)


async def broken(request: Request, error: Exception) -> Response:
    """Return the answer to an error of ours; the server logs its trace."""
    return as_json({"error": "this server failed on the request; its log says why."}, 500)


def version_headers(backend: Backend) -> dict[str, str]:
    """Return which version gave the answer, and in which precision it computes."""
    return {VERSION_HEADER: backend.version.name, PRECISION_HEADER: backend.about.precision}


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body. Raises Refused where it is larger than the limit, once its sender has sent it and can listen."""
    length = int(request.headers.get("content-length") or 0)
    too_large = Refused(413, f"the body is larger than {limit / (1 << 20):.3g} MB: send it in parts.")
    if length > limit and request.headers.get("expect"):
        raise too_large
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            body += chunk
        else:
            body.clear()
            if size > READ_ON * limit:
                break
    if size > limit:
        raise too_large
    return bytes(body)


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON in which what is not ASCII stays readable."""
    return Response(json.dumps(value, ensure_ascii=False).encode(), status, headers, media_type=JSON)
