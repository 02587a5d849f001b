"""Change a YAML file and keep its comments, its order and its line breaks.

file = YamlFile(Path("params.yaml"))
file.tree["data"]["source"] = "my-corpus"
print(file.diff())
file.write()
"""

import difflib
import io
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML, RoundTripRepresenter, YAMLError
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from ner.common.files import write_text
from ner.errors import NerError


class _WordForNull(RoundTripRepresenter):
    """Writes `null`, where ruamel.yaml leaves nothing."""


_WordForNull.add_representer(
    type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


@dataclass(frozen=True)
class _Style:
    """offset: of the hyphens of a list from its key."""

    offset: int
    representer: type


STYLES = (
    _Style(2, _WordForNull),
    _Style(0, RoundTripRepresenter),  # DVC's, whose experiments write params.yaml
)


class YamlFile:
    """tree: what the file holds, to be changed in place. apart: the line of a key with an empty line before and after.

    Lists and nulls are written in the one of STYLES that changes least of the file as it is. Raises NerError where the
    file is missing or no YAML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.apart = ""
        try:
            self.before = path.read_text(encoding="utf-8")
            self.tree: Any = _yaml(STYLES[0]).load(self.before)
        except FileNotFoundError:
            raise NerError(f"{path} is not here: run from the root of the repository.") from None
        except YAMLError as error:
            raise NerError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
        self._style = min(STYLES, key=self._changed)

    def after(self) -> str:
        """Return the text with the changes."""
        text = self._dumped(self._style)
        return _set_apart(text, self.apart) if self.apart else text

    def diff(self) -> str:
        """Return what changes, as `diff -U0` shows it; empty where nothing does."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after().splitlines(), str(self.path), str(self.path), n=0, lineterm=""
        )
        return "\n".join(line for line in lines if not line.startswith("@@"))

    def write(self) -> None:
        """Write the file whole or not at all, and only where something changes."""
        if self.after() != self.before:
            write_text(self.path, self.after())

    def _dumped(self, style: _Style) -> str:
        text = io.StringIO()
        _yaml(style).dump(self.tree, text)
        return text.getvalue()

    def _changed(self, style: _Style) -> int:
        pairs = zip_longest(self.before.splitlines(), self._dumped(style).splitlines())
        return sum(old != new for old, new in pairs)


def _yaml(style: _Style) -> YAML:
    writer = YAML()
    writer.preserve_quotes = True
    writer.width = 120
    writer.indent(mapping=2, sequence=2 + style.offset, offset=style.offset)
    writer.Representer = style.representer
    return writer


def _set_apart(text: str, line: str) -> str:
    """Put an empty line before `line`, unless it is a mapping's first key, and one after the block below it."""
    lines = text.split("\n")
    first = lines.index(line) if line in lines else len(lines)
    indent = len(line) - len(line.lstrip())
    after = (i for i in range(first + 1, len(lines)) if lines[i] and len(lines[i]) - len(lines[i].lstrip()) <= indent)
    for index in sorted({first, next(after, len(lines))} - {len(lines)}, reverse=True):
        before = lines[index - 1]
        if before and len(before) - len(before.lstrip()) >= indent:
            lines.insert(index, "")
    return "\n".join(lines)


def put(tree: Any, key: Any, value: Any) -> None:
    """Set a key; of a mapping that is there only what differs, so that comments and empty lines inside it stay."""
    old = tree.get(key)
    if isinstance(old, dict) and isinstance(value, dict) and value:
        for name in [name for name in old if name not in value]:
            del old[name]
        for name, item in value.items():
            put(old, name, item)
    elif old != value or key not in tree:
        tree[key] = value


def quoted(value: Any) -> Any:
    """Return a value with quotes around each text that a reader of YAML 1.1 takes for something else: no, on, 1:30."""
    if isinstance(value, dict):
        return {quoted(key): quoted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [quoted(item) for item in value]
    return SingleQuotedScalarString(value) if isinstance(value, str) and _is_mistaken(value) else value


def _is_mistaken(text: str) -> bool:
    try:
        return yaml.safe_load(text) != text
    except yaml.YAMLError:
        return False  # ruamel.yaml quotes it
