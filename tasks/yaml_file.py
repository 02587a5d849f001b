"""Change a YAML file and keep its comments, its order and its line breaks.

file = YamlFile(Path("params.yaml"))
file.tree["data"]["source"] = "my-corpus"
print(file.diff())
file.write()
"""

import difflib
import io
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML, YAMLError
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from ner.errors import NerError
from tasks.io import write_text


class YamlFile:
    """tree: what the file holds, to be changed in place. apart: the line of a key with an empty line before and after.

    Raises NerError where the file is missing or no YAML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.apart = ""
        self._yaml = YAML()
        self._yaml.preserve_quotes = True
        self._yaml.width = 120
        self._yaml.indent(mapping=2, sequence=4, offset=2)
        self._yaml.representer.add_representer(type(None), _as_null)
        try:
            self.before = path.read_text(encoding="utf-8")
            self.tree: Any = self._yaml.load(self.before)
        except FileNotFoundError:
            raise NerError(f"{path} is not here: run from the root of the repository.") from None
        except YAMLError as error:
            raise NerError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None

    def after(self) -> str:
        """The text with the changes."""
        text = io.StringIO()
        self._yaml.dump(self.tree, text)
        return _set_apart(text.getvalue(), self.apart) if self.apart else text.getvalue()

    def diff(self) -> str:
        """What changes, as `diff -U0` shows it; empty where nothing does."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after().splitlines(), str(self.path), str(self.path), n=0, lineterm=""
        )
        return "\n".join(line for line in lines if not line.startswith("@@"))

    def write(self) -> None:
        """Whole or not at all, and only where something changes."""
        if self.after() != self.before:
            write_text(self.path, self.after())


def _set_apart(text: str, line: str) -> str:
    """An empty line before `line`, but for the first key of a mapping, and one after all that is indented below it."""
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
        for name, one in value.items():
            put(old, name, one)
    elif old != value or key not in tree:
        tree[key] = value


def quoted(value: Any) -> Any:
    """A value with quotes around each text that a reader of YAML 1.1 takes for something else: no, on, 1:30."""
    if isinstance(value, dict):
        return {quoted(key): quoted(one) for key, one in value.items()}
    if isinstance(value, list):
        return [quoted(one) for one in value]
    return SingleQuotedScalarString(value) if isinstance(value, str) and _is_mistaken(value) else value


def _is_mistaken(text: str) -> bool:
    try:
        return yaml.safe_load(text) != text
    except yaml.YAMLError:
        return False  # ruamel.yaml quotes it


def _as_null(representer: Any, value: None) -> Any:
    """`null`, where ruamel.yaml would leave nothing."""
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")
