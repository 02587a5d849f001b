"""Markdown that foreign text cannot break: names of types and corpora come from whoever made them.

text("<b> | *x*")             # shows these very characters, in a table cell too
table(["", "F1"], [["PER", number(0.9432)]])
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MISSING = "–"
WIDEST = 60  # to which a column is padded
BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # overrides that show text in another order than it has
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
MARKS = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")  # an underscore between letters marks nothing


def plain(value: Any) -> str:
    """The value on one line, without control characters; "unknown" where there is nothing."""
    shown = "".join(
        c if unicodedata.category(c) not in ("Cc", "Cs") else " " for c in ("" if value is None else str(value))
    )
    return " ".join("".join(c for c in shown if ord(c) not in BIDI).split()) or "unknown"


def text(value: Any) -> str:
    """Foreign text inside a line, every mark of markdown and HTML shown as it is. Begin no paragraph with it."""
    return MARKS.sub(lambda match: "\\" + match[0], "".join(ENTITIES.get(c, c) for c in plain(value)))


def code(value: Any) -> str:
    """Foreign text in a code span."""
    return "`" + re.sub(r"\\+\|", r"\\|", plain(value).replace("`", "'")) + "`"


def link(name: Any, address: Any) -> str:
    """A link where the address is one of the web, else the name alone."""
    address = plain(address)
    is_web = re.fullmatch(r"https?://[\w.~:/?#@!$&*+,;=%-]+", address)
    return f"[{text(name)}]({address})" if is_web else text(name)


def number(value: Any, decimals: int = 4) -> str:
    """Fixed decimals for a finite float, thousands apart in an integer, a dash for what could not be computed."""
    if isinstance(value, str):
        value = parse(value)
    if value is None or isinstance(value, bool) or not math.isfinite(value):
        return MISSING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}"


def parse(value: Any) -> int | float | None:
    """The finite number that a value is, or that a cell of a CSV file holds; None where there is none."""
    if not isinstance(value, int | float):
        try:
            value = int(value)
        except (TypeError, ValueError):
            try:
                value = float(value)
            except (TypeError, ValueError):
                return None
    return value if math.isfinite(value) else None


def parse_float(value: Any) -> float | None:
    """The same as a float."""
    found = parse(value)
    return None if found is None else float(found)


def between(pair: Any) -> str:
    """`0.9372 to 0.9489` for [0.9372, 0.9489]."""
    ends = [number(value) for value in pair] if pair else []
    return " to ".join(ends) if len(ends) == 2 and MISSING not in ends else MISSING


def percent(value: Any) -> str:
    """A rate of 0 to 1 as `3.1 %`."""
    return MISSING if number(value) == MISSING else f"{100 * float(value):.1f} %"


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]], align: str = "") -> str:
    """A table, padded so that its source can be read. align: l, c or r a column; without, numbers stand to the right.

    Cells are markdown already: foreign text goes through `text` or `code` first. No bar or line break splits a cell.
    """
    lines = [[re.sub(r"(?<!\\)\|", r"\|", " ".join(str(cell).split())) for cell in row] for row in [head, *rows]]
    columns = range(len(head))
    widths = [min(WIDEST, max(3, *(len(line[column]) for line in lines))) for column in columns]
    align = align or "".join("r" if _is_numeric(lines[1:], column) else "l" for column in columns)
    pads = {"l": "ljust", "c": "ljust", "r": "rjust"}
    marks = {"l": (":", "-"), "c": (":", ":"), "r": ("-", ":")}
    rule = [marks[align[c]][0] + "-" * (widths[c] - 2) + marks[align[c]][1] for c in columns]
    padded = [[getattr(line[c], pads[align[c]])(widths[c]) for c in columns] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in [padded[0], rule, *padded[1:]])


def compact(markdown: str) -> str:
    """The same with its tables not padded."""
    lines = markdown.splitlines()
    return "\n".join(re.sub(r"-{4,}", "---", re.sub(" {2,}", " ", s)) if s.startswith("| ") else s for s in lines)


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines if line)


def count(n: int, noun: str) -> str:
    """`1 type`, `4 types`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def shortened(names: Sequence[str], most: int, rest: str = "more") -> str:
    """`LOC, PER and 96 more`: the first ones, and how many are left out. names: markdown."""
    kept, left = list(names[:most]), len(names) - most
    return ", ".join(kept) + (f" and {left:,} {rest}" if left > 0 else "")


def get(facts: Mapping[str, Any], *path: str) -> Any:
    """A value deep inside, None where a key on the way is missing."""
    found: Any = facts
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _is_numeric(lines: Sequence[Sequence[str]], column: int) -> bool:
    cells = [line[column] for line in lines]
    return bool(cells) and all(re.fullmatch(r"[–\d.,%() to-]*", cell) for cell in cells)
