"""The house: tasks/ is the stages, flows/ the flows, ner/ the library, and tests mirror them."""

from pathlib import Path

import pytest
import yaml

from our_code import our_code

ROOT = Path(__file__).resolve().parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
MODULES_A_FOLDER = 21
LINES_A_STAGE = 80


def modules(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py")} - {"__init__"}


def test_tasks_are_the_stages_of_dvc_and_nothing_else():
    assert modules(ROOT / "tasks") == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_docstring_paths_params_and_one_call(stage):
    assert len((ROOT / "tasks" / f"{stage}.py").read_text(encoding="utf-8").splitlines()) < LINES_A_STAGE


def test_flows_are_those_of_prefect_yaml_and_nothing_else():
    assert modules(ROOT / "flows") == {Path(one["entrypoint"].partition(":")[0]).stem for one in DEPLOYMENTS}
    assert {path.name for path in (ROOT / "flows").iterdir() if path.is_dir()} - {"__pycache__"} == {
        "admin",
        "runtime",
        "servers",
    }


def test_no_folder_holds_more_modules_than_one_can_look_through():
    folders = {path.parent for path in our_code()}
    assert {str(folder): len(modules(folder)) for folder in folders if len(modules(folder)) > MODULES_A_FOLDER} == {}


def test_every_folder_of_modules_says_what_it_is():
    for folder in {path.parent for path in our_code("ner", "tasks", "flows")}:
        assert (folder / "__init__.py").read_text(encoding="utf-8").startswith('"""'), folder


def test_tests_lie_in_the_folders_of_what_they_test():
    for room in ("ner", "tasks", "flows"):
        for test in (ROOT / "tests" / room).rglob("test_*.py"):
            assert (ROOT / test.parent.relative_to(ROOT / "tests")).is_dir(), test
