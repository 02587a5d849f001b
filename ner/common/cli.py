"""How every stage starts and ends: one clear sentence on stderr for what a user can mend, a trace for our own bugs.

if __name__ == "__main__":
    run_stage("ingest", main)
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Collection
from io import TextIOWrapper
from pathlib import Path

from ner.common.escaping import visible
from ner.common.full_disk import is_full, no_room
from ner.common.loopback import reach_directly, socks_refusal
from ner.common.place import home, require_place
from ner.common.stores import load_env_file
from ner.errors import InputError, NerError

# Set before any library is imported by a stage: none of them may call home.
QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "TOKENIZERS_PARALLELISM": "true",
}
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
load_env_file(os.environ, home())
reach_directly(os.environ)
for _stream in (sys.stdout, sys.stderr):
    if isinstance(_stream, TextIOWrapper):  # or a dash would end the command where the terminal has ASCII only
        _stream.reconfigure(errors="backslashreplace")


def run_stage(name: str, main: Callable[[], None], arguments: Collection[str] | None = None) -> None:
    """Run `main` and end the process: 0, the error's own status, or 130 after Ctrl-C. arguments: all that are taken."""
    try:
        require_place(Path.cwd())
        if arguments is not None and (unknown := [word for word in sys.argv[1:] if word not in arguments]):
            raise InputError(
                f"takes no {unknown[0]}: `ner reproduce` names the commands that make a version again, `ner verdict` "
                "shows the gate's verdict."
            )
        main()
    except NerError as error:
        fail(name, str(error), error.exit_status)
    except KeyboardInterrupt as stop:
        by, status = ("SIGTERM", 143) if isinstance(stop, Terminated) else ("Ctrl-C", 130)
        fail(name, f"stopped by {by}; run the same command again to go on.", status)
    except Exception as error:
        sentence = of_this_machine(error)
        if sentence is None:
            raise
        fail(name, sentence, 1)


def of_this_machine(error: BaseException) -> str | None:
    """Return what a person can mend on this machine, in a sentence: a full disk, a closed folder, a proxy."""
    path = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a copy the first is what was read
    where = f" at {path}" if path else ""
    if is_full(error):
        return f"{no_room(where)}, then run the same command again."
    if isinstance(error, OSError) and error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return f"{os.strerror(error.errno)}{where}: {access()}, then run the same command again."
    if str(getattr(error, "title", "")).endswith("Settings") and (errors := getattr(error, "errors", None)):
        reasons = "; ".join(f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in errors()[:1])
        return f"Prefect's settings cannot be read ({reasons}): correct the variables PREFECT_…, or prefect.toml."
    return socks_refusal(os.environ) if "SOCKS" in str(error) else None


def access() -> str:
    """Return what to do about a file that is closed to us: where the checkout is another user's, not to use it."""
    owner = Path.cwd().stat().st_uid
    return "give access" if owner == os.getuid() else f"this checkout is user {owner}'s: work in a clone of your own"


class Terminated(KeyboardInterrupt):
    """SIGTERM was received, as when somebody cancels a flow run."""


def end_in_order() -> None:
    """Raise Terminated on SIGTERM from now on, so that what has to be closed is."""

    def end(*_: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)


def fail(name: str, sentence: str, status: int) -> None:
    """Print `name: sentence` on stderr and end the process with `status`."""
    sys.stdout.flush()
    print(f"{name}: {visible(sentence)}", file=sys.stderr, flush=True)
    raise SystemExit(status)
