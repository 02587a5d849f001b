"""Makefile, dvc.yaml and documents say the same; commands are in test_snippets, what quotes a run in docs/checks."""

import re
from pathlib import Path

import pytest
import yaml

from ner.params import Params

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def test_every_target_is_explained():
    assert {t for t in TARGETS if not re.search(rf"^{t}:.*## \S", MAKEFILE, re.MULTILINE)} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_is_a_module_and_says_what_it_does(stage):
    assert STAGES[stage]["cmd"] == f"python -m tasks.{stage}"
    assert (ROOT / "tasks" / f"{stage}.py").exists()
    assert STAGES[stage]["desc"]


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
    of_no_stage = {"limits", "monitor", "sweep"}  # of the flow, ner monitor, ner sweep
    assert tracked | of_no_stage == set(Params.model_fields)


def test_a_training_can_come_back_from_the_run_cache():
    """DVC keeps a stage in its run cache only where all of its outputs are cached; tried with 3.67."""
    assert all(isinstance(out, str) for out in STAGES["train"]["outs"])


def test_the_benchmarks_are_no_stages_of_the_pipeline_and_each_has_its_table_in_the_documents():
    benchmarks = yaml.safe_load((ROOT / "bench" / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(benchmarks).isdisjoint(STAGES)
    page = (ROOT / "docs" / "benchmarks" / "speed.md").read_text(encoding="utf-8")
    for name, stage in benchmarks.items():
        assert stage["wdir"] == ".." and f"generated: reports/bench/{name}.md" in page
        outs = {next(iter(out)) for out in stage["outs"]}
        assert outs == {f"reports/bench/{name}.json", f"reports/bench/{name}.md"}


def test_every_block_of_params_is_explained_beside_its_keys():
    """The reference of parameters shows these comments, and so does the form of the Prefect deployment."""
    lines = (ROOT / "tests/data/params.yaml").read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if re.match(r"  \w+:", line)]
    assert [line.strip() for line in keys if "#" not in line] == []


def test_the_readme_is_short_enough_to_be_read_and_leads_to_the_pages():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) < 250 and len(readme.split()) < 2000
    links = re.findall(r"\]\(([^)#:]+)\)", readme)
    assert [link for link in links if not (ROOT / link).exists()] == [] and len(links) > 10
