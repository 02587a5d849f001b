"""Says within seconds that Prefect's server is gone while a run goes on, and when it is there again.

with told_when_gone("http://127.0.0.1:4200/api", log.warning):
    ...         # the stages do not need the server; Prefect tries each of its calls again for some 15 s
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from ner.errors import ParamsError

ASK_EVERY_S, ANSWER_WITHIN_S = 3, 3
GONE = (
    "Prefect's server at {} does not answer: the stages go on without it, and each call to it is tried again for some "
    "15 s."
)
BACK = "Prefect's server at {} answers again."
LOUD = ("prefect.events.clients", "prefect._internal.concurrency")  # each says it again, at length, for every event


@contextmanager
def told_when_gone(api: str | None, say: Callable[[str], None]) -> Iterator[None]:
    """Pass `say` a sentence when the server goes or comes back, while this context is open.

    Does nothing without an address.
    """
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(api, say, ended), daemon=True)
    for name in LOUD:
        logging.getLogger(name).addFilter(_is_other_news)
    if api:
        watch.start()
    try:
        yield
    finally:
        ended.set()


def _is_other_news(record: logging.LogRecord) -> bool:
    """Return False for Prefect's message about an event that it cannot send: `say` has reported that once."""
    message = record.getMessage()
    return not (message.startswith(("Unable to connect to ", "Service 'EventsWorker' failed")))


def answers(api: str) -> bool | None:
    """Return whether the server answers; None where it accepts connections but is too busy to answer in time.

    Raises ParamsError where `api` is no address.
    """
    try:
        return httpx.get(f"{api}/health", timeout=ANSWER_WITHIN_S).is_success
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ParamsError(
            f"PREFECT_API_URL is {api!r}, which is no address ({str(error).rstrip('.')}): set http://HOST:PORT/api, or "
            "unset it."
        ) from None
    except httpx.TimeoutException:
        return None
    except httpx.HTTPError:
        return False


def paused(api: str, pool: str) -> str | None:
    """Return that runs wait because the work pool or its queue is paused, with what to do; else None.

    PREFECT_API_AUTH_STRING is used as Prefect's client uses it.
    """
    user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    queue = f"prefect work-queue resume default --pool {pool}"
    parts = {"": (f"work pool {pool}", f"prefect work-pool resume {pool}"), "/queues/default": ("work queue", queue)}
    for path, (what, command) in parts.items():
        try:
            answer = httpx.get(
                f"{api}/work_pools/{pool}{path}", timeout=ANSWER_WITHIN_S, auth=(user, password) if user else None
            )
            if answer.is_success and answer.json().get("is_paused"):
                return f"the {what} is paused, so that flow runs wait: `{command}`"
        except (httpx.HTTPError, ValueError, AttributeError):
            return None
    return None


def _watch(api: str, say: Callable[[str], None], ended: threading.Event) -> None:
    silent, is_gone = 0, False
    while not ended.wait(ASK_EVERY_S):
        is_there = answers(api)
        silent = silent + 1 if is_there is None else 0
        if not is_gone and (is_there is False or silent == 2) and not ended.is_set():
            is_gone, logging.raiseExceptions = True, False  # or each line that is not sent is followed by a trace
            say(GONE.format(api))
        elif is_gone and is_there:
            is_gone, logging.raiseExceptions = False, True
            say(BACK.format(api))
