"""A load on a server of a model: so many clients that each send a text, wait for the answer and send the next.

python -m ner.bench.load URL TEXTS.json CLIENTS SECONDS     # prints seconds, errors, latencies as JSON

It is a process of its own, and costs a fifth of a millisecond a request: a server is measured, not its callers.
"""

import http.client
import json
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 60


def load(url: str, texts: list[str], clients: int, seconds: float) -> dict[str, Any]:
    """Return the latencies (seconds) of all answers with status 200, and how many requests failed."""
    latencies: list[float] = []
    errors: list[str] = []
    began = time.perf_counter()
    end = began + seconds

    def client(number: int) -> None:
        choose, place = random.Random(number), urlsplit(url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE_S)
        while (now := time.perf_counter()) < end:
            body = json.dumps({"inputs": {"text": [choose.choice(texts)]}})
            try:
                connection.request("POST", place.path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = answer.read()
                if answer.status != 200:
                    raise OSError(f"{answer.status}: {content[:100]!r}")
                latencies.append(time.perf_counter() - now)
            except (OSError, http.client.HTTPException) as error:
                errors.append(str(error))
                connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": time.perf_counter() - began, "errors": errors, "latencies": latencies}


if __name__ == "__main__":
    address, path, clients, seconds = sys.argv[1:]
    texts = json.loads(Path(path).read_text(encoding="utf-8"))
    print(json.dumps(load(address, texts, int(clients), float(seconds))))
