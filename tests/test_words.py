"""Docstrings are read alone, in an editor or on a page of the site: each begins with what it is or returns."""

import ast

import pytest

from our_code import our_code

RIDDLES = ("Of ", "As ", "That of ", "The same", "Do it")
NODES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(source: str) -> dict[str, str]:
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, NODES))
    texts = ((getattr(node, "name", "the module"), ast.get_docstring(node)) for node in nodes)
    return {f"{name}: {text.splitlines()[0]}": text for name, text in texts if text}


@pytest.mark.parametrize("room", ["ner", "tasks", "flows"])
def test_no_docstring_begins_as_the_second_half_of_a_sentence(room):
    texts = {path: docstrings(path.read_text(encoding="utf-8")) for path in our_code(room)}
    assert [
        f"{path}, {line}" for path, lines in texts.items() for line in lines if lines[line].startswith(RIDDLES)
    ] == []


def test_a_docstring_that_needs_another_one_to_be_understood_is_noticed():
    assert [text.startswith(RIDDLES) for text in docstrings('def f():\n    """The same as a float."""\n').values()] == [
        True
    ]
