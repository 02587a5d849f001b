"""Words: a docstring is read alone, in an editor or on a page of the site; a name says what its value is."""

import ast

import pytest

from our_code import our_code

RIDDLES = ("Of ", "As ", "That of ", "The same", "Do it")
RIDDLE_NAMES = {"found", "told", "said", "one"}  # a past participle, or a number: name the thing (spans, message, row)
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


def bound_names(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    variables = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return variables | {node.arg for node in nodes if isinstance(node, ast.arg)}


@pytest.mark.parametrize("room", ["ner", "tasks", "flows"])
def test_variables_are_called_by_what_they_hold(room):
    names = {path: bound_names(path.read_text(encoding="utf-8")) & RIDDLE_NAMES for path in our_code(room)}
    assert {str(path): riddles for path, riddles in names.items() if riddles} == {}


def test_a_variable_of_a_loop_or_a_comprehension_is_noticed():
    assert bound_names("for one in x:\n    y = [found for found in one]\n") >= {"one", "found"}
