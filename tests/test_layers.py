"""Imports run one way: flows, tasks, ner. The folder mlflow/ never hides the library."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_NOT_IMPORT = {
    "ner": {"tasks", "flows", "prefect", "dvc", "mlflow", "great_expectations", "datasets"},
    "tasks": {"flows", "prefect", "dvc"},
    "flows": {"mlflow", "torch", "transformers", "great_expectations"},
}
MLFLOW_ROOM = {
    "alias.py",
    "champion.py",
    "checks.py",
    "digest.py",
    "history.py",
    "register.py",
    "registry.py",
    "reproduce.py",
    "store.py",
    "tracking.py",
}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("room", MAY_NOT_IMPORT)
def test_no_room_imports_one_above_it(room):
    climbs = {str(p): imports(p) & MAY_NOT_IMPORT[room] for p in (ROOT / room).rglob("*.py")}
    assert {path: names for path, names in climbs.items() if names} == {}


def test_only_tracking_and_registration_know_mlflow():
    users = {p.name for p in (ROOT / "tasks").glob("*.py") if "mlflow" in imports(p)}
    assert users <= MLFLOW_ROOM


def test_the_folder_mlflow_is_no_package():
    import mlflow

    assert not (ROOT / "mlflow" / "__init__.py").exists()
    assert ROOT / "mlflow" not in Path(mlflow.__file__).parents  # .venv, with the library, may lie in the checkout
