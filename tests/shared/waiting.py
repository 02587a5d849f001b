"""How long tests wait for what takes seconds on an idle machine: so long that only what hangs fails on a busy one."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_S = 900
T = TypeVar("T")


def until(found: Callable[[], T], said: Callable[[], object] = lambda: "", every_s: float = 0.05) -> T:
    """What `found` returns first that is true. Raises AssertionError, with what was `said`, when patience ends."""
    end = time.monotonic() + PATIENCE_S
    while not (it := found()):
        assert time.monotonic() < end, said()
        time.sleep(every_s)
    return it
