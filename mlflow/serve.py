"""Loads a registered version with its own code and answers the batches that come by a socket. Run by path, by itself:

    python -I mlflow/serve.py models:/ner/3 SOCKET

With -I nothing of this checkout can be imported, so `ner` is what travels with the version. `make serve` starts it and
listens at SOCKET. A message is a line of JSON. First the model tells of itself: precision, device, lanes (batches that
it reads at once) and budget (subwords of each). Then {"id", "rows", "params", "threads"} comes for each batch, and
{"id", "answers"} or {"id", "sentence", "error"} goes back: what the sender may know, and what only the log may.
"""

import json
import socket
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Row = str | list[str]


class Pyfunc:
    """A version loaded as MLflow loads it; one that cannot take rows as they are gets them as MLflow gives them."""

    def __init__(self, uri: str) -> None:
        import mlflow
        import torch

        self._model = mlflow.pyfunc.load_model(uri)
        inner = self._model.unwrap_python_model()
        tagger = getattr(inner, "tagger", None)
        self._answer = getattr(inner, "answer", None)
        self._set_threads = torch.set_num_threads
        device = str(getattr(tagger, "device", "cpu"))
        self.about = {
            "precision": getattr(tagger, "precision", "fp32"),
            "device": device,
            "lanes": max(2, torch.get_num_threads()) if device == "cpu" else 2,
            "budget": getattr(tagger, "batch_subwords", 256),
        }

    def answer(self, rows: Sequence[Row], params: Mapping[str, Any], threads: int) -> list[dict[str, Any]]:
        """Return an answer for each row, in order, computed by so many threads."""
        self._set_threads(threads)
        if self._answer:
            return self._answer(rows, **params)
        answers: list[dict[str, Any]] = [{} for _ in rows]
        for column, kind in (("text", str), ("tokens", list)):  # apart: a frame with gaps would fill them with NaN
            places = [i for i, row in enumerate(rows) if isinstance(row, kind)]
            if places:
                frame = [{column: rows[i]} for i in places]
                predictions = self._model.predict(frame, params=dict(params) or None)
                for i, answer in zip(places, predictions, strict=True):
                    answers[i] = answer
        return answers


def serve(model: Any, path: str) -> None:
    """Answer until the socket is closed. model: has `about` and `answer`, as Pyfunc."""
    with socket.socket(socket.AF_UNIX) as connection, ThreadPoolExecutor(model.about["lanes"]) as pool:
        connection.connect(path)
        one_at_a_time = threading.Lock()

        def tell(message: Mapping[str, Any]) -> None:
            line = json.dumps(message).encode() + b"\n"
            with one_at_a_time:
                connection.sendall(line)

        def work(line: bytes) -> None:
            batch = json.loads(line)
            try:
                answers = model.answer(batch["rows"], batch["params"], batch["threads"])
                message = {"id": batch["id"], "answers": answers}
                tell(message)
            except Exception as error:
                tell({"id": batch["id"], "sentence": refusal(error), "error": traceback.format_exc()})

        tell(model.about)
        for line in connection.makefile("rb"):
            pool.submit(work, line)


def refusal(error: Exception) -> str | None:
    """Return what the model says of the input; None where the failure is ours."""
    if getattr(error, "error_code", None) != "INVALID_PARAMETER_VALUE":
        return None
    return str(getattr(error, "message", error)).rpartition("Error: ")[2]


if __name__ == "__main__":
    serve(Pyfunc(sys.argv[1]), sys.argv[2])
