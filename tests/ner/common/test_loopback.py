"""A company's proxy in the environment: what runs on this machine is asked directly, all else through the proxy."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ner.common.loopback import no_proxy, reach_directly

ROOT = Path(__file__).resolve().parents[3]
DEAD = "http://127.0.0.1:9"  # the port `discard`, where nothing listens
ASK = """
import sys, ner.common.cli
url = sys.argv[2]
if sys.argv[1] == "httpx":
    import httpx; text = httpx.get(url).text
elif sys.argv[1] == "requests":
    import requests; text = requests.get(url).text
elif sys.argv[1] == "urllib":
    import urllib.request; text = urllib.request.urlopen(url).read().decode()
else:
    import asyncio, aiohttp
    async def ask():
        async with aiohttp.ClientSession(trust_env=True) as session, session.get(url) as answer:
            return await answer.text()
    text = asyncio.run(ask())
print(text)
"""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """Answers every request with what was asked for: a path, or a whole address where it is asked as a proxy."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"asked for {self.path}".encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def ask(library: str, url: str, **proxies: str) -> str:
    """What a process of ours reads there under these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [sys.executable, "-c", ASK, library, url]
    done = subprocess.run(command, cwd=ROOT, env=kept | proxies, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("library", ["httpx", "requests", "urllib", "aiohttp"])
def test_a_server_on_this_machine_is_asked_directly(library, host, server):
    url = f"http://{host}:{server.server_port}/here"
    dead = {name: DEAD for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY")}
    assert ask(library, url, **dead, NO_PROXY="intranet") == "asked for /here"


@pytest.mark.parametrize("library", ["httpx", "requests", "urllib", "aiohttp"])
def test_the_rest_of_the_world_is_asked_through_the_proxy(library, server):
    proxy = f"http://127.0.0.1:{server.server_port}"
    assert ask(library, "http://example.invalid/there", http_proxy=proxy) == "asked for http://example.invalid/there"


def test_what_a_user_has_left_out_stays_left_out():
    given = {"http_proxy": DEAD, "no_proxy": ".intranet, 10.0.0.1", "NO_PROXY": "10.0.0.2"}
    reach_directly(given)
    assert given["no_proxy"] == given["NO_PROXY"] == ".intranet,10.0.0.1,10.0.0.2,localhost,127.0.0.1,::1"
    reach_directly(given)
    assert given["no_proxy"].count("localhost") == 1
    assert no_proxy({"no_proxy": "*"}) == "*"


def test_without_a_proxy_nothing_is_set():
    reach_directly(given := {"PATH": "/bin"})
    assert given == {"PATH": "/bin"}
