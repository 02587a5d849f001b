"""How every stage starts and ends: one clear sentence on stderr for what a user can mend, a trace for our own bugs.

if __name__ == "__main__":
    run_stage("ingest", main)
"""

import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from ner.common.escaping import visible
from ner.common.loopback import reach_directly
from ner.common.place import require_place
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
FULL = "a file could not be written: the disk is full; make room, then run the same command again."
_FULL = re.compile(
    r"No space left on device|os error 28|disk is full|PytorchStreamWriter failed|Disk quota exceeded|inline_container"
)
for _name, _value in QUIET.items():
    os.environ.setdefault(_name, _value)
load_env_file(os.environ, Path(os.environ.get("NER_HOME") or Path.cwd()))
reach_directly(os.environ)


def run_stage(name: str, main: Callable[[], None], arguments: Collection[str] | None = None) -> None:
    """Run `main` and end the process: 0, the error's own status, or 130 after Ctrl-C. arguments: all that are taken."""
    try:
        require_place(Path.cwd())
        if arguments is not None and (unknown := [word for word in sys.argv[1:] if word not in arguments]):
            raise InputError(
                f"takes no {unknown[0]}: `ner reproduce` names the commands that make a version again, `ner verdict` "
                "shows what the gate said."
            )
        main()
    except NerError as error:
        fail(name, str(error), error.exit_status)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            if is_full_disk(error):
                fail(name, FULL, 1)
            raise
        path = error.filename2 or error.filename  # of a copy the first is what was read
        where = f" at {path}" if path else ""
        fail(name, f"{os.strerror(error.errno)}{where}: make room or give access, then run the same command again.", 1)
    except KeyboardInterrupt as stop:
        by, status = ("SIGTERM", 143) if isinstance(stop, Terminated) else ("Ctrl-C", 130)
        fail(name, f"stopped by {by}; run the same command again to go on.", status)
    except Exception as error:
        if not is_full_disk(error):
            raise
        fail(name, FULL, 1)


class Terminated(KeyboardInterrupt):
    """SIGTERM was received, as when somebody cancels a flow run."""


def end_in_order() -> None:
    """Raise Terminated on SIGTERM from now on, so that what has to be closed is."""

    def end(*_: object) -> None:
        raise Terminated

    signal.signal(signal.SIGTERM, end)


def is_full_disk(error: BaseException | None) -> bool:
    """Return whether a full disk is behind an error, also of safetensors and torch, which give no errno."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) or _FULL.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def fail(name: str, sentence: str, status: int) -> None:
    """Print `name: sentence` on stderr and end the process with `status`."""
    sys.stdout.flush()
    print(f"{name}: {visible(sentence)}", file=sys.stderr, flush=True)
    raise SystemExit(status)
