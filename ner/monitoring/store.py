"""What prediction keeps for monitoring: JSON lines in a folder of bounded size, written by any number of processes.

    store = Store.of(params.monitor, "serve")         # None where monitor.keep is nothing
    store.add("ner/3", observations, texts)
    rows = read_rows(folder(), "ner/3", last=500)     # a table, oldest first

A row is one line and is written by one call, so that a killed process leaves half a line at most, which is not read.
Each process has files of its own. Where the folder grows over its limit, the oldest file goes.
"""

import json
import os
import socket
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from ner.common.files import replacing_file
from ner.common.place import monitor_folder as folder
from ner.params import MonitorParams

PIECES = 16  # files that a full folder has: so much is lost when the oldest goes
TIME = '{"time":"'  # how a line begins
BATCH_SHARE = 4  # a batch may fill a quarter of the folder; of a larger one each n-th row is kept


@dataclass
class Store:
    """The files in which one process keeps what it observes. limit: bytes of all files in the folder."""

    folder: Path
    limit: int
    source: str
    with_text: bool = False
    _path: Path | None = field(default=None, init=False)
    _size: int = field(default=0, init=False)

    @classmethod
    def of(cls, params: MonitorParams, source: str) -> "Store | None":
        """Return the store that the parameters ask for. source: `serve` or `batch`, as each row says."""
        if params.keep == "nothing":
            return None
        return cls(folder(), int(params.max_mb * (1 << 20)), source, params.keep == "text")

    def beside(self, source: str) -> "Store":
        """Return a store for what another source observes: in the same folder, under the same limit."""
        return Store(self.folder, self.limit, source, self.with_text)

    def lines(self, model: str, observed: Iterable[Mapping[str, Any]], texts: Sequence[str]) -> Iterator[str]:
        """Yield rows as they are written, with the time of now. texts: those that were read, kept only where asked."""
        about = {"time": datetime.now(UTC).isoformat(timespec="microseconds"), "model": model, "source": self.source}
        for row, text in zip(observed, texts, strict=True):
            record = {**about, "chars": len(text), **row} | ({"text": text} if self.with_text else {})
            yield json.dumps(record, separators=(",", ":")) + "\n"

    def add(self, model: str, observed: Iterable[Mapping[str, Any]], texts: Sequence[str]) -> None:
        """Append a row for each text. What the disk refuses is not kept: no prediction fails for its monitoring."""
        with suppress(OSError):
            for line in self.lines(model, observed, texts):
                self._write(line.encode())

    def add_batch(self, run: str, lines: Sequence[str]) -> None:
        """Keep the lines of a whole batch, once however often this is called for that run; evenly fewer of many.

        They get the time of now, or a window that ended while the batch ran would hide them from the next.
        """
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        step = -(-sum(map(len, lines)) // max(1, self.limit // BATCH_SHARE)) or 1
        with suppress(OSError):
            with replacing_file(self.folder / f"batch-{run}.jsonl") as temporary:
                stamped = (TIME + now + line[line.index('"', len(TIME)) :] for line in lines[::step])
                temporary.write_text("".join(stamped), encoding="utf-8")
            self._bound()

    def _write(self, line: bytes) -> None:
        if self._path is None or self._size > self.limit // PIECES or not self._path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            name = f"{self.source}-{now}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}.jsonl"
            self._path, self._size = self.folder / name, 0
            self._bound()
        with open(self._path, "ab", buffering=0, opener=partial(os.open, mode=0o600)) as file:
            file.write(line)
        self._size += len(line)

    def _bound(self) -> None:
        files = sorted((file.stat().st_mtime, file.stat().st_size, file) for file in self.folder.glob("*.jsonl"))
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.limit:
                break
            if path != self._path:
                path.unlink(missing_ok=True)
                total -= size


def read_rows(
    folder: Path, model: str, last: int | None = None, since: str | None = None, after: str | None = None
) -> list[dict[str, Any]]:
    """Return what was kept of a version's texts, oldest first. Half lines, and files that go meanwhile, are left out.

    last: so many of the newest. since: from that time on (ISO 8601); after: later than it.
    """
    rows = [row for row in _all_rows(folder) if row.get("model") == model]
    rows = [row for row in rows if (not since or row["time"] >= since) and (not after or row["time"] > after)]
    rows.sort(key=lambda row: row["time"])
    return rows[-last:] if last else rows


def _all_rows(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        with suppress(FileNotFoundError), path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(ValueError):
                    row = json.loads(line)
                    if isinstance(row, dict) and "time" in row and "tokens" in row:
                        yield row
