"""Records from JSON lines, a JSON array, or objects one after another, one at a time, whatever the size of the file."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ner.data.formats.text_files import LONGEST_LINE, Progress, first_lines, lines, pieces
from ner.errors import CorpusError

Record = tuple[str, Any]  # its place, and what stands there
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def json_records(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Record]:
    """Yield the records of JSON lines, of one JSON array, or of objects one after another, each over many lines."""
    start = list(islice(first_lines(path, encoding), 2))
    if start and _is_one_value(start):
        yield from _members(path, encoding, progress)
    else:
        for number, line in lines(path, encoding, progress):
            if line.strip(" \t\r"):
                yield f"line {number}", _parse(line, f"{path.name}, line {number}")


def _is_one_value(start: list[str]) -> bool:
    """Whether a file is an array, or objects over many lines, and not a record a line."""
    first = start[0].lstrip()[0]
    if first == "[":
        return len(start) == 1 or not (_is_json(start[0]) and _is_json(start[1]))
    return first == "{" and len(start) > 1 and not _is_json(start[0])


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise CorpusError(f"{where}: nested too deep to be annotated text.") from None
    except ValueError as error:
        raise CorpusError(f"{where}: no valid JSON ({error}): {text[:60]!r}.") from None


def _members(path: Path, encoding: str, progress: Progress | None) -> Iterator[Record]:
    """Yield the members of an array, or values one after another, from text that is never held whole."""
    stream = _Stream(path, encoding, progress)
    in_array = stream.take("[")
    count = 0
    while True:
        character = stream.peek()
        if in_array and character == "]":
            stream.take("]")
            if stream.peek():
                raise CorpusError(f"{stream.where()}: text after the end of the array.")
            return
        if not character:
            if in_array:
                raise CorpusError(f"{stream.where()}: the file ends inside its array: it is cut short, get it again.")
            return
        if in_array and count and not stream.take(","):
            raise CorpusError(f"{stream.where()}: {character!r} where a comma or the end of the array should be.")
        count += 1
        stream.peek()
        place = f"record {count} (line {stream.line})"
        yield place, stream.value()


class _Stream:
    """A text with a position in it, of which only the part ahead is in memory."""

    def __init__(self, path: Path, encoding: str, progress: Progress | None) -> None:
        self.name, self.more = path.name, pieces(path, encoding, progress)
        self.text, self.at, self.line, self.ended = "", 0, 1, False

    def where(self) -> str:
        return f"{self.name}, line {self.line}"

    def peek(self) -> str:
        """Return the next character that is not white space, "" at the end."""
        while True:
            space = _SPACE.match(self.text, self.at)
            end = space.end() if space else self.at
            self._move(end)
            if end < len(self.text):
                return self.text[end]
            if not self._grow():
                return ""

    def take(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def value(self) -> Any:
        """Return the next JSON value."""
        wanted = 1
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
                if end < len(self.text) or self.ended:  # a number may go on in the next piece
                    self._move(end)
                    return value
            except RecursionError:
                raise CorpusError(f"{self.where()}: nested too deep to be annotated text.") from None
            except ValueError as error:
                if self.ended or len(self.text) - self.at > LONGEST_LINE:
                    raise CorpusError(f"{self.where()}: no valid JSON from here on ({error}).") from None
            for _ in range(wanted):  # twice as much each time, or a long record is parsed over and over
                self.ended = self.ended or not self._grow()
            wanted *= 2

    def _move(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _grow(self) -> bool:
        piece = next(self.more, None)
        if piece is None:
            self.ended = True
            return False
        self.text, self.at = self.text[self.at :] + piece, 0
        return True
