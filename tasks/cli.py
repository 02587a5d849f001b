"""How every stage starts and ends: one clear sentence on stderr for what a user can mend, a trace for our own bugs.

if __name__ == "__main__":
    run_stage("ingest", main)
"""

import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

from ner.errors import NerError
from tasks.json_lines import speak_json
from tasks.plain_text import visible
from tasks.team import load_env_file

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


def run_stage(name: str, main: Callable[[], None]) -> None:
    """Run `main` and end the process: 0, the error's own status, or 130 after Ctrl-C."""
    try:
        speak_json(name)
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
    except KeyboardInterrupt:
        fail(name, "stopped by Ctrl-C; run the same command again to go on.", 130)
    except Exception as error:
        if not is_full_disk(error):
            raise
        fail(name, FULL, 1)


def is_full_disk(error: BaseException | None) -> bool:
    """Whether a full disk is behind an error: also one of a library that tells no errno, as safetensors and torch."""
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
