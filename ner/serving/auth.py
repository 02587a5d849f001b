"""Before the server's application: by which name a caller came, and the token, where there is one.

app = Door(make_app(api), access)
"""

import base64
import binascii
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from ner.common.access import NAMES, Access

OPEN = ("/health", "/ping", "/live")  # probes; they tell the name of the version and nothing else
UNKNOWN = "this server is not known by that name: name it in %s where it is started."
ASKED = "this server wants its token: send 'Authorization: Bearer <token>', or as the password of any user."


class Door:
    """Turns away requests for another host (a page that has its name point here) and, with a token, those without."""

    def __init__(self, app: Callable[..., Awaitable[None]], access: Access) -> None:
        self._app = app
        self._names = {*access.names, access.reached}
        self._token = access.token.encode()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        if host_name(headers.get(b"host", b"")) not in self._names:
            return await refuse(send, 421, UNKNOWN % NAMES)
        is_probe = scope["path"] in OPEN and scope["method"] in ("GET", "HEAD")
        if self._token and not is_probe and not hmac.compare_digest(token_of(headers), self._token):
            return await refuse(send, 401, ASKED, ((b"www-authenticate", b'Basic realm="ner", charset="UTF-8"'),))
        await self._app(scope, receive, send)


def host_name(header: bytes) -> str:
    """Return the host of a Host header, without its port."""
    return header.decode("latin-1").rpartition("]")[2].partition(":")[0].strip().lower()


def token_of(headers: dict[bytes, bytes]) -> bytes:
    """Return the token that a request brings: as a bearer's, or as a password; empty where it brings none."""
    scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return value.strip()
    if scheme.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


async def refuse(send: Any, status: int, sentence: str, more: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """Send an error in the form of every other error of the server."""
    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
