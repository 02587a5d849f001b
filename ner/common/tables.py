"""Tables for the terminal, for Markdown and for CSV.

markdown_table(["", "F1"], [["PER", "0.9432"]])        # cells are Markdown already: foreign text goes through escaping
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

WIDEST = 60  # characters to which a column of Markdown is padded
NUMERIC = re.compile(r"[–\d.,%() to-]*")


def to_csv(header: list[str], rows: list[list[Any]]) -> str:
    """Return CSV text with LF line ends."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()


def plain_table(rows: Sequence[Sequence[str]], align: str = "") -> str:
    """Return columns padded with spaces; the first row is the header.

    align: l or r a column; without, the first stands to the left and the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    align = align or "l" + "r" * (len(widths) - 1)
    return "\n".join("  ".join(map(_pad, row, widths, align)).rstrip() for row in rows)


def markdown_table(head: Sequence[Any], rows: Iterable[Sequence[Any]], align: str = "", padded: bool = False) -> str:
    """Return a table in Markdown, whose cells no bar and no line break splits; padded, its source can be read too.

    align: l, c or r a column; without, numbers stand to the right.
    """
    lines = [[re.sub(r"(?<!\\)\|", r"\|", " ".join(str(cell).split())) for cell in row] for row in [head, *rows]]
    columns = list(zip(*lines, strict=True))
    align = align or "".join("r" if len(lines) > 1 and all(map(NUMERIC.fullmatch, c[1:])) else "l" for c in columns)
    widths = [min(WIDEST, max(3, *map(len, column))) if padded else 3 for column in columns]
    if padded:
        lines = [list(map(_pad, line, widths, align)) for line in lines]
    rules = {"l": ":{}-", "c": ":{}:", "r": "-{}:"}
    lines.insert(1, [rules[side].format("-" * (width - 2)) for width, side in zip(widths, align, strict=True)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pad(cell: str, width: int, side: str) -> str:
    return cell.rjust(width) if side == "r" else cell.ljust(width)
