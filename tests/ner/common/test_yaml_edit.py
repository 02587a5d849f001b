"""params.yaml and catalog.yaml are changed by us, by DVC and by people: one change is one changed line."""

import shutil
from difflib import unified_diff
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from ner.common.yaml_edit import YamlFile

PARAMS = Path(__file__).resolve().parents[2] / "data" / "params.yaml"


@pytest.fixture
def params(tmp_path) -> Path:
    return Path(shutil.copy(PARAMS, tmp_path))


def changed(path: Path) -> list[str]:
    """The lines that differ from those of PARAMS."""
    lines = unified_diff(PARAMS.read_text().splitlines(), path.read_text().splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


@pytest.mark.parametrize(
    ("setting", "before", "after"),
    [
        ("train.epochs=3", "-  epochs: auto", "+  epochs: 3"),
        ("gate.min_f1=0.99", "-  min_f1: 0.93", "+  min_f1: 0.99"),
        ("sweep.trials=20", "-  trials: 12  ", "+  trials: 20  "),
        ("evaluation.corrected_test=local/a.txt", "-  corrected_test:  ", "+  corrected_test: local/a.txt  "),
    ],
)
def test_an_experiment_of_dvc_changes_one_line(params, setting, before, after):
    apply_overrides(params, [setting])  # what `dvc exp run -S` calls
    old, new = changed(params)
    assert old.startswith(before) and new.startswith(after)


def test_we_write_lists_and_nulls_as_dvc_does_where_the_file_does(params):
    file = YamlFile(params)
    assert file.diff() == ""
    file.tree["train"]["epochs"] = 3
    file.tree["seeds"]["extra"] = [43]
    file.write()
    before = changed(params)
    lines = [line.partition(" #")[0].rstrip() for line in before if "epochs" in line or "43" in line]
    assert lines == ["-  epochs: auto", "+  epochs: 3", "+  - 43"]
    assert len(before) == 5
    apply_overrides(params, ["train.epochs=3"])
    assert changed(params) == before


def test_a_file_with_indented_lists_and_the_word_null_keeps_both(tmp_path):
    path = tmp_path / "catalog.yaml"
    path.write_text("a: null\nb:\n  - 1\n  - 2\n")
    file = YamlFile(path)
    file.tree["c"] = None
    file.tree["b"].append(3)
    file.write()
    assert path.read_text() == "a: null\nb:\n  - 1\n  - 2\n  - 3\nc: null\n"
    assert yaml.safe_load(path.read_text())["c"] is None
