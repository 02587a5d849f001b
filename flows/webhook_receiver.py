"""Takes the messages of MLflow's registry webhook, on this machine alone, and wakes the watch.

    listen(receiver("ner", secret, wake.set, print), port=4290)

Nothing in a message is believed: a signed one only makes the watch ask the registry, which it does every 15 s anyway,
so that one which somebody sends again within FRESH_S does no harm.
"""

import base64
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping

import uvicorn
from fastapi import FastAPI, Request, Response

from flows.servers import HOST
from ner.errors import BusyError

PATH = "/alias"
MAX_BODY, FRESH_S = 64 * 1024, 300  # bytes of a message; so old, or so far ahead, may it be
WARN_EVERY_S = 60


def problem(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> str | None:
    """Why a message is not to be trusted, or None: its signature over id, time and body, and its age."""
    delivery, sent = headers.get("x-mlflow-delivery-id", ""), headers.get("x-mlflow-timestamp", "")
    signed = f"{delivery}.{sent}.".encode() + body
    wanted = b"v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest())
    if not hmac.compare_digest(wanted, headers.get("x-mlflow-signature", "").encode()):
        return "its signature is not of the secret that was agreed"
    if not (sent.isdecimal() and len(sent) < 12 and abs(now - int(sent)) <= FRESH_S):
        return f"it was sent more than {FRESH_S} s ago, or by another clock"
    return None


def concerns(body: bytes, model: str) -> bool:
    """Whether a message says that an alias of the model was set or removed."""
    try:
        told = json.loads(body)
        return told["entity"] == "model_version_alias" and told["data"]["name"] == model
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def receiver(model: str, secret: str, wake: Callable[[], None], warn: Callable[[str], None]) -> FastAPI:
    """The application that takes messages: 202 for those that are signed, 401 for others, 413 for too long ones."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post(PATH)
    async def take(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                warn(f"a message of more than {MAX_BODY:,} bytes was refused")
                return Response(status_code=413)
        if why := problem(request.headers, body, secret, time.time()):
            warn(f"a message was refused: {why}")
            return Response(status_code=401)
        if concerns(body, model):
            wake()
        return Response(status_code=202)

    return app


class Seldom:
    """Says at most one line in WARN_EVERY_S, and how many it left out: anybody on this machine can send rubbish."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last, self._left_out = say, -float("inf"), 0

    def __call__(self, text: str) -> None:
        now = time.monotonic()
        if now - self._last < WARN_EVERY_S:
            self._left_out += 1
            return
        more = f" ({self._left_out} more since the last of these lines)" if self._left_out else ""
        self._say(f"WARNING: webhook: {text}{more}")
        self._last, self._left_out = now, 0


def listen(app: FastAPI, port: int) -> uvicorn.Server:
    """Serve on loopback in a thread that ends with this process. Raises BusyError."""
    try:
        listening = socket.create_server((HOST, port))
    except OSError:
        raise BusyError(
            f"port {port} on {HOST}, for the webhook, is in use: stop what listens there, or choose another by "
            "NER_WEBHOOK_PORT."
        ) from None
    config = uvicorn.Config(app, log_level="warning", access_log=False, limit_concurrency=16, timeout_keep_alive=5)
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    return server
