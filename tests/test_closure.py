"""dvc.yaml names all code that shapes what a stage writes: what its module imports, and what that imports in turn."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# What no output of a stage depends on, and why. What only such code imports is outside with it.
OUTSIDE = {
    "ner/__init__.py": "says what the package is",
    "ner/common": "files, tables, progress, processes: how a stage works, not what it writes",
    "ner/errors.py": "sentences",
    "ner/params.py": "reads params.yaml, whose values are dependencies",
    "ner/tracking": "what MLflow is told, and what is measured",
    "tasks/__init__.py": "says what the package is",
}
OUTSIDE_OF = {
    "pin": {"ner/data/formats": "names of formats, to check an entry"},
    "base": {"ner/data/conll.py ner/data/formats": "formats of corpora"},
    "train": {"ner/evaluation ner/inference": "scores an epoch, by which no weight moves; loads a tokenizer"},
    "export": {"ner/registry": "the export's card is that of the release, with a note"},
    "register": {"ner/data ner/evaluation ner/inference": "what was judged and packed before"},
    "register_export": {"ner/data ner/encoding ner/inference ner/tags.py": "what was judged and packed before"},
}
CARRIED = (
    "ner/__init__.py",
    "ner/errors.py",
    "ner/tags.py",
)  # files of a version, so in the digest that package writes


@cache
def imports(path: str) -> frozenset[str]:
    """Our modules that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = (f"{name.replace('.', '/')}{end}" for name in names for end in (".py", "/__init__.py"))
    return frozenset(file for file in files if (ROOT / file).is_file())


def is_in(path: str, names) -> bool:
    """Whether a path is one of the names, or lies in a folder among them; that a package exists is no dependency."""
    return any(Path(path).is_relative_to(name) for name in names)


def outside(stage: str) -> list[str]:
    return [*OUTSIDE, *(name for names in OUTSIDE_OF.get(stage, ()) for name in names.split())]


def closure(stage: str) -> set[str]:
    """The modules of a stage, without those outside and what only they import."""
    modules, waiting = set(), [f"tasks/{stage}.py"]
    while waiting:
        path = waiting.pop()
        if path not in modules and (is_in(path, STAGES[stage]["deps"]) or not is_in(path, outside(stage))):
            modules.add(path)
            waiting += imports(path)
    return modules


def describes_a_package(path: str) -> bool:
    """An __init__.py that holds a docstring and nothing else."""
    return path.endswith("/__init__.py") and len(ast.parse((ROOT / path).read_text(encoding="utf-8")).body) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_all_code_that_shapes_what_a_stage_writes_is_a_dependency(stage):
    missing = {path for path in closure(stage) if not is_in(path, STAGES[stage]["deps"])}
    assert sorted(path for path in missing if not describes_a_package(path)) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_dependency_that_is_taken_out_is_missed(stage):
    """Each code dependency is what at least one module of the stage's closure lies in."""
    code = [dep for dep in STAGES[stage]["deps"] if dep.startswith(("ner/", "tasks/")) and dep not in CARRIED]
    assert [dep for dep in code if not any(is_in(path, [dep]) for path in closure(stage))] == []


def test_nothing_is_excused_that_no_stage_would_miss():
    for stage in OUTSIDE_OF:
        imported = {one for module in closure(stage) for one in imports(module)}
        for name in outside(stage)[len(OUTSIDE) :]:
            assert not is_in(name, STAGES[stage]["deps"]), f"{name} is a dependency of {stage}"
            assert any(is_in(path, [name]) for path in imported), f"{stage}: {name}"
