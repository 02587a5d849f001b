"""MLflow's registry webhook: the server tells the watch that an alias was set or removed, and the watch looks at once.

Run     NER_WEBHOOK=1 make up       (NER_WEBHOOK_PORT: where it listens on this machine, 4290 by default)
Reads   NER_WEBHOOK_SECRET, else .ner/webhook_secret, which is made here
Writes  one webhook in the MLflow server, found again by its name; without NER_WEBHOOK it is taken away

Off by default: MLflow refuses addresses without TLS, and addresses on this machine, so that nobody who may write to
the registry can send it to servers inside the network; `server_environment` switches both off. A server elsewhere
reaches us by NER_WEBHOOK_URL, a public https address that leads here, and keeps its protections. What comes in is for
flows/webhook_receiver.py.
"""

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from flows.lock import STATE
from flows.registry import ask
from flows.servers import HOST, read_port
from flows.webhook_receiver import PATH
from ner.errors import NerError, ParamsError

SWITCH, SECRET = "NER_WEBHOOK", "NER_WEBHOOK_SECRET"
KEY = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
PORT = 4290
TEST_WITHIN_S = 30  # the server tries four times, a few seconds apart
EVENTS = [{"entity": "MODEL_VERSION_ALIAS", "action": action} for action in ("CREATED", "DELETED")]
SECRET_FILE = STATE / "webhook_secret"
KEY_FILE = Path("mlflow/data/webhook_key")  # with the store whose secrets it keeps: neither is of use without the other


@dataclass(frozen=True)
class Settings:
    """port: where we listen. url: by which the MLflow server reaches us. is_public: somebody gave that address."""

    port: int
    url: str
    is_public: bool


def read_settings(environment: Mapping[str, str]) -> Settings | None:
    """What NER_WEBHOOK, NER_WEBHOOK_PORT and NER_WEBHOOK_URL say; None where it is off. Raises ParamsError."""
    switch = environment.get(SWITCH, "").lower()
    if switch in ("", "0", "false", "no"):
        return None
    if switch not in ("1", "true", "yes"):
        raise ParamsError(f"{SWITCH} is {switch!r}, need 1 or 0.")
    port, url = read_port(environment, "NER_WEBHOOK_PORT", PORT), environment.get("NER_WEBHOOK_URL", "")
    if url and not re.match(r"https?://[^/\s]", url):
        raise ParamsError(f"NER_WEBHOOK_URL is {url!r}, need the http(s) address by which MLflow reaches this machine.")
    return Settings(port, url or f"http://{HOST}:{port}{PATH}", bool(url))


def server_environment(root: Path, settings: Settings | None) -> dict[str, str]:
    """What the MLflow server of `make up` sees: the key that keeps secrets, and leave to send to this machine.

    Without the key with which a secret was kept the server cannot read its webhooks, so it stays once there is one.
    """
    seen = {}
    if KEY not in os.environ and (settings or (root / KEY_FILE).exists()):
        seen[KEY] = kept(root / KEY_FILE, lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    if settings and not settings.is_public:
        seen |= {"MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https", "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true"}
    return seen


def read_secret(root: Path, environment: Mapping[str, str]) -> str:
    """The one that is set, else the one in .ner, which nobody else on this machine may read."""
    return environment.get(SECRET) or kept(root / SECRET_FILE, lambda: secrets.token_urlsafe(32))


def kept(path: Path, make: Callable[[], str]) -> str:
    """What the file says; where there is none it is made, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
    else:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(make())
    text = path.read_text(encoding="ascii").strip()
    if not text:
        raise NerError(f"{path} is empty: remove it, so that it is made anew.")
    return text


def settle(model: str, settings: Settings | None, secret: str, say: Callable[[str], None]) -> bool:
    """Bring the server's webhook into line with the settings; False where it does not answer, to be tried again."""
    try:
        ours = find(model)
        if settings is None:
            for one in ours:
                ask("DELETE", f"webhooks/{one['webhook_id']}")
            return True
        say(tried(register(model, settings, secret, ours), settings))
    except (httpx.HTTPStatusError, NerError) as error:
        if settings:
            say(f"WARNING: webhook: MLflow does not take it ({reason(error)}); moved aliases are looked for as before")
    except httpx.HTTPError:
        return False
    return True


def find(model: str) -> list[dict[str, Any]]:
    """Our webhooks in the server: one, or none."""
    found, page = [], ""
    while True:
        told = ask("GET", "webhooks", params={"max_results": 100} | ({"page_token": page} if page else {}))
        found += [one for one in told.get("webhooks", []) if one.get("name") == name(model)]
        page = told.get("next_page_token", "")
        if not page:
            return found


def register(model: str, settings: Settings, secret: str, ours: list[dict[str, Any]]) -> str:
    """Make the webhook, or bring the one that is there up to date; returns its id."""
    about = {"name": name(model), "url": settings.url, "events": EVENTS, "secret": secret, "status": "ACTIVE"}
    about["description"] = f"Tells the watch of promotions that an alias of {model} was set or removed"
    for surplus in ours[1:]:
        ask("DELETE", f"webhooks/{surplus['webhook_id']}")
    if ours:
        return ask("PATCH", f"webhooks/{ours[0]['webhook_id']}", json=about)["webhook"]["webhook_id"]
    return ask("POST", "webhooks", json=about)["webhook"]["webhook_id"]


def tried(identity: str, settings: Settings) -> str:
    """Let the server send a message, and say whether it came."""
    result = ask("POST", f"webhooks/{identity}/test", TEST_WITHIN_S, json={}).get("result", {})
    if result.get("success"):
        return f"webhook: MLflow tells of a moved alias at {settings.url}"
    why = result.get("error_message") or f"status {result.get('response_status')}"
    return f"WARNING: webhook: MLflow cannot reach {settings.url} ({why[:200]}); moved aliases are looked for as before"


def name(model: str) -> str:
    """The webhook's name, in the characters that MLflow takes, by which it is found again."""
    return f"ner-watch-{hashlib.sha256(model.encode()).hexdigest()[:12]}"


def reason(error: Exception) -> str:
    """What the server said, in a line."""
    if not isinstance(error, httpx.HTTPStatusError):
        return str(error)
    try:
        said = str(error.response.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = ""
    status = error.response.status_code
    return " ".join(f"status {status}{', its log says why' if status >= 500 else ''} {said}".split())[:200]
