"""Of a clean checkout: lock files, reports and frozen copies are of one run, with the committed code and parameters."""

import hashlib
import json
import shutil
import subprocess
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from docs.checks.freeze import ANSWERS, MODEL, REPORTS, ROOT, SETTINGS, recorded
from ner.data.sources.pins import LOCK, locked
from ner.data.validation.profile import read_profile
from ner.params import read_yaml

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
LOCKED = read_yaml((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
COMMITTED = set(subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split("\n"))


def md5(path: str) -> str:
    """As DVC writes it: of a file its md5, of a folder that of the list of its files, those in git."""
    inside = sorted(file for file in COMMITTED if file.startswith(f"{path}/"))
    if not inside:
        return hashlib.md5((ROOT / path).read_bytes()).hexdigest()
    listed = [{"md5": md5(file), "relpath": file.removeprefix(f"{path}/")} for file in inside]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


@pytest.mark.parametrize(("source", "copy"), SETTINGS.items())
def test_tests_have_the_committed_settings(source, copy):
    ours, theirs = (read_yaml((ROOT / path).read_text(encoding="utf-8")) for path in (source, copy))
    assert ours == theirs, "run `make freeze`"


def test_an_experiment_of_dvc_changes_no_line_of_params_that_it_does_not_set(tmp_path):
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    before = path.read_text(encoding="utf-8").splitlines()
    apply_overrides(path, ["train.epochs=99"])
    after = path.read_text(encoding="utf-8").splitlines()
    assert [line.partition("#")[0].strip() for line in after if line not in before] == ["epochs: 99"]
    assert len(after) == len(before), "write lists and empty values as DVC does, and no list last before an empty line"


@pytest.mark.parametrize(("source", "copy"), REPORTS.items())
def test_documents_are_held_against_the_reports_that_the_lock_files_name(source, copy):
    assert md5(copy) == recorded()[source], f"{source} is of another run than {copy}: run `make freeze`"


def test_answers_are_of_the_model_that_the_lock_file_names():
    answer = json.loads(ANSWERS.read_text(encoding="utf-8"))
    assert answer["model"] == recorded()[MODEL], "run `dvc checkout models/release && make freeze`"


@pytest.mark.parametrize("path", sorted(COMMITTED & set(recorded())))
def test_the_committed_reports_are_those_that_the_lock_files_name(path):
    assert md5(path) == recorded()[path], f"{path} is of another run"


@pytest.mark.parametrize("stage", STAGES)
def test_the_lock_file_belongs_to_the_committed_stages_parameters_and_code(stage):
    params = read_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert set(LOCKED) == set(STAGES)
    tracked = {name: reduce(getitem, name.split("."), params) for name in STAGES[stage].get("params", [])}
    assert LOCKED[stage].get("params", {}).get("params.yaml", {}) == tracked
    seen = {dep["path"]: dep["md5"] for dep in LOCKED[stage]["deps"]}
    assert set(seen) == set(STAGES[stage]["deps"]), f"{stage} was run with other dependencies"
    ours = [path for path in seen if path in COMMITTED or any(file.startswith(f"{path}/") for file in COMMITTED)]
    ours = [path for path in ours if path not in recorded()]  # outputs are held by the test above
    assert {path: md5(path) for path in ours} == {path: seen[path] for path in ours}, f"{stage} was run with other code"


def test_the_profile_of_conll2003():
    profile = read_profile("conll2003", ROOT / "profiles")
    counts = {name: about["entities"] for name, about in profile["types"].items()}
    assert counts == {"LOC": 10645, "MISC": 5062, "ORG": 9323, "PER": 10059}
    assert profile["tokens"] == 301_418 and profile["documents"] == 1393


def test_the_components_are_those_of_the_lock_file():
    sbom = json.loads((ROOT / "reports/sbom.json").read_text(encoding="utf-8"))
    assert {part["name"]: part["version"] for part in sbom["components"]} == locked(ROOT / LOCK), "run `make sbom`"
