"""Imports run one way: flows, tasks, ner. The folder mlflow/ never hides the library."""

import subprocess
import sys
from pathlib import Path

from ner.__main__ import PROGRAMS

ROOT = Path(__file__).resolve().parents[1]


def test_the_contracts_of_pyproject_hold():
    """Layers, and which library belongs to which folder: [tool.importlinter]."""
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_folder_mlflow_is_no_package():
    import mlflow

    assert not (ROOT / "mlflow" / "__init__.py").exists()
    assert ROOT / "mlflow" not in Path(mlflow.__file__).parents  # .venv, with the library, may lie in the checkout


HEAVY = "torch transformers datasets mlflow great_expectations dask spacy matplotlib scipy.stats prefect.flows".split()
COMMANDS = sorted({program.function.partition(":")[0] for program in PROGRAMS.values()})
LOADED = """\
import importlib, sys
for name in {names}:
    importlib.import_module(name)
    print(name, [heavy for heavy in {heavy} if heavy in sys.modules])
"""


def test_no_command_waits_for_heavy_libraries_before_it_has_read_its_arguments():
    """One fresh interpreter for all: the first line that names a library names the command that imports it."""
    code = LOADED.format(names=COMMANDS, heavy=HEAVY)
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert [line for line in ran.stdout.splitlines() if not line.endswith("[]")] == []


def test_stages_that_run_no_network_do_not_import_torch():
    stages = [path.stem for path in sorted((ROOT / "tasks").glob("[a-z]*.py")) if path.stem not in ("train", "predict")]
    code = LOADED.format(names=[f"tasks.{stage}" for stage in stages], heavy=["torch"])
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert [line for line in ran.stdout.splitlines() if not line.endswith("[]")] == [], ran.stderr
