"""Prefect's server asked without Prefect, which takes seconds to import: does it answer, and do runs start there."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

import httpx

from ner.errors import ParamsError

ANSWER_WITHIN_S = 3


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
    """Return that runs wait because the work pool or its queue is paused, with what to do; else None."""
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


PATIENCE_S = 10.0


def print_now(sentence: str) -> None:
    """Print a line, also where nobody flushes."""
    print(sentence, flush=True)


@contextmanager
def told_when_slow(
    sentence: str, say: Callable[[str], None] = print_now, after_s: float | None = None
) -> Iterator[None]:
    """Pass the sentence to `say` where the work inside takes longer than `after_s`, else PATIENCE_S."""
    timer = Timer(PATIENCE_S if after_s is None else after_s, say, [sentence])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
