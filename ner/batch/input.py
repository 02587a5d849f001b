"""What a batch reads: the files behind an address, and their rows one after another, in memory that does not grow.

found = find_input("s3://bucket/texts")           # a file or a folder, local or by any fsspec address
for line, record, position in records(found, source, limit):
    ...                                           # record: a dict, or a Bad that says why it is none

`line` counts from 1: the line where a row of a text file begins, the row of a parquet file.
"""

import csv
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import BadGzipFile
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.compression import compr
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import compressions

from ner.errors import NerError

BUFFER_BYTES = 1 << 20
PARQUET_ROWS = 256  # decoded at a time
SHOWN_CHARS = 500  # of a bad row's content, in the side file
STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "modified", "updated", "created")
DAMAGED = (EOFError, zlib.error, lzma.LZMAError, BadGzipFile, BadZipFile, NotImplementedError, pa.ArrowInvalid)
NOT_UTF8 = "not UTF-8"


class Source(NamedTuple):
    """A file of the input, or a member of a zip archive there.

    name: beneath the input's folder, or the file's own; stamp: changes when the file does. member: its number in the
    archive. fault: why no row of it can be read.
    """

    name: str
    path: str
    kind: str
    compression: str | None
    size: int
    stamp: str
    member: int | None = None
    fault: str = ""


class Input(NamedTuple):
    """The file system behind an address and the files there, in the order in which they are read."""

    files: Any
    root: str  # the file, or the folder of all of them
    sources: list[Source]
    others: int  # files of other kinds, which are left alone

    @property
    def is_local(self) -> bool:
        return isinstance(self.files, LocalFileSystem)

    @property
    def size(self) -> int:
        return sum(source.size for source in self.sources)


class Bad(NamedTuple):
    """A row that cannot be read: why, and the beginning of what is there."""

    reason: str
    content: str


Record = tuple[int, dict[str, Any] | Bad, int]


def find_input(address: str) -> Input:
    """Return the files at a path or fsspec address, those of a folder sorted by name and without hidden ones.

    Raises NerError where there are none.
    """
    try:
        files, path = fsspec.core.url_to_fs(address)
        about = files.info(path)
        is_folder = about["type"] == "directory"
        listing = files.find(path, detail=True) if is_folder else {about["name"]: about}
    except (ImportError, ValueError) as error:  # the protocol needs a package, or is none
        raise NerError(f"{address} cannot be opened: {str(error).rstrip('.')} (with pip, in .venv).") from None
    except FileNotFoundError:
        raise NerError(f"there is nothing at {address}: name a file, a folder, or an address such as s3://…") from None
    except OSError as error:
        raise unreadable(address, error) from error
    except Exception as error:  # each protocol has errors of its own: no credentials, no such host
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NerError(f"{address} cannot be opened: {reason.rstrip('.')}.") from error
    root = path.rstrip("/") + "/"
    named = {name.removeprefix(root) if is_folder else name.rpartition("/")[2]: name for name in listing}
    seen = {name: key for name, key in named.items() if not (is_folder and _is_hidden(name))}
    sources, others = [], 0
    for name in sorted(seen):
        parts = _members(files, name, seen[name], listing[seen[name]])
        readable = [part for part in parts if part is not None]
        sources += readable
        others += len(parts) - len(readable)
    if not sources:
        raise NerError(f"{address} holds no {', '.join(READERS)} (.gz, .bz2, .xz, .zip of these too): nothing to read.")
    return Input(files, path, sources, others)


def records(source_files: Input, source: Source, max_chars: int) -> Iterator[Record]:
    """Yield every row of a file with its line and how many bytes of the file were read for it.

    max_chars: of a text; what is far longer is passed over unread. Raises NerError where the file system fails; a file
    that is damaged itself ends with a Bad.
    """
    line = 0
    if source.fault:
        yield 1, Bad(source.fault, ""), source.size
        return
    try:
        for line, record, position in READERS[source.kind](source_files.files, source, max_chars):
            yield line, record, position
    except DAMAGED as error:
        yield line + 1, Bad(f"the file is damaged or cut short from here on ({error})", ""), source.size
    except OSError as error:
        raise unreadable(source.name, error) from error


