"""Runs one command, and ends it with all that it started when the process that asked for it is gone, even by kill -9.

python -I ner/common/guard.py COMMAND ...      # stdin is a pipe that the asking process holds open and never writes to
"""

import os
import signal
import subprocess
import sys
import threading
import time

STOP_WAIT_S = 6


def stop_when_alone() -> None:
    """Wait for the end of stdin, then stop the own process group."""
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(STOP_WAIT_S)
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Return the command's status, 128 + n for one that signal n ended."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # it ends with its child, whose handling of the signal stays its own
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=stop_when_alone, daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
