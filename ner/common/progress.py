"""Progress of long work on stderr: a bar on a terminal, a line now and then in a file and in Prefect's log.

for document in watched(documents, "looking at documents"):
tagger.logits(tokens, None, on_progress("validation, in documents", " windows"))     # called with (done, total)
"""

import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

PATIENCE_S = 5.0  # what is done sooner shows nothing
SELDOM_S = 10.0  # between two lines where no terminal shows a bar
Part = TypeVar("Part")


def bar(
    title: str = "", total: int | None = None, unit: str = "", patience_s: float | None = None, **options: Any
) -> tqdm:
    """Return tqdm's bar, as lines where stderr is no terminal; options: tqdm's."""
    is_terminal = sys.stderr.isatty()
    return tqdm(
        desc=title,
        total=total,
        unit=unit,
        delay=PATIENCE_S if patience_s is None else patience_s,
        mininterval=0.1 if is_terminal else SELDOM_S,
        maxinterval=SELDOM_S,
        file=None if is_terminal else _Lines(),
        **options,
    )


def watched(parts: Iterable[Part], title: str, unit: str = "", total: int | None = None) -> Iterator[Part]:
    """Yield the parts as they come, and show how many of them are done."""
    with bar(title, total, unit) as shown:
        for part in parts:
            yield part
            shown.update()


def on_progress(title: str, unit: str = "B") -> Callable[[int, int], None]:
    """Return a callback for (done, total), for example bytes read of all bytes."""
    shown: tqdm | None = None

    def advance(done: int, total: int) -> None:
        nonlocal shown
        if shown is None:
            shown = bar(title, total, unit, unit_scale=unit == "B")
        shown.update(done - shown.n)
        if done >= total:
            shown.close()

    return advance


class _Lines(io.TextIOBase):
    """What redraws a line as lines of their own, on stderr as it is now."""

    def write(self, text: str) -> int:
        if shown := text.strip("\r\n "):
            print(shown, file=sys.stderr, flush=True)
        return len(text)
