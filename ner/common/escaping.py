"""Text from a corpus, a model or a registry, made fit to be shown: nothing in it is hidden, and nothing in it acts."""

import re
import unicodedata

UNPRINTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
CONTROL = r"[\x00-\x1f\x7f-\x9f]"
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is computed, and may call programs
LONGEST_CELL = 32_000  # characters; spreadsheets hold 32,767
MARKS = re.compile(r"[\\`*_\[\]<>|~&@#]|:(?=//)|(?<=www)\.")


def visible(text: str) -> str:
    """Return text with invisible characters, and those that turn its direction, replaced by their escapes."""
    return UNPRINTED.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def is_visible(token: str) -> bool:
    """Return whether anything of a token would be printed: encoders drop white space, control and format characters."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in token)


def in_markdown(text: object) -> str:
    """Return text that Markdown shows as it is: on one line, without a mark, a link, a picture or an element."""
    return MARKS.sub(r"\\\g<0>", " ".join(visible(str(text)).split()))


def in_spreadsheet(text: str) -> str:
    """Return text that is safe in a spreadsheet: no formula, nothing hidden, not longer than a cell."""
    text = visible(text)
    text = text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}… ({len(text):,} characters)"
    return f"'{text}" if text.startswith(FORMULA) else text
