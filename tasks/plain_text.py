"""Text from a corpus, a model or a registry, made fit to be shown: nothing in it is hidden, and nothing in it acts."""

import re

UNPRINTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is computed, and may call programs
LONGEST_CELL = 32_000  # characters; spreadsheets hold 32,767
MARKS = re.compile(r"[\\`*_\[\]<>|~&@#]|:(?=//)|(?<=www)\.")


def visible(text: str) -> str:
    """Characters that no browser prints, or that turn the direction of what follows, by their escape."""
    return UNPRINTED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def in_markdown(text: object) -> str:
    """Text that Markdown shows as it is: on one line, without a mark, a link, a picture or an element.

    Prefect reads the cells of its tables as Markdown too.
    """
    return MARKS.sub(r"\\\g<0>", " ".join(visible(str(text)).split()))


def in_spreadsheet(text: str) -> str:
    """Text for a table that people open in a spreadsheet: no formula, nothing hidden, and not longer than a cell."""
    text = visible(text)
    text = text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}… ({len(text):,} characters)"
    return f"'{text}" if text.startswith(FORMULA) else text
