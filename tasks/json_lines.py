"""Lines for machines: with NER_LOG_FORMAT=json each line is one JSON object with the ids of the run that it belongs to.

NER_LOG_FORMAT=json python -m tasks.evaluate
{"time": "2026-11-25T08:12:03.118Z", "level": "INFO", "message": "validation F1 0.9610", "stage": "evaluate"}

A stage that a flow runs prints plain lines, which the flow reads; it logs them with the ids (flows/json_log.py).
"""

import atexit
import io
import json
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from ner.errors import ParamsError

FORMAT, JSON, TEXT = "NER_LOG_FORMAT", "json", "text"
LEVELS = {"warning:": "WARNING", "error:": "ERROR"}  # how our lines begin


def wants_json(environment: Mapping[str, str]) -> bool:
    """Whether NER_LOG_FORMAT is json. Raises ParamsError where it is neither json nor text."""
    named = environment.get(FORMAT) or TEXT
    if named not in (JSON, TEXT):
        raise ParamsError(f"{FORMAT} is {named!r}, need json or text.")
    return named == JSON


def as_json(message: str, level: str | None = None, **ids: str | None) -> str:
    """One line; ids that are None are left out."""
    first = message.split(" ", 1)[0].lower()
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known = {name: value for name, value in ids.items() if value is not None}
    return json.dumps(
        {"time": time, "level": level or LEVELS.get(first, "INFO"), "message": message, **known}, ensure_ascii=False
    )


def print_json(**ids: str | None) -> None:
    """From now on, what this process prints goes out as JSON lines; of stderr as errors, unless the line says less."""
    sys.stdout = JsonStream(sys.stdout, None, ids)
    sys.stderr = JsonStream(sys.stderr, "ERROR", ids)
    for stream in (sys.stdout, sys.stderr):
        atexit.register(stream.close)  # a last line without an end


def speak_json(stage: str) -> None:
    """`print_json` for a stage, where it is asked for and no flow reads its lines."""
    if wants_json(os.environ) and not os.environ.get("NER_FLOW_RUN_ID"):
        print_json(stage=stage)


class JsonStream(io.TextIOBase):
    """A text stream that passes on whole lines as JSON; of a line that redraws itself, the last state."""

    def __init__(self, stream: TextIO, level: str | None, ids: Mapping[str, str | None]) -> None:
        self._stream, self._level, self._ids, self._rest = stream, level, ids, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._say(line)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        if self._rest:
            self._say(self._rest)
            self._rest = ""
        self.flush()

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:
        return self._stream.encoding

    def _say(self, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2]
        if shown.strip():
            level = None if shown.split(" ", 1)[0].lower() in LEVELS else self._level
            self._stream.write(as_json(shown, level, **self._ids) + "\n")
            self._stream.flush()
