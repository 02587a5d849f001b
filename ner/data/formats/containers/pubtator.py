"""Records from PubTator: `ID|t|title`, `ID|a|abstract`, a line with tabs for each mention or relation, a blank line."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from ner.data.formats.containers.json_stream import Record
from ner.data.formats.text_files import Progress, lines
from ner.errors import CorpusError

_PASSAGE = re.compile(r"(?P<id>[^\s|]+)\|(?P<kind>[a-zA-Z])\|(?P<text>.*)")


def pubtator_records(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Record]:
    """Yield the text, mentions and relations of each document. Raises CorpusError for a line that is none of these."""
    record: dict[str, Any] = {}
    place = ""
    for number, line in chain(lines(path, encoding, progress), [(0, "")]):
        passage = _PASSAGE.fullmatch(line)
        is_other = bool(passage) and passage["id"] != record.get("id")  # type: ignore[index]
        if record and (is_other or not line.strip()):
            yield place, record
            record = {}
        if not line.strip():
            continue
        if passage and record:
            record["text"] += "\n" + passage["text"]
        elif passage:
            place = f"line {number}"
            record = {"id": passage["id"], "text": passage["text"], "entities": [], "relations": []}
        elif not record or "\t" not in line:
            raise CorpusError(
                f"{path.name}, line {number}: {line[:60]!r} is no `ID|t|title`, no `ID|a|abstract`, and no line of a "
                "mention with tabs below these."
            )
        else:
            _add(record, line)


def _add(record: dict[str, Any], line: str) -> None:
    """Add a mention or a relation; what is neither, or another document's, is listed when it is read as a span."""
    cells = line.split("\t")
    if cells[0] != record["id"]:
        record["entities"].append(f"{line} stands below document {record['id']}")
    elif len(cells) > 3 and cells[1].isdecimal() and cells[2].isdecimal():
        span = {"start": int(cells[1]), "end": int(cells[2]), "text": cells[3], "type": "".join(cells[4:5])}
        record["entities"].append(span)
    elif len(cells) > 2 and not cells[1].lstrip("-").isdecimal():
        record["relations"].append(cells[1:])
    else:
        record["entities"].append(line)
