"""README, Makefile, dvc.yaml, params.yaml and the lock file say the same."""

import hashlib
import importlib
import json
import re
import tomllib
from functools import reduce
from importlib.metadata import version
from operator import getitem
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ner.params import Params, read_yaml
from tasks.experiments_report import page

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_make_command_in_the_readme_exists():
    assert set(re.findall(r"`make ([a-z-]+)", README)) | set(re.findall(r"^make ([a-z-]+)", README, re.M)) <= TARGETS


def test_every_target_is_explained():
    assert {t for t in TARGETS if not re.search(rf"^{t}:.*## \S", MAKEFILE, re.MULTILINE)} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_a_module_that_the_readme_explains(stage):
    assert STAGES[stage]["cmd"] == f"python -m tasks.{stage}"
    assert (ROOT / "tasks" / f"{stage}.py").exists()
    assert f"`{stage}`" in README


@pytest.mark.parametrize("stage", STAGES)
def test_every_dependency_is_a_file_of_ours_or_the_output_of_a_stage(stage):
    outs = {
        next(iter(out)) if isinstance(out, dict) else out
        for other in STAGES.values()
        for out in other.get("outs", []) + other.get("metrics", [])
    }
    deps = STAGES[stage].get("deps", [])
    missing = [d for d in deps if d not in outs and not (ROOT / d).exists() and str(Path(d).parent) not in outs]
    assert missing == []


def test_every_block_of_params_belongs_to_a_stage_and_is_known():
    tracked = {name.partition(".")[0] for stage in STAGES.values() for name in stage.get("params", [])}
    of_no_stage = {"limits", "monitor", "retention", "sweep"}  # of the flow, make monitor, make collect, make sweep
    assert tracked | of_no_stage == set(Params.model_fields)


def test_the_lock_file_has_names_and_versions_only():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line)] == []


def test_the_lock_file_holds_what_pyproject_asks_for():
    pins = {canonicalize_name(name): number for name, number in locked().items()}
    wanted = PROJECT["dependencies"] + sum(PROJECT["optional-dependencies"].values(), [])
    for requirement in map(Requirement, wanted):
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), f"{requirement} does not admit the pinned {pin}"


def test_the_environment_is_the_locked_one():
    pins = locked()
    names = ("torch", "transformers", "prefect", "mlflow", "dvc", "great_expectations", "seqeval", "datasets")
    assert {name: version(name).split("+")[0] for name in names} == {name: pins[name] for name in names}


def test_the_results_in_the_readme_are_those_of_the_committed_reports():
    metrics = json.loads((ROOT / "reports" / "metrics.json").read_text(encoding="utf-8"))
    for split in ("validation", "test"):
        for name, scores in ((split, metrics[split]), (f"{split}, each sentence alone", metrics[split]["sentence"])):
            numbers = " | ".join(f"{scores[measure]:.4f}" for measure in ("precision", "recall", "f1", "accuracy"))
            assert f"| {name} | {numbers} |" in README
        by_type = " | ".join(
            f"{row['f1']:.4f} ({low:.4f}–{high:.4f})"
            for row, (low, high) in [
                (metrics[split], metrics[split]["interval"]["f1"]),
                *((row, row["interval"]) for row in metrics[split]["per_type"].values()),
            ]
        )
        assert f"| {split} | {by_type} |" in README


def test_the_committed_reports_are_those_that_the_lock_file_names():
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    recorded = {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}
    for name in ("metrics.json", "scores.json", "gate.json", "card.md", "registration.json"):
        path = f"reports/{name}"
        assert hashlib.md5((ROOT / path).read_bytes()).hexdigest() == recorded[path], f"{path} is of another run"


def test_the_lock_file_belongs_to_the_stages_and_parameters_that_are_committed():
    lock = read_yaml((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    params = read_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
    assert set(lock) == set(STAGES)
    for stage in STAGES:
        tracked = {name: reduce(getitem, name.split("."), params) for name in STAGES[stage].get("params", [])}
        assert lock[stage].get("params", {}).get("params.yaml", {}) == tracked
        recorded = {dep["path"]: dep["md5"] for dep in lock[stage]["deps"] if dep["path"].endswith(".py")}
        today = {path: hashlib.md5((ROOT / path).read_bytes()).hexdigest() for path in recorded}
        assert today == recorded, f"{stage} was run with other code"


def test_a_training_can_come_back_from_the_run_cache():
    """DVC keeps a stage in its run cache only where all of its outputs are cached; tried with 3.67."""
    assert all(isinstance(out, str) for out in STAGES["train"]["outs"])


def test_the_speeds_in_the_readme_are_those_of_the_committed_benchmark():
    contenders = json.loads((ROOT / "reports" / "bench" / "prediction.json").read_text(encoding="utf-8"))["contenders"]
    table = re.search(r"<!-- bench: .*?-->(.*?)<!-- /bench -->", README, re.DOTALL)[1]
    rows = [[cell.strip() for cell in line.split("|")[2:-1]] for line in table.strip().splitlines()[2:]]
    shown = [one for name, one in contenders.items() if "aggregation" not in name]
    assert rows == [
        [
            "{median:.2f} ({low:.2f}–{high:.2f})".format(**one["ratio"]),
            f"{one['share_of_bound']:.0%}",
            f"{one['f1']:.4f}",
            f"{one['same_as_pipeline']:.1%}",
        ]
        for one in shown
    ]


@pytest.mark.parametrize("name", ["training", "settings", "evaluation", "pipeline", "growth"])
def test_the_tables_of_a_benchmark_in_the_readme_are_those_of_its_committed_report(name):
    """Whole tables of reports/bench/<name>.md, which are made of the JSON; none before it was measured."""
    text = re.search(rf"<!-- bench {name}: .*?-->\n(.*?)<!-- /bench {name} -->", README, re.DOTALL)[1]
    report = ROOT / "reports" / "bench" / f"{name}.json"
    if not report.exists():
        assert text == ""
        return
    markdown = importlib.import_module(f"tasks.bench_{name}").markdown
    written = markdown(json.loads(report.read_text(encoding="utf-8")))
    tables = re.findall(r"(?:^\|.*\n)+", written, re.MULTILINE)
    assert re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE) == tables
    assert report.with_suffix(".md").read_text(encoding="utf-8") == written


def test_the_table_of_experiments_is_that_of_their_report():
    folder = ROOT / "reports" / "experiments"
    report = json.loads((folder / "experiments.json").read_text(encoding="utf-8"))
    assert (folder / "experiments.md").read_text(encoding="utf-8") == page(report)


def test_the_committed_benchmarks_are_those_of_their_lock_file():
    path = ROOT / "bench" / "dvc.lock"
    if not path.exists():
        return
    for stage in yaml.safe_load(path.read_text(encoding="utf-8"))["stages"].values():
        for out in stage["outs"]:
            assert hashlib.md5((ROOT / out["path"]).read_bytes()).hexdigest() == out["md5"], out["path"]


def test_the_benchmarks_are_no_stages_of_the_pipeline_and_each_is_explained():
    benchmarks = yaml.safe_load((ROOT / "bench" / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(benchmarks).isdisjoint(STAGES)
    for name, stage in benchmarks.items():
        assert stage["wdir"] == ".." and f"| `{name}` |" in README
        outs = {next(iter(out)) for out in stage["outs"]}
        assert outs == {f"reports/bench/{name}.json", f"reports/bench/{name}.md"}
