"""Progress of long work in lines, a few a minute: readable on a terminal, in a file and in Prefect's log alike."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

EVERY_S = 5.0
MB = 1_000_000


def printing(what: str, every_s: float = EVERY_S) -> Callable[[int, int], None]:
    """A callback for (bytes read, bytes in all) that says how far it is, from `every_s` seconds on and so often."""
    started = said = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < every_s or not 0 < done < total:
            return
        said = now
        left = (now - started) * (total - done) / done if done else 0
        print(f"{what}: {done / total:.0%} of {total / MB:,.0f} MB, about {left:,.0f} s left", flush=True)

    return advance


def told_every(parts: Iterable[Any], what: str, total: int, every_s: float = EVERY_S) -> Iterator[Any]:
    """The parts, saying every `every_s` seconds how many of them are done."""
    said = time.monotonic()
    for number, part in enumerate(parts):
        if time.monotonic() - said >= every_s:
            said = time.monotonic()
            print(f"{what}: part {number + 1} of {total}", flush=True)
        yield part
