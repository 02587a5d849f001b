"""Text from files, piece by piece, whatever their size: encoding, byte order mark, line numbers, progress."""

import codecs
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ner.errors import CorpusError

Progress = Callable[[int, int], None]  # bytes read, bytes in all

PIECE = 1 << 16  # bytes
START = 16  # pieces that are looked at to tell what a file is
LONGEST_LINE = 1 << 26  # characters
BOM = "\ufeff"
CESU8 = "cesu-8"  # UTF-8 with surrogate pairs in it, as Java and old databases write what UTF-8 has four bytes for
_MARKS = (  # longest first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def over_all(paths: Sequence[Path], progress: Progress | None) -> Progress | None:
    """Return one progress callback for files that are read one after another."""
    if progress is None:
        return None
    total, before, last = sum(path.stat().st_size for path in paths), 0, 0

    def advance(done: int, _: int) -> None:
        nonlocal before, last
        if done < last:  # the next file has begun
            before += last
        last = done
        progress(min(before + done, total), total)

    return advance


def marked_encoding(path: Path) -> str | None:
    """Return the encoding that a byte order mark at the start of the file names, None without one."""
    start = head(path, 4)
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def head(path: Path, length: int) -> bytes:
    """Return the first bytes of a file. Raises CorpusError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(length)
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from None


def has_last_line_end(path: Path) -> bool:
    """Whether a file that is not empty ends in LF or CR, in whatever encoding."""
    with path.open("rb") as file:
        file.seek(-min(4, path.stat().st_size), os.SEEK_END)
        return file.read().rstrip(b"\0").endswith((b"\n", b"\r"))


def pieces(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[str]:
    """Yield the text of a file without its byte order mark, a piece at a time.

    Raises CorpusError, with the line, for bytes that the encoding does not have and for NUL characters.
    """
    decoder = _decoder(marked_encoding(path) or encoding, path)
    try:
        done, total, line, started = 0, path.stat().st_size, 1, False
        with path.open("rb") as file:
            while True:
                piece = file.read(PIECE)
                done += len(piece)
                try:
                    text = decoder.decode(piece, final=not piece)
                except UnicodeError as error:
                    raise CorpusError(_undecodable(error, path.name, line, encoding)) from None
                if "\0" in text:
                    raise CorpusError(_nul(text, piece, path.name, line))
                line += text.count(line_end(text))
                if text and not started:
                    text, started = text.removeprefix(BOM), True
                if text:
                    yield text
                if progress:
                    progress(done, total)
                if not piece:
                    return
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from None


def lines(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[tuple[int, str]]:
    """Yield number, from 1, and text of every line, without LF, CR LF, or CR where no line of the file's first piece
    ends in LF; the last line needs no line end.

    Raises CorpusError as `pieces` does, and for a line without an end.
    """
    number, rest, end = 0, "", ""
    for piece in pieces(path, encoding, progress):
        end = end or line_end(piece)
        text = rest + piece
        *whole, rest = text.split(end)
        if BOM in text or "\r" in text:  # joined files have a mark at each beginning
            whole = [line.removeprefix(BOM).removesuffix("\r") for line in whole]
        yield from enumerate(whole, number + 1)
        number += len(whole)
        if len(rest) > LONGEST_LINE:
            raise CorpusError(f"{path.name}, line {number + 1}: over {LONGEST_LINE:,} characters without a line end.")
    if rest:
        yield number + 1, rest.removeprefix(BOM).removesuffix("\r")


def first_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the first lines of a file that are not blank; a very long last one may be cut."""
    rest, end = "", ""
    for piece in islice(pieces(path, encoding), START):
        end = end or line_end(piece)
        *whole, rest = (rest + piece).split(end)
        yield from (line.removeprefix(BOM).removesuffix("\r") for line in whole if line.strip(f"{BOM} \t\r"))
    if rest.strip():
        yield rest.removesuffix("\r")


def line_end(piece: str) -> str:
    """Return what ends the lines of a file that begins like this: CR where there is no LF, as on old Macs, else LF."""
    return "\r" if "\n" not in piece and "\r" in piece else "\n"


class _Cesu8(codecs.BufferedIncrementalDecoder):
    """Decodes UTF-8 whose characters beyond the first 65,536 are surrogate pairs of three bytes each."""

    def _buffer_decode(self, data: Any, errors: str, final: bool) -> tuple[str, int]:
        text, used = codecs.utf_8_decode(data, "surrogatepass", final)
        if not final and "\ud800" <= text[-1:] <= "\udbff":  # the other half is in the next piece
            text, used = text[:-1], used - 3
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), used


def _decoder(encoding: str, path: Path) -> codecs.IncrementalDecoder:
    if encoding.lower() in (CESU8, "cesu8"):
        return _Cesu8()
    try:
        "".encode(encoding)  # refuses codecs that are no text encodings
        return codecs.getincrementaldecoder(encoding)()
    except (LookupError, UnicodeError, ValueError):
        raise CorpusError(f"{path.name}: {encoding!r} is no text encoding that Python knows (utf-8, cp1252).") from None


def _undecodable(error: UnicodeError, where: str, line: int, encoding: str) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return f"{where}: not {encoding} ({error}): name its encoding."
    line += error.object[: error.start].decode(encoding, errors="ignore").count("\n")
    return (
        f"{where}, line {line}: {_bytes(error)} is not {encoding}. Name the encoding that the file has"
        f"{_guess(error)}, or convert it with iconv."
    )


def _bytes(error: UnicodeDecodeError) -> str:
    return "byte " + " ".join(f"0x{byte:02x}" for byte in error.object[error.start : error.end][:4])


def _guess(error: UnicodeDecodeError) -> str:
    """Return how the word would read in the encoding that most such files have."""
    if hint := _utf16(error.object):
        return f" (encoding: {hint})"
    if error.object[error.start] == 0xED:
        return f" (encoding: {CESU8}; these are surrogates, as Java and old databases write emoji)"
    start, end = error.start, error.start + 1
    while start > 0 and end - start < 30 and error.object[start - 1] > 0x20:
        start -= 1
    while end < len(error.object) and end - start < 30 and error.object[end] > 0x20:
        end += 1
    try:
        return f" (encoding: cp1252 would read {error.object[start:end].decode('cp1252')!r})"
    except UnicodeDecodeError:
        return " (encoding: gb18030, shift_jis, latin-1 …)"


def _nul(text: str, piece: bytes, where: str, line: int) -> str:
    line += text[: text.index("\0")].count("\n")
    hint = _utf16(piece)
    advice = f" If it is UTF-16, name it (encoding: {hint})." if hint else ""
    return f"{where}, line {line}: a NUL character; annotated text has none, so get the file again.{advice}"


def _utf16(piece: bytes) -> str | None:
    """Return the kind of UTF-16 that bytes look like: every other one is NUL where letters are Latin."""
    if piece.count(0) * 3 < len(piece):
        return None
    return f"utf-16-{'le' if piece[1::2].count(0) > piece[::2].count(0) else 'be'}"
