"""Records from a .py file that assigns a list of examples, as spaCy 2 took them; the file is read, never run."""

import ast
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ner.data.formats.containers.json_stream import Record
from ner.data.formats.format import Unrecognised
from ner.data.formats.text_files import Progress, pieces
from ner.errors import CorpusError

Lists = dict[str, ast.List | ast.Tuple]
_RECORDS = (ast.Tuple, ast.List, ast.Dict)


def literal_records(path: Path, encoding: str = "utf-8", progress: Progress | None = None) -> Iterator[Record]:
    """Yield the members of the one list in the file whose members are tuples, lists or dicts.

    Raises Unrecognised for what is no Python or has no such list, CorpusError for several, for one that is changed
    below, and for a member that is no literal.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes that Python does not know
            tree = ast.parse("".join(pieces(path, encoding, progress)))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise Unrecognised(
            f"{path.name}, line {getattr(error, 'lineno', 0) or 1}: no valid Python ({getattr(error, 'msg', error)})"
        ) from None
    lists = {name: value for name, value in _values(tree) if isinstance(value, ast.List | ast.Tuple)}
    lists = _with_any(lists, _is_example) or _with_any(lists, lambda member: isinstance(member, _RECORDS))
    if not lists:
        raise Unrecognised(f"{path.name} assigns no list of records")
    if len(lists) > 1:
        raise CorpusError(f"{path.name} assigns several lists ({', '.join(lists)}): put each into a file of its own.")
    if line := next((node.lineno for node in _statements(tree.body) if _changes(node, next(iter(lists)))), None):
        raise CorpusError(
            f"{path.name}, line {line}: {next(iter(lists))} is changed (the file is read, not run): write one list."
        )
    for member in next(iter(lists.values())).elts:
        try:
            yield f"line {member.lineno}", _plain(ast.literal_eval(member))
        except (ValueError, TypeError, MemoryError, RecursionError):
            raise CorpusError(
                f"{path.name}, line {member.lineno}: no literal (the file is read, not run): write the value itself."
            ) from None


def _values(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield ast.unparse(node.targets[0]), node.value
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target), node.value
        elif isinstance(node, ast.Expr):
            yield f"line {node.lineno}", node.value


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements and those inside of them, but for the bodies of functions and classes."""
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
            yield from _statements([inner for inner in ast.iter_child_nodes(node) if isinstance(inner, ast.stmt)])


def _changes(node: ast.stmt, name: str) -> bool:
    """Whether a statement adds to a list (`NAME += …`, `NAME[0] = …`) or calls a method of it, such as append."""
    if isinstance(node, ast.AugAssign):
        return ast.unparse(node.target) == name
    if isinstance(node, ast.Assign):
        return any(isinstance(to, ast.Subscript) and ast.unparse(to.value) == name for to in node.targets)
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == name


def _with_any(lists: Lists, check: Callable[[ast.expr], bool]) -> Lists:
    return {name: value for name, value in lists.items() if any(map(check, value.elts))}


def _is_example(member: ast.expr) -> bool:
    """Whether a member looks like ("text", {…}), or like {"text": …}."""
    if isinstance(member, ast.Dict):
        return any(isinstance(key, ast.Constant) and key.value == "text" for key in member.keys)
    return isinstance(member, ast.Tuple | ast.List) and len(member.elts) == 2 and isinstance(member.elts[1], ast.Dict)


def _plain(value: Any) -> Any:
    """Return the value with a list for each tuple or set, as JSON has it."""
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return {str(key): _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
