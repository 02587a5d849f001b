"""The format of an annotated file: detected from the file, or named in catalog.yaml."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ner.data.formats.notation import NOTATIONS
from ner.data.formats.offsets import UNITS
from ner.data.formats.schemes import scheme_name
from ner.errors import CorpusError

TAB, SPACE, BLANKS = "tab", "space", "blanks"
SEPARATORS = {TAB: "\t", SPACE: " ", "comma": ",", "semicolon": ";", "bar": "|"}


@dataclass(frozen=True)
class Format:
    """The format of a corpus; fields that do not apply to the format's name are None.

    encoding: of the characters; a byte order mark in the file wins. scheme: of the tags (ner.data.formats.schemes).
    outside: the tag of tokens in no entity (O if None); notation: where the prefix of a tag stands, unless it is
    written as in B-PER (ner.data.formats.notation). header: the first line of a column file names the columns;
    None: in the files whose first line does.
    separator: tab, space, blanks (any run of both); in CSV files tab, comma, semicolon, bar. token_column, tag_column,
    columns: counted from 1. numbered: the first column counts the tokens of a sentence. prefix: stands before every
    token and is none of it (`en:`). documents: what opens one ("-DOCSTART-", "# newdoc"); None where boundaries are not
    known. misc_key: the key in CoNLL-U's last column. *_field: names in records or of CSV columns. labels: what tag ids
    or label ids stand for. default_type: the type of tags that have none. offsets: what character offsets count
    (ner.data.formats.offsets); None: code points, unless the annotations' own texts show otherwise. quotes: a cell of a
    CSV
    file may stand in quotation marks. language: whose rules cut a text into tokens (ner.inference.text.LANGUAGE if
    None). repair:
    read sequences
    that the scheme forbids as conlleval would, and list them, instead of raising.
    """

    name: str
    encoding: str = "utf-8"
    scheme: str | None = None
    outside: str | None = None
    notation: str | None = None
    separator: str | None = None
    columns: int | None = None
    token_column: int | None = None
    tag_column: int | None = None
    numbered: bool = False
    header: bool | None = False
    prefix: str = ""
    documents: str | None = None
    misc_key: str | None = None
    tokens_field: str | None = None
    tags_field: str | None = None
    text_field: str | None = None
    spans_field: str | None = None
    sentence_field: str | None = None
    document_field: str | None = None
    labels: tuple[str, ...] | None = None
    default_type: str | None = None
    offsets: str | None = None
    quotes: bool = True
    language: str | None = None
    repair: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.labels, list):
            object.__setattr__(self, "labels", tuple(self.labels))
        if isinstance(self.scheme, str):
            object.__setattr__(self, "scheme", scheme_name(self.scheme))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            wanted = _WANTED.get(field.name, "text" if "str" in str(field.type) else "true or false")
            if value != field.default and not _CHECKS[wanted](value):
                raise CorpusError(f"format, {field.name}: got {value!r}, need {wanted}.")

    def settings(self) -> dict[str, Any]:
        """Return the fields that differ from the defaults, as plain values: what catalog.yaml holds, and
        `Format(**settings)` takes.
        """
        plain = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                plain[field.name] = list(value) if isinstance(value, tuple) else value
        return plain


OPTIONS = frozenset(field.name for field in dataclasses.fields(Format)) - {"name"}
_COUNT, _LABELS = "a number from 1 on", "a list of names"
_NOTATION = f"one of {', '.join(NOTATIONS)}"
_SEPARATOR, _UNIT = f"one of {', '.join([*SEPARATORS, BLANKS])}", f"one of {', '.join(UNITS)}"
_WANTED = {
    **dict.fromkeys(("columns", "token_column", "tag_column"), _COUNT),
    "labels": _LABELS,
    "separator": _SEPARATOR,
    "offsets": _UNIT,
    "notation": _NOTATION,
}
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "true or false": lambda value: value is None or isinstance(value, bool),
    _COUNT: lambda value: isinstance(value, int) and not isinstance(value, bool) and value > 0,
    _LABELS: lambda value: isinstance(value, tuple) and all(isinstance(label, str) for label in value),
    _SEPARATOR: lambda value: value in (*SEPARATORS, BLANKS),
    _UNIT: lambda value: value in UNITS,
    _NOTATION: lambda value: value in NOTATIONS,
}


class Unrecognised(CorpusError):
    """A file that is not in the expected format; the message says what it has instead."""


@dataclass(frozen=True)
class Recognised:
    """The format of a file or a folder, and the evidence for it.

    files: by split, as their names tell it ("train", "validation", "test"; "other" for the rest, "all" where no name
    tells one), and "unlabelled" for texts that nobody annotated, which have the format `unlabelled`. seen: what
    decided, a sentence each. skipped: what in the folder was left out, and why.
    """

    format: Format
    files: dict[str, list[Path]]
    seen: list[str]
    skipped: list[tuple[Path, str]]
    unlabelled: Format | None = None

    def lines(self) -> Iterator[str]:
        """Yield the recognised format as lines to print, one per fact."""
        settings = ", ".join(f"{key} {value!r}" for key, value in self.format.settings().items() if key != "name")
        yield f"format: {self.format.name}" + (f" ({settings})" if settings else "")
        yield from (f"seen: {fact}" for fact in self.seen)
        for split, paths in self.files.items():
            yield f"{split}: {paths[0]}" + (f" and {len(paths) - 1:,} more" if len(paths) > 1 else "")
        yield from (f"left out: {path}: {reason}" for path, reason in self.skipped)


TOKENS = ("tokens", "tokenized_text", "words", "token", "word", "form", "sentence", "text")
TAGS = ("ner_tags", "ner", "tags", "labels", "ner_labels", "tag", "label", "entities", "iob", "bio", "entity")
SENTENCES = ("sentence #", "sentence_id", "sent_id", "sentence_idx", "sentence", "sent", "sentence_number")
DOCUMENTS = ("document_id", "doc_id", "document", "doc", "doc_key", "file", "filename", "article", "article_id")


def named_like(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    """Return the first of `wanted` that is among the names, ignoring case."""
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[name] for name in wanted if name in lower), None)


def is_most(claims: Iterable[bool]) -> bool:
    """Whether at least half are true: a damaged record must not hide what the file is; reading it tells its line."""
    claims = list(claims)
    return 0 < len(claims) <= 2 * sum(claims)


def one_of(holding: dict[str, list[Any]], usual: Sequence[str], path: Path) -> str | None:
    """Return the field with a usual name, else the only one. Raises CorpusError where there are several others."""
    name = named_like(list(holding), usual) or (next(iter(holding)) if len(holding) == 1 else None)
    if name or not holding:
        return name
    shown = "; ".join(f"--set spans_field={field}: {str(items[:2])[1:60]}" for field, items in holding.items())
    raise CorpusError(f"{path.name}: more than one field holds spans, so name it. {shown}.")
