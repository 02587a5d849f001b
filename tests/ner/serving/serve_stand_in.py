"""Stand-ins for the processes around the server: that of a model, and the one that asks the registry.

python serve_stand_in.py serve PORT FOLDER    the real server, with the two below as its children
python serve_stand_in.py model NUMBER FOLDER SOCKET  answers as mlflow/serve.py does; the words of a text say how
python serve_stand_in.py follow FOLDER NAME   tells what FOLDER/NAME says, as ner.registry.promotion.follow_alias does
"""

import asyncio
import os
import runpy
import sys
import time
from functools import partial
from pathlib import Path

BROKEN, MUTE, SLOW_TO_START = 66, 77, 88  # versions that do not come up, that fail when asked, that never begin


class BadInput(Exception):
    """What MLflow raises where the input is to blame."""

    error_code = "INVALID_PARAMETER_VALUE"


class Model:
    def __init__(self, number, folder):
        self.number, self.folder = number, folder
        self.about = {"precision": "bf16", "device": "cpu", "lanes": 2, "budget": 256}

    def answer(self, rows, params, threads):
        words = {word for row in rows for word in (row.split() if isinstance(row, str) else row)}
        if "DIE" in words:
            os._exit(9)
        if "FAIL" in words or self.number == MUTE:
            raise RuntimeError("/home/someone/model is broken")
        if "REFUSE" in words:
            raise BadInput(f"Failed to predict data '{rows}'. \nError: row 0: a token holds a space.")
        if "SLOW" in words:  # answered when FOLDER/go is there
            (self.folder / "slow").touch()
            while not (self.folder / "go").exists():
                time.sleep(0.02)
        return [self.one(row, params) | {"together": len(rows), "threads": threads} for row in rows]

    def one(self, row, params):
        whole = row if isinstance(row, str) else " ".join(row)
        kind = "SAME" if "SAME" in whole else f"V{self.number}"
        found = [{"type": kind, "start": 0, "end": len(whole), "text": whole, "score": 0.9}]
        told = {"text": whole, "entities": found if whole else [], "params": params, "pid": os.getpid()}
        return told | {"observed": {"tokens": len(whole.split()), "subwords": 7}}


def model(number: str, folder: str, socket: str) -> None:
    if int(number) == BROKEN:
        sys.exit("OSError: no file named /home/someone/artifacts/model.safetensors")
    if int(number) == SLOW_TO_START:
        time.sleep(3600)
    program = Path(__file__).resolve().parents[3] / "mlflow" / "serve.py"
    runpy.run_path(str(program))["serve"](Model(int(number), Path(folder)), socket)


def follow(folder: str, name: str) -> None:
    told = None
    while True:
        now = (Path(folder) / name).read_text()
        if now != told:
            print(now, flush=True)
            told = now
        time.sleep(0.05)


def serve(port: str, folder: str) -> None:
    from ner.common.cli import run_stage
    from ner.monitoring.store import Store
    from ner.serving.serve import serve as run
    from ner.serving.settings import Beside, Settings

    here = [sys.executable, __file__]
    beside = Beside("ner@challenger", 1.0, 0.3) if (Path(folder) / "challenger.json").exists() else None
    follow = lambda reference: [*here, "follow", folder, reference.removeprefix("ner@") + ".json"]  # noqa: E731
    start = lambda version: [*here, "model", str(version.number), folder]  # noqa: E731
    settings = Settings(int(port), 0.01, 600, log="json")
    store = Store(Path(folder) / "kept", 1 << 20, "serve")
    say = partial(print, flush=True)
    work = partial(run, "ner@champion", settings, say, follow, start, store, beside)
    run_stage("serve", lambda: asyncio.run(work()))


if __name__ == "__main__":
    {"serve": serve, "model": model, "follow": follow}[sys.argv[1]](*sys.argv[2:])
