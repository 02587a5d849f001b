"""No wait is silent: what takes longer than a person expects is told once, with what is waited for.

with told_when_slow("train: waiting for the Prefect server at http://127.0.0.1:4200/api to answer"):
    ...
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

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