def unreadable(name: str, error: OSError) -> NerError:
    """Return the message for a file system that fails in the middle."""
    return NerError(f"{name} cannot be read ({error}): mend that, or take it out; repeat the command to resume.")


@contextmanager
def opened(files: Any, source: Source) -> Iterator[tuple[io.BufferedReader, Callable[[], int]]]:
    """Open a file decompressed, with a count of how many of its own bytes were read."""
    with _file(files, source) as raw:
        stream = compr[source.compression](raw, mode="rb") if source.compression else raw
        with io.BufferedReader(stream, BUFFER_BYTES) as buffered:
            yield buffered, raw.tell if source.compression else buffered.tell


@contextmanager
def _file(files: Any, source: Source) -> Iterator[Any]:
    """Open a file as it is stored, or a member of an archive unpacked."""
    with files.open(source.path, "rb") as raw:
        if source.member is None:
            yield raw
            return
        with ZipFile(raw) as archive, archive.open(archive.infolist()[source.member]) as unpacked:
            yield unpacked


def lines(stream: Any, limit: int) -> Iterator[tuple[Any, bool]]:
    """Yield lines of a stream of bytes or text, and whether they are whole: of a longer one only the first `limit`."""
    ends = ("\n", "\r") if isinstance(stream, io.TextIOBase) else (b"\n",)
    while line := stream.readline(limit):
        whole = len(line) < limit or line.endswith(ends)
        yield line, whole
        while not whole:
            rest = stream.readline(limit)
            whole = len(rest) < limit or rest.endswith(ends)


def read_jsonl(files: Any, source: Source, max_chars: int) -> Iterator[Record]:
    """Yield a record for each line, a JSON object; skips empty lines. Where no line of the first piece ends in LF,
    lines end in CR, as on old Macs.
    """
    with opened(files, source) as (stream, position):
        start = stream.peek(BUFFER_BYTES)
        is_cr = b"\n" not in start and b"\r" in start.rstrip(b"\r")
        text: Any = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="\r") if is_cr else stream
        for number, (line, is_whole) in enumerate(lines(text, _line_limit(max_chars)), 1):
            line = line.encode("utf-8", "surrogateescape") if is_cr else line
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, _parse(line) if is_whole else Bad(_too_long(max_chars), shown(line)), position()


def read_csv(files: Any, source: Source, max_chars: int) -> Iterator[Record]:
    """Yield a record a row, by the names in the first line; fields in quotes may span lines."""
    limit = _line_limit(max_chars)
    csv.field_size_limit(limit - 1)
    with opened(files, source) as (stream, position):
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
        rows = csv.reader((line for line, _ in lines(text, limit)), strict=True)
        header: list[str] | None = None
        while True:
            begins = rows.line_num + 1
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield begins, Bad(f"not CSV: {error}", ""), position()
                continue
            if header is None:
                header = cells
            elif cells:
                yield begins, _named(header, cells), position()


def read_parquet(files: Any, source: Source, max_chars: int) -> Iterator[Record]:
    """Yield a record a row, decoded a few hundred at a time, whatever the size of a row group."""
    with _file(files, source) as raw:
        table = pq.ParquetFile(raw, buffer_size=BUFFER_BYTES, pre_buffer=False)
        number, total = 0, max(table.metadata.num_rows, 1)
        for batch in table.iter_batches(batch_size=PARQUET_ROWS):
            for record in _rows(batch):
                number += 1
                yield number, record, source.size * number // total


def read_txt(files: Any, source: Source, max_chars: int) -> Iterator[Record]:
    """Yield the whole file as one text, without its byte-order mark."""
    with opened(files, source) as (stream, _):
        content = stream.read(4 * max_chars + 4)
    try:
        yield 1, {"text": content.decode("utf-8-sig")}, source.size
    except UnicodeDecodeError as error:
        cut = len(content) == 4 * max_chars + 4 and error.start >= len(content) - 3
        yield 1, Bad(_too_long(max_chars) if cut else NOT_UTF8, shown(content)), source.size


