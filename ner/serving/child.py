"""A child process of the server: its lines as they come, word of its end, and a stop that leaves none of it behind.

child = Child([sys.executable, "-m", "mlflow", …], environment, on_line=print, on_end=lambda status: …)
await child.stop()
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

from ner.common.process import GUARD, read_lines, stop_group


class Child:
    """Runs in a process group of its own, which its guard ends when we are gone, even by kill -9.

    on_line and on_end are called in the event loop that made it.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[[str], None],
        on_end: Callable[[int], None],
        merge_errors: bool = True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(GUARD), *command],
            env=dict(environment),
            stdin=subprocess.PIPE,  # its end tells the guard that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge_errors else None,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(on_line,), daemon=True).start()
        threading.Thread(target=self._wait, args=(on_end,), daemon=True).start()

    async def stop(self) -> None:
        """Ask the group to end, then make it; `on_end` is not called for that."""
        self._stopping = True
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        stop_group(self.process)
        assert self.process.stdin
        self.process.stdin.close()

    def _listen(self, on_line: Callable[[str], None]) -> None:
        assert self.process.stdout
        for line in read_lines(self.process.stdout.fileno()):
            self._tell(partial(on_line, line))

    def _wait(self, on_end: Callable[[int], None]) -> None:
        status = self.process.wait()
        if not self._stopping:
            self._stop()  # whatever it has left behind
            self._tell(partial(self._end, on_end, status))

    def _end(self, on_end: Callable[[int], None], status: int) -> None:
        if not self._stopping:
            on_end(status)

    def _tell(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has ended before us
            self._loop.call_soon_threadsafe(call)
