"""Stand-ins for the processes around the server: MLflow's scoring server, and the one that asks the registry.

python serve_stand_in.py serve PORT FOLDER    the real server, with the two below as its children
python serve_stand_in.py backend PORT NUMBER FOLDER  answers as `mlflow models serve` does; the words of a text say how
python serve_stand_in.py follow FOLDER        tells what FOLDER/alias.json says, as ner.registry.promotion.follow_alias
does
"""

import asyncio
import json
import os
import sys
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TRACE = 'Traceback (most recent call last):\n  File "/home/someone/lib/mlflow/server.py", line 348, in invocations\n'
MESSAGE = "Encountered an unexpected error while evaluating the model."
BROKEN, MUTE, SLOW_TO_START = 66, 77, 88  # versions that do not come up, that fail when asked, that never begin


class Backend(BaseHTTPRequestHandler):
    number, folder = 0, Path()

    def do_GET(self):
        self.send(200, "\n")

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        texts = [row.get("text", row.get("tokens")) for row in body["dataframe_records"]]
        words = {word for text in texts for word in (text.split() if isinstance(text, str) else text)}
        if "DIE" in words:
            os._exit(9)
        if "FAIL" in words or self.number == MUTE:
            return self.fail("RuntimeError: /home/someone/model is broken")
        if "REFUSE" in words:
            message = f"Failed to predict data '{texts}'. \nError: row 0: a token holds a space."
            return self.send(400, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": message}))
        if "SLOW" in words:  # answered when FOLDER/go is there
            (self.folder / "slow").touch()
            while not (self.folder / "go").exists():
                time.sleep(0.02)
        self.send(200, json.dumps({"predictions": [self.answer(text, body.get("params")) for text in texts]}))

    def answer(self, text, params):
        whole = text if isinstance(text, str) else " ".join(text)
        found = [{"type": f"V{self.number}", "start": 0, "end": len(whole), "text": whole, "score": 0.9}]
        told = {"text": whole, "entities": found if whole else [], "params": params, "pid": os.getpid()}
        return told | ({"observed": {"tokens": len(whole.split())}} if os.environ.get("NER_OBSERVE") == "1" else {})

    def fail(self, error):
        told = {"error_code": "BAD_REQUEST", "message": MESSAGE, "stack_trace": TRACE + error + "\n"}
        self.send(400, json.dumps(told))

    def send(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def backend(port: str, number: str, folder: str) -> None:
    if int(number) == BROKEN:
        sys.exit("OSError: no file named /home/someone/artifacts/model.safetensors")
    if int(number) == SLOW_TO_START:
        time.sleep(3600)
    Backend.number, Backend.folder = int(number), Path(folder)
    ThreadingHTTPServer.request_queue_size = 500
    ThreadingHTTPServer(("127.0.0.1", int(port)), Backend).serve_forever()


def follow(folder: str) -> None:
    told = None
    while True:
        now = (Path(folder) / "alias.json").read_text()
        if now != told:
            print(now, flush=True)
            told = now
        time.sleep(0.05)


def serve(port: str, folder: str) -> None:
    from ner.common.cli import run_stage
    from ner.monitoring.store import Store
    from ner.serving.serve import serve as run
    from ner.serving.settings import Settings

    here = [sys.executable, __file__]
    start = lambda version, port, timeout_s: [*here, "backend", str(port), str(version.number), folder]  # noqa: E731
    settings = Settings(int(port), 0.01, 600)
    store = Store(Path(folder) / "kept", 1 << 20, "serve")
    say = partial(print, flush=True)
    work = partial(run, "ner@champion", settings, say, [*here, "follow", folder], start, store)
    run_stage("serve", lambda: asyncio.run(work()))


if __name__ == "__main__":
    {"serve": serve, "backend": backend, "follow": follow}[sys.argv[1]](*sys.argv[2:])
