"""A child process whose output is read line by line while it runs, and that never outlives the one who waits for it.

status = stream(["dvc", "repro"], folder, environment, on_line=print)
"""

import codecs
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ner.common.escaping import visible
from ner.errors import NerError

GUARD = Path(__file__).with_name("guard.py")
PROGRESS_EVERY_S = 10  # a bar that redraws itself many times a second becomes one line in so many seconds
STOP_WAIT_S = 6  # from the request to stop until the process group is killed
_ENDS = re.compile(r"\r\n|\n|\r")
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
LONGEST = 20_000  # characters of a line; Prefect keeps no message of a megabyte


class OutOfTime(NerError):
    """A command took longer than it may; none of its processes is left."""


def stream(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    within_s: float | None = None,
) -> int:
    """Run `command` in a process group of its own, give every line that it prints to `on_line`, return its status.

    Whatever ends the wait early (Ctrl-C, SIGTERM, an error in `on_line`) also ends the whole group. So does the end of
    `within_s`, and then OutOfTime is raised.
    """
    child = subprocess.Popen(
        [sys.executable, "-I", str(GUARD), *command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,  # its end tells the guard that we are gone
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    out_of_time = threading.Event()

    def end() -> None:
        out_of_time.set()
        stop_group(child)

    limit = threading.Timer(min(within_s or 0, threading.TIMEOUT_MAX), end)
    limit.daemon = True
    if within_s is not None:
        limit.start()
    assert child.stdin and child.stdout
    try:
        for line in read_lines(child.stdout.fileno()):
            on_line(line)
        status = child.wait()
        if out_of_time.is_set():
            raise OutOfTime(f"{' '.join(command[-2:])} took more than {within_s:g} s and was ended.")
        return status
    except BaseException:
        stop_group(child)
        raise
    finally:
        limit.cancel()
        child.stdin.close()
        child.stdout.close()


def stop_group(child: subprocess.Popen[bytes]) -> None:
    """Ask the child's process group to end, and after STOP_WAIT_S make it. Returns when none of it is left."""
    until = time.monotonic() + STOP_WAIT_S
    request: int = signal.SIGTERM
    while _signal_group(child.pid, request):
        child.poll()
        time.sleep(0.05)
        request = signal.SIGKILL if time.monotonic() > until else 0
    child.wait()


def read_lines(descriptor: int) -> Iterator[str]:
    """Yield lines as they come, but for what acts on a terminal; of those that end in \\r, one in PROGRESS_EVERY_S."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pending, shown_at = "", 0.0
    while True:
        chunk = os.read(descriptor, 65536)
        pending += decoder.decode(chunk, final=not chunk)
        while end := _ENDS.search(pending):
            if end[0] == "\r" and end.end() == len(pending) and chunk:
                break  # perhaps the first half of \r\n
            line, pending = _plain(pending[: end.start()]), pending[end.end() :]
            if end[0] == "\r" and line:
                if time.monotonic() - shown_at < PROGRESS_EVERY_S:
                    continue
                shown_at = time.monotonic()
            if line:
                yield line
        if not chunk:
            if pending.strip():
                yield _plain(pending)
            return


def _plain(line: str) -> str:
    line = visible(_STYLE.sub("", line)).rstrip()
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}… ({len(line):,} characters)"


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False where none of it is left."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False
