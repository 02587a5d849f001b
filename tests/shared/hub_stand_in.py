"""A stand-in for the Hugging Face Hub: its HTTP interface as far as fetching a repository needs it, on localhost.

with HubStandIn() as hub:
    hub.add("datasets", "owner/name", {"data/train.parquet": b"..."})
    os.environ["HF_ENDPOINT"] = hub.url
"""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "a" * 40
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/(revision|tree)/([^/?]+)")
FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class HubStandIn:
    """cut: paths whose next download breaks off half-way, once; requests: what was asked, method and path."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.cut: set[str] = set()
        self.requests: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def add(self, kind: str, repo_id: str, files: dict[str, bytes]) -> None:
        """kind: models or datasets. Every repository has one commit, COMMIT, which is also its main branch."""
        self.repositories[kind, repo_id] = files

    def __enter__(self) -> "HubStandIn":
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: HubStandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        if match := API.match(self.path):
            kind, repo_id, what, revision = match.groups()
            self._api(kind, repo_id, what, revision)
        elif match := FILE.fullmatch(self.path):
            kind, repo_id, revision, path = match.groups()
            self._file("datasets" if kind else "models", repo_id, revision, path)
        else:
            self._answer(404, b"{}")

    do_HEAD = do_GET

    def _refusal(self, kind: str, repo_id: str, revision: str) -> dict[str, str] | None:
        if repo_id in self.hub.gated:
            return {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access to this repository is restricted."}
        if (kind, repo_id) not in self.hub.repositories:
            return {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        if revision not in ("main", COMMIT):
            return {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"}
        return None

    def _api(self, kind: str, repo_id: str, what: str, revision: str) -> None:
        refusal = self._refusal(kind, repo_id, revision)
        if refusal:
            return self._answer(403 if "Gated" in refusal["X-Error-Code"] else 404, b"{}", refusal)
        files = self.hub.repositories[kind, repo_id]
        tree = [{"type": "file", "path": p, "size": len(c), "oid": _etag(c)} for p, c in files.items()]
        info = {"id": repo_id, "sha": COMMIT, "siblings": [{"rfilename": path} for path in files]}
        info |= {"private": False, "gated": False, "disabled": False, "tags": [], "downloads": 0, "likes": 0}
        return self._answer(200, json.dumps(tree if what == "tree" else info).encode())

    def _file(self, kind: str, repo_id: str, revision: str, path: str) -> None:
        refusal = self._refusal(kind, repo_id, revision)
        content = self.hub.repositories.get((kind, repo_id), {}).get(path)
        if refusal or content is None:
            return self._answer(404, b"", refusal or {"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{_etag(content)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if start:
            first = int(start[1])
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            return self._answer(206, content[first:], headers)
        if self.command == "GET" and path in self.hub.cut:
            self.hub.cut.remove(path)
            return self._answer(200, content, headers, sent=len(content) // 2)
        return self._answer(200, content, headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:sent])
        if sent is not None:
            self.wfile.flush()
            self.close_connection = True


def _etag(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
