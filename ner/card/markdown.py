"""Markdown that untrusted text cannot break: names of types and corpora come from outside.

text("<b> | *x*")             # shows these very characters, in a table cell too
table("|  | F1 |\n| PER | 0.9432 |")      # the same table, padded so that its source can be read too
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ner.common.escaping import in_markdown, visible
from ner.common.tables import markdown_table

MISSING = "–"
GAP = "&emsp;"  # spaces at the end of a cell that no renderer takes away


def table(markdown: str, align: str = "") -> str:
    """Return a table with padded columns; a bar in a cell has a backslash before it (`text`, `cell`)."""
    head, *rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in markdown.strip().split("\n")]
    return markdown_table(head, rows, align, padded=True)


def plain(value: Any) -> str:
    """Return the value on one line, with nothing hidden in it; "unknown" where there is nothing."""
    return " ".join(visible("" if value is None else str(value)).split()) or "unknown"


def text(value: Any) -> str:
    """Return untrusted text for inside a line, every mark of Markdown and HTML shown as it is."""
    return in_markdown(plain(value))


def code(value: Any) -> str:
    """Return untrusted text in a code span."""
    return "`" + re.sub(r"\\+\|", r"\\|", plain(value).replace("`", "'")) + "`"


def cell(markdown: str) -> str:
    """Return Markdown whose bars do not end the cell of a table."""
    return re.sub(r"(?<!\\)\|", r"\|", markdown)


def link(name: Any, address: Any) -> str:
    """Return a link where the address is one of the web, else the name alone."""
    address = plain(address)
    is_web = re.fullmatch(r"https?://[\w.~:/?#@!$&*+,;=%-]+", address)
    return f"[{text(name)}]({address})" if is_web else text(name)


def number(value: Any, decimals: int = 4) -> str:
    """Return fixed decimals for a finite float, thousands apart in an integer, a dash for what is no number."""
    if isinstance(value, str):
        value = parse(value)
    if value is None or isinstance(value, bool) or not math.isfinite(value):
        return MISSING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{decimals}f}"


def parse(value: Any) -> int | float | None:
    """Return a finite number from a value or a cell of a CSV file; None where there is none."""
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
    """Return a finite float from a value or a cell of a CSV file; None where there is none."""
    finite = parse(value)
    return None if finite is None else float(finite)


def between(pair: Any) -> str:
    """Return `0.9372 to 0.9489` for [0.9372, 0.9489]."""
    ends = [number(value) for value in pair] if pair else []
    return " to ".join(ends) if len(ends) == 2 and MISSING not in ends else MISSING


def percent(value: Any) -> str:
    """Return a rate of 0 to 1 as `3.1 %`."""
    return MISSING if number(value) == MISSING else f"{100 * float(value):.1f} %"


def compact(markdown: str) -> str:
    """Return Markdown with unpadded tables in its source, which MLflow's page needs to show them."""
    return "\n".join(_compact_row(line) if line.startswith("| ") else line for line in markdown.splitlines())


def _compact_row(line: str) -> str:
    line = re.sub(r"-{4,}", "---", re.sub(" {2,}", " ", line))
    return line if re.fullmatch(r"[| :-]+", line) else re.sub(r" \|(?=.)", f"{GAP} |", line)


def count(n: int, noun: str) -> str:
    """Return a number with its noun: `1 type`, `4 types`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def shortened(names: Sequence[str], most: int, rest: str = "more") -> str:
    """Return the first names and how many are left out: `LOC, PER and 96 more`. names: markdown."""
    shown, left = list(names[:most]), len(names) - most
    return ", ".join(shown) + (f" and {left:,} {rest}" if left > 0 else "")


def get(facts: Mapping[str, Any], *path: str) -> Any:
    """Return a value under nested keys, None where a key on the way is missing."""
    value: Any = facts
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