def shown(content: Any) -> str:
    """Return the beginning of a row, for the side file of rejected rows."""
    if isinstance(content, bytes):
        content = content[: 4 * SHOWN_CHARS].decode("utf-8", "replace")
    elif not isinstance(content, str):
        content = json.dumps(content, ensure_ascii=False, default=str)
    return content[:SHOWN_CHARS].rstrip("\r\n").encode("utf-8", "replace").decode()


def _members(files: Any, name: str, path: str, about: dict[str, Any]) -> list[Source | None]:
    """Return a file as a source, or the members of a zip archive as one each; None for each that holds no rows.

    An archive that cannot be opened is one source with a fault.
    """
    whole = _source(name, path, about)
    if about["type"] != "file" or PurePosixPath(name).suffix.lower() != ".zip":
        return [whole]
    broken = Source(name, path, "", None, about.get("size") or 0, "")
    try:
        with files.open(path, "rb") as raw, ZipFile(raw) as archive:
            infos = list(enumerate(archive.infolist()))
    except (BadZipFile, EOFError, ValueError) as error:
        return [broken._replace(fault=f"no zip archive, or cut short ({error})")]
    members: list[Source | None] = []
    for index, info in infos:
        if info.is_dir() or _is_hidden(info.filename):
            continue
        inner = {"type": "file", "size": info.file_size}
        member = _source(f"{name}/{info.filename}", path, inner)
        if member is None and whole is not None and not PurePosixPath(info.filename).suffix:
            member = whole._replace(name=f"{name}/{info.filename}", compression=None, size=info.file_size)
        if member is not None:
            fault = "encrypted: unpack it with its password first" if info.flag_bits & 1 else ""
            member = member._replace(member=index, stamp=f"{info.CRC:08x}", fault=fault)
        members.append(member)
    if whole is not None and not any(members):
        return [broken._replace(fault=f"the archive holds no {', '.join(READERS)}")]
    return members


def _source(name: str, path: str, about: dict[str, Any]) -> Source | None:
    suffix = PurePosixPath(name).suffix.lower()
    compression = compressions.get(suffix[1:])
    kind = PurePosixPath(PurePosixPath(name).stem).suffix.lower() if compression else suffix
    if about["type"] != "file" or kind not in READERS or (compression and kind == ".parquet"):
        return None
    stamp = next((str(about[key]) for key in STAMPS if about.get(key) is not None), "")
    return Source(name, path, kind, compression, about.get("size") or 0, stamp)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _parse(line: bytes) -> dict[str, Any] | Bad:
    try:
        record = json.loads(line.decode("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError:
        return Bad(NOT_UTF8, shown(line))
    except (ValueError, RecursionError) as error:
        return Bad(f"not JSON: {error}", shown(line))
    return record if isinstance(record, dict) else Bad(f"{type(record).__name__} instead of a JSON object", shown(line))


def _named(header: list[str], cells: list[str]) -> dict[str, Any] | Bad:
    if not all(cell.isascii() or _is_utf8(cell) for cell in cells):
        return Bad(NOT_UTF8, shown(",".join(cells)))
    if len(cells) != len(header):
        return Bad(f"{len(cells)} fields, where the first line names {len(header)} columns", shown(",".join(cells)))
    return dict(zip(header, cells, strict=True))


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | Bad]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            try:
                yield from batch.slice(index, 1).to_pylist()
            except UnicodeDecodeError:
                yield Bad(NOT_UTF8, "")


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _line_limit(max_chars: int) -> int:
    return 12 * max_chars + BUFFER_BYTES  # \ud83c\udf89 is one character; the rest is for other columns


def _too_long(max_chars: int) -> str:
    return f"far longer than {max_chars:,} characters, the limit (--max-chars)"


READERS = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".txt": read_txt,
}
