"""Records from texts with their entities marked inline: `[PER]Ilse[/PER]`, `<PER>Ilse</PER>`, `<ENAMEX TYPE="PER">`,
and Rasa's `[Ilse](person)` or `[Ilse]{"entity": "person"}`, in its Markdown and YAML or on lines alone.
"""

import html
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from ner.data.formats.containers.json_stream import Record
from ner.data.formats.text_files import Progress, lines

BRACKETS, ANGLES, LINKS = "[TYPE]…[/TYPE]", "<TYPE>…</TYPE>", "[…](type)"
_NAME = r"(?P<type>[^\W\d][\w.:-]*(?: [\w.:-]+)*)"
_TAGS = {
    BRACKETS: re.compile(rf"\[(?P<close>/?){_NAME}(?P<attributes>)\]"),
    ANGLES: re.compile(
        r"<(?P<close>/?)(?P<type>[^\W\d][\w.:-]*)(?P<attributes>(?:\s+[\w:-]+\s*=\s*[\"'][^\"'<>]*[\"'])*)\s*>"
    ),
}
_PAIRS = {
    BRACKETS: re.compile(rf"\[{_NAME}\][^\n]{{0,500}}?\[/(?P=type)\]"),
    ANGLES: re.compile(r"<(?P<type>[^\W\d][\w.:-]*)(?:\s[^<>\n]*)?>[^\n]{0,500}?</(?P=type)\s*>"),
    LINKS: re.compile(
        r"\[(?P<text>[^\[\]\n]+)\](?:\((?![^()\n]*\.(?:md|rst|html?|txt|pdf|png|jpe?g|svg|py|json)\))"
        r"(?P<type>[^\W\d][\w.-]*)(?::(?!//)[^()\n]*)?\)|(?P<json>\{[^{}\n]*\}))"
    ),
}
_KIND = re.compile(r"(?:^|\s)(?:type|label|category)\s*=\s*[\"'](?P<type>[^\"']+)", re.IGNORECASE)
_DECLARATION = re.compile(r"\s*<[?!][^>]*>\s*")
_STRUCTURE = set(
    "corpus root xml html head title body doc document text div section article p para s sent sentence".split()
)
LONGEST_ENTITY = 20  # lines; a mark that is open for longer lacks its other half
_SECTION = re.compile(r"(?:#+|\s*-)\s*(?P<kind>intent|lookup|synonym|regex|rule|story)\s*:", re.IGNORECASE)
_BULLET = re.compile(r"\s*[-*+]\s+(?P<text>.*)")


def kind_of(start: str) -> str | None:
    """Return the kind of markup that is most frequent in the beginning of a text, None where there is none."""
    counts = {kind: sum(1 for _ in pair.finditer(start)) for kind, pair in _PAIRS.items()}
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] else None


def tagged_records(
    kind: str, path: Path, encoding: str = "utf-8", progress: Progress | None = None
) -> Iterator[Record]:
    """Yield the text and the entities of each line; one in which an entity is open goes on in the next.

    A name in brackets is a type if it is closed anywhere in the file. A mark that lacks its other half is listed.
    """
    tag = _TAGS[kind]
    closed = {m["type"] for _, line in lines(path, encoding) for m in tag.finditer(line) if m["close"]}
    types = {name for name in closed if name.lower() not in _STRUCTURE}
    passage, first, depth = "", 0, 0
    for number, line in chain(lines(path, encoding, progress), [(0, "")]):
        if passage and (not line.strip() or depth <= 0 or number >= first + LONGEST_ENTITY):
            record = _untagged(passage, tag, closed, kind == ANGLES)
            if record["text"].strip() or record["entities"]:
                yield f"line {first}", record
            passage, depth = "", 0
        if line.strip() and not _DECLARATION.fullmatch(line):
            passage, first = (f"{passage}\n{line}", first) if passage else (line, number)
            marks = [m["close"] for m in tag.finditer(line) if m["type"] in types]
            depth += marks.count("") - marks.count("/")


def _untagged(passage: str, tag: re.Pattern[str], closed: set[str], has_escapes: bool) -> dict[str, Any]:
    text, last = "", 0
    items: list[Any] = []
    opened: list[tuple[str, str, int]] = []  # name, type, where it begins
    for mark in tag.finditer(passage):
        if mark["type"] not in closed:
            continue
        part = passage[last : mark.start()]
        text, last = text + (html.unescape(part) if has_escapes else part), mark.end()
        if mark["type"].lower() in _STRUCTURE:
            continue
        kind = _KIND.search(mark["attributes"])
        if not mark["close"]:
            opened.append((mark["type"], kind["type"] if kind else mark["type"], len(text)))
            continue
        at = next((i for i in reversed(range(len(opened))) if opened[i][0] == mark["type"]), None)
        if at is None:
            items.append(f"{mark[0]} closes nothing")
        else:
            _, name, start = opened.pop(at)
            items.append({"start": start, "end": len(text), "type": name, "text": text[start:]})
    rest = passage[last:]
    items += [f"{name} at {passage[:40]!r} is not closed" for name, *_ in opened]
    return {"text": text + (html.unescape(rest) if has_escapes else rest), "entities": items}


def linked_records(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Record]:
    """Yield the text and the entities of each line; where the file has sections (`## intent:`, `- intent:`), of each
    example of an intent.
    """
    has_sections = any(_SECTION.match(line) for _, line in lines(path, encoding))
    in_intent = not has_sections
    for number, line in lines(path, encoding, progress):
        section = _SECTION.match(line)
        if section:
            in_intent = section["kind"].lower() == "intent"
        elif has_sections:
            bullet = _BULLET.fullmatch(line)
            if bullet and in_intent and bullet["text"].strip():
                yield f"line {number}", _unlinked(bullet["text"].removeprefix("text: "))
        elif line.strip():
            yield f"line {number}", _unlinked(line)


def _unlinked(line: str) -> dict[str, Any]:
    text, last = "", 0
    items: list[Any] = []
    for link in _PAIRS[LINKS].finditer(line):
        text += line[last : link.start()]
        kind = link["type"] or _entity(link["json"])
        items.append({"start": len(text), "end": len(text) + len(link["text"]), "type": kind, "text": link["text"]})
        text, last = text + link["text"], link.end()
    return {"text": text + line[last:], "entities": items}


def _entity(text: str) -> str | None:
    try:
        return str(json.loads(text)["entity"])
    except (ValueError, KeyError):
        return None


READERS: dict[str, Callable[[Path, str, Progress | None], Iterator[Record]]] = {
    BRACKETS: partial(tagged_records, BRACKETS),
    ANGLES: partial(tagged_records, ANGLES),
    LINKS: linked_records,
}
