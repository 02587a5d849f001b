"""Experiments: what is compared with what, how a stopped run goes on, what the table says, what is written back."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from ner.errors import BusyError, NerError, ParamsError
from ner.params import read_blocks
from tasks import experiments_cost
from tasks.bench_report import spread
from tasks.experiments import run_experiments
from tasks.experiments_cost import measure_costs
from tasks.experiments_file import BASELINE, Experiments, TechniqueParams, planned, read_experiments
from tasks.experiments_report import compared, experiments_report, page, to_apply
from tasks.io import read_params
from tasks.store import client
from tasks.sweep import only_sweep
from tasks.sweep_report import applied

ROOT = Path(__file__).resolve().parents[2]
TRAIN = {
    "epochs": 12,
    "batch_size": 8,
    "learning_rate": 5e-3,
    "precision": "fp32",
    "device": "cpu",
    "dropped_layers": 0,
    "frozen_embeddings": False,
}
IDEAS = [
    {"name": "slow", "why": "learns next to nothing", "set": {"train": {"learning_rate": 1e-7, "epochs": 1}}},
    {"name": "overlap", "why": "reads its neighbours", "set": {"prediction": {"overlap": 4}}, "seeds": [42]},
    {"name": "half", "why": "there is no GPU here", "set": {"train": {"precision": "fp16"}}},
]
SUMMED = {"name": "summed", "why": "x", "set": {"train": {"gradient_accumulation": 2}}, "taught_by": [7]}
SMALL = {"train": {"dropped_layers": 1}}
WHOLE = {"set": {}, "train_documents": None, "validation_documents": None, "seed": 1}
FILE = {BASELINE: WHOLE, "seeds": [42, 43], "ideas": IDEAS}
NOBODY = "http://127.0.0.1:9"  # no MLflow server answers here
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def done(tmp_path_factory, tiny_encoder, prepared, database):
    """A folder in which the experiments of FILE have been run, with MLflow's store in it."""
    folder = tmp_path_factory.mktemp("experiments")
    shutil.copytree(prepared, folder / "data/prepared")
    (folder / "data/prepared/test.parquet").unlink()  # whoever looks at test fails
    shutil.copytree(tiny_encoder, folder / "models/base")
    (folder / "models/base.json").write_text(json.dumps({"name": "tiny"}))
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    tree["train"] |= TRAIN
    tree["encoding"] |= {"context": "document", "max_length": 32}
    tree["model"]["base"] = "tiny"
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))
    (folder / "experiments.yaml").write_text(yaml.safe_dump(FILE))
    shutil.copytree(database / "mlflow", folder / "mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        run_here(folder)
    return folder


def run_here(folder, only=(), rounds=0):
    file = read_experiments(folder / "experiments.yaml")
    tree = read_blocks((folder / "params.yaml").read_text())
    places = folder / "data/prepared", folder / "models/base", folder / ".ner/experiments", folder / "reports"
    return run_experiments(file, tree, *places, only, rounds)


@pytest.fixture(scope="module")
def report(done):
    return json.loads((done / "reports/experiments.json").read_text())


def by_name(report):
    return {idea["name"]: idea for idea in report["ideas"]}


def test_every_idea_is_compared_with_the_baseline_in_both_readings(report):
    ideas = by_name(report)
    assert list(ideas) == [BASELINE, "slow", "overlap", "half"]
    baseline, slow = ideas[BASELINE], ideas["slow"]
    assert [one["seed"] for one in slow["seeds"]] == [42, 43] and [
        one["seed"] for one in ideas["overlap"]["seeds"]
    ] == [42]
    for reading in ("documents", "alone"):
        for idea in (baseline, slow):
            values = [one[reading]["f1"] for one in idea["seeds"]]
            assert idea["f1"][reading]["mean"] == pytest.approx(np.mean(values))
            assert (idea["f1"][reading]["min"], idea["f1"][reading]["max"]) == (min(values), max(values))
        assert slow["difference"][reading]["difference"] < 0
        assert slow["difference"][reading]["interval"][1] <= 0  # of the few documents one may have nothing to lose
    assert "better" not in slow["verdict"] and baseline["ratio"] == 1.0 and slow["ratio"] > 0
    assert report["split"] == "validation" and "test" not in json.dumps(ideas)


def test_an_idea_that_fails_stays_with_its_reason_and_the_others_go_on(done, report):
    failed = by_name(report)["half"]
    assert failed["verdict"] == "failed" and "fp16 needs a GPU" in failed["reason"] and failed["f1"] is None
    table = (done / "reports/experiments.md").read_text()
    assert "| half | there is no GPU here |" in table and failed["reason"] in table
    assert (done / "reports/figures/experiments.png").stat().st_size > 10_000


def test_an_idea_that_changes_prediction_alone_trains_nothing(done, report):
    ideas = by_name(report)
    assert ideas["overlap"]["seeds"][0]["mlflow_run_id"] == ideas[BASELINE]["seeds"][0]["mlflow_run_id"]
    assert len(list((done / ".ner/experiments").glob("*/reports/training.json"))) == 4
    assert len(list((done / ".ner/experiments").glob("*/model"))) == 2  # of the baseline


def test_every_training_is_a_child_of_one_run_that_has_the_table(done, report, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(done))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    store = client()
    parent = store.get_run(report["mlflow_run_id"])
    assert (parent.info.run_name, parent.info.status) == ("experiments", "FINISHED")
    assert {file.path for file in store.list_artifacts(parent.info.run_id, "reports")} == {
        "reports/experiments.json",
        "reports/experiments.md",
    }
    assert [f.path for f in store.list_artifacts(parent.info.run_id, "figures")] == ["figures/experiments.png"]
    children = store.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    names = {"slow seed 42", "slow seed 43", "baseline seed 42", "baseline seed 43"}
    assert {run.info.run_name for run in children} - {"overlap seed 42"} <= names and len(children) == 4
    slow = next(run for run in children if run.info.run_name == "slow seed 43")
    assert slow.data.metrics["validation_f1_alone"] == by_name(report)["slow"]["seeds"][1]["alone"]["f1"]


def test_what_is_done_is_not_done_again_and_one_idea_more_trains_only_that(done, report, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(done, tmp_path / "copy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    more = [*IDEAS[:2], {"name": "longer", "why": "more time", "set": {"train": {"epochs": 13}}, "seeds": [43]}]
    (folder / "experiments.yaml").write_text(yaml.safe_dump({**FILE, "ideas": more}))
    assert by_name(run_here(folder, ["slow"]))["longer"]["verdict"] == "not run yet"
    assert "training" not in capsys.readouterr().out
    again = by_name(run_here(folder))
    assert "longer, seed 43, 1 of 1: training" in capsys.readouterr().out
    assert again["slow"]["seeds"] == by_name(report)["slow"]["seeds"]
    assert again["longer"]["difference"]["documents"]["by_seed"][0] == pytest.approx(
        again["longer"]["seeds"][0]["documents"]["f1"] - again[BASELINE]["seeds"][1]["documents"]["f1"]
    )


def test_only_one_run_of_experiments_and_no_idea_that_is_not_there(done, tmp_path):
    folder = shutil.copytree(done, tmp_path / "copy")
    with only_sweep(folder / ".ner/experiments", "run of experiments"), pytest.raises(BusyError, match="experiments"):
        run_here(folder)
    with pytest.raises(ParamsError, match="--only nothing: .* it has slow, overlap, half"):
        run_here(folder, ["nothing"])


def test_a_technique_is_an_idea_as_well_with_a_training_of_its_own(done, report, tmp_path, monkeypatch):
    folder = shutil.copytree(done, tmp_path / "copy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    more = [{"name": "narrow", "why": "less to learn", "technique": {"lora_rank": 2}, "seeds": [42]}]
    (folder / "experiments.yaml").write_text(yaml.safe_dump({**FILE, "ideas": more}))
    again = by_name(run_here(folder))
    assert again["narrow"]["difference"] and again[BASELINE]["seeds"] == by_name(report)[BASELINE]["seeds"]
    curves = {path.read_text() for path in (folder / ".ner/experiments").glob("*/reports/loss.csv")}
    assert len(curves) == 5  # the four of before and its own, which is not that of the baseline
    assert "- `narrow`: technique.lora_rank 2" in (folder / "reports/experiments.md").read_text()
    with pytest.raises(NerError, match="--apply narrow: params.yaml has no key for its technique .lora_rank"):
        to_apply(folder / "reports/experiments.json", "narrow")


def test_other_models_of_the_baseline_vote_or_teach_and_their_training_counts(done, report, tmp_path, monkeypatch):
    folder = shutil.copytree(done, tmp_path / "copy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    more = [
        {"name": "vote", "why": "two know more", "votes_with": [44], "seeds": [42]},
        {"name": "taught", "why": "what they know", "taught_by": [44], "seeds": [42]},
        {"name": "small", "why": "by a larger one", "set": SMALL, "taught_by": [44], "seeds": [42]},
    ]
    (folder / "experiments.yaml").write_text(yaml.safe_dump({**FILE, "ideas": more}))
    again = by_name(run_here(folder))
    assert again[BASELINE]["seeds"] == by_name(report)[BASELINE]["seeds"]
    trained = list((folder / ".ner/experiments").glob("*/reports/loss.csv"))
    assert len(trained) == 7  # the four of before, seed 44 for all three, and those of the pupils
    curves = {path.read_text() for path in trained}
    assert len(curves) == 7
    sizes = {path.stat().st_size for path in (folder / ".ner/experiments").glob("*/model/model.safetensors")}
    assert len(sizes) == 1 and again["small"]["seeds"][0] != again["taught"]["seeds"][0]  # teachers have all layers
    base = again[BASELINE]["seeds"][0]["seconds"]
    assert again["vote"]["seconds"] > base and again["taught"]["seconds"] > again["vote"]["seconds"] - base
    page = (folder / "reports/experiments.md").read_text()
    assert "- `vote`: votes with the baseline's models of seeds 44" in page and "- `taught`: taught by the" in page
    assert "- `small`: train.dropped_layers 1, taught by the baseline's models of seeds 44" in page
    with pytest.raises(NerError, match="--apply taught: params.yaml has no key for its technique .taught_by"):
        to_apply(folder / "reports/experiments.json", "taught")


def test_the_values_of_an_idea_are_taken_into_params_yaml(done):
    path = done / "params.yaml"
    before = path.read_text()
    assert "train.learning_rate: 0.005 -> 1.0e-7" in applied(path, to_apply(done / "reports/experiments.json", "slow"))
    assert read_params(path).train.learning_rate == 1e-7
    path.write_text(before)
    with pytest.raises(NerError, match="--apply half: .* no such idea with results; it has slow, overlap"):
        to_apply(done / "reports/experiments.json", "half")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ideas": [{**IDEAS[0], "set": {"train": {"learning_rat": 1}}}]}, "idea slow: .*train.learning_rat.*did you"),
        ({"ideas": [{**IDEAS[0], "set": {"data": {"source": "x"}}}]}, "idea slow: the block data stays as it is"),
        ({"ideas": [{**IDEAS[0], "set": {"train": {"seed": 1}}}]}, "idea slow: train.seed is not set here"),
        ({"ideas": [IDEAS[0], IDEAS[0]]}, "another name for every idea; slow stands there more than once"),
        ({"ideas": [{**IDEAS[0], "seeds": [7]}]}, "some of those of the baseline; slow has others"),
        ({"ideas": [{"name": "slow", "set": {"train": {}}}]}, "the key ideas.0.why is missing"),
        ({"ideas": [{"name": "none", "why": "x"}]}, "ideas.0: need values under set, a technique, or seeds under"),
        ({"ideas": [{**IDEAS[0], "votes_with": [7]}]}, "ideas.0: need taught_by with values of .* votes_with alone"),
        ({"ideas": [SUMMED]}, "idea summed: with taught_by train.gradient_accumulation has to be 1"),
        ({"ideas": [{**IDEAS[1], "taught_by": [7]}]}, "ideas.0: need taught_by with values of the block train at most"),
        ({"ideas": [{"name": "x", "why": "x", "votes_with": [42]}]}, "other seeds than its own, .* not so x"),
        ({"ideas": [{"name": "x", "why": "x", "technique": {"emma": 1}}]}, "ideas.0.technique.emma is unknown"),
        (
            {"ideas": [{"name": "x", "why": "x", "technique": {"ema_decay": 0.9, "averaged_from": 0.5}}]},
            "ideas.0.technique: need ema_decay or averaged_from, not both",
        ),
        ({"baseline": {**WHOLE, "documents": 3}}, "the key baseline.documents is unknown"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_by_its_key(tmp_path, change, message):
    path = tmp_path / "experiments.yaml"
    path.write_text(yaml.safe_dump({**FILE, **change}))
    with pytest.raises(ParamsError, match=message):
        planned(read_experiments(path), read_blocks((ROOT / "params.yaml").read_text(encoding="utf-8")))


def test_the_ideas_of_the_repository_fit_params_yaml_and_are_seen_by_seed():
    plan = planned(read_experiments(ROOT / "experiments.yaml"), read_blocks((ROOT / "params.yaml").read_text("utf-8")))
    seeds = [one.seed for one in plan]
    assert plan[0].name == BASELINE and seeds == sorted(seeds)
    assert all(one.params.train.seed == one.seed for one in plan)


def counted(seed, correct, seconds=10.0):
    """A result of ten documents with ten entities each, `correct` of which are found in every one."""
    f1 = {"precision": correct / 10, "recall": correct / 10, "f1": correct / 10, "counts": [[correct, 10, 10]] * 10}
    return {"seed": seed, "documents": f1, "alone": f1, "seconds": seconds, "machine": {}, "mlflow_run_id": None}


BOOTSTRAP = {"resamples": 200, "confidence": 0.95, "seed": 1}


def test_seeds_that_disagree_make_no_better_idea():
    baseline = [counted(1, 5), counted(2, 5)]
    assert compared([counted(1, 7), counted(2, 6)], baseline, BOOTSTRAP)["verdict"] == "better"
    assert compared([counted(1, 9), counted(2, 5)], baseline, BOOTSTRAP)["verdict"] == "no difference"
    assert compared([counted(2, 6)], baseline, BOOTSTRAP)["verdict"] == "better (one seed)"
    assert compared([counted(1, 5, 5.0), counted(2, 5, None)], baseline, BOOTSTRAP)["ratio"] == 0.5


def test_a_training_that_was_stopped_has_no_seconds_and_a_table_without_results_is_one():
    file = Experiments.model_validate(FILE)
    tree = read_blocks((ROOT / "params.yaml").read_text(encoding="utf-8"))
    manifest = {"source": "mini", "fingerprint": "f"}
    stopped = experiments_report(file, tree, manifest, {BASELINE: [counted(42, 5, None)]}, {}, None)
    assert "| baseline | what the others are compared with | 42 | 0.5000 (0.5000–0.5000)" in page(stopped)
    assert stopped["ideas"][0]["seconds"] is None
    assert "nothing run yet" in page(experiments_report(file, tree, manifest, {}, {}, None))


def test_costs_are_measured_by_turns_and_shown_instead_of_the_seconds_of_trainings(done, tmp_path):
    file, tree = read_experiments(done / "experiments.yaml"), read_blocks((done / "params.yaml").read_text())
    plan = planned(file, tree)
    bases, prepared = {plan[0].params.model.base: done}, done / "data/prepared"

    def timed(one, base, part, teachers):
        params = one.params
        if params.train.precision == "fp16":
            raise ParamsError("there is no GPU here")
        return 2.0 if params.train.learning_rate == TRAIN["learning_rate"] else 5.0

    costs = measure_costs(plan, bases, prepared, tmp_path, 2, timed)
    assert costs[BASELINE] == costs["overlap"] and costs[BASELINE]["seconds"] == 2 * TRAIN["epochs"]
    assert costs["slow"]["ratio"]["median"] == pytest.approx(5 / 24) and "half" not in costs
    told = experiments_report(file, tree, {"source": "x", "fingerprint": "y"}, {}, {}, None, costs)
    assert by_name(told)["slow"]["ratio"] == pytest.approx(5 / 24) and "by turns with the baseline" in page(told)
    assert by_name(told)["half"]["seconds"] is None


def test_costs_of_one_idea_are_put_beside_those_that_are_known(done, tmp_path, monkeypatch):
    folder = shutil.copytree(done, tmp_path / "copy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    asked = []

    def measured(plan, *_, **__):
        asked.append({one.name for one in plan})
        return {name: {"seconds": 3.0, "ratio": spread([3.0], [2.0])} for name in asked[-1]}

    monkeypatch.setattr(experiments_cost, "measure_costs", measured)
    run_here(folder, ["slow"], rounds=1)
    told = by_name(run_here(folder, ["overlap"], rounds=1))
    assert asked == [{BASELINE, "slow"}, {BASELINE, "overlap"}]
    assert (told["slow"]["ratio"], told["overlap"]["ratio"]) == (1.5, 1.5)


@pytest.mark.parametrize("technique", [None, TechniqueParams(ema_decay=0.9)])
def test_the_cost_of_an_epoch_is_that_of_real_steps(done, monkeypatch, tmp_path, technique):
    monkeypatch.setattr(experiments_cost, "WARM_UP", 0)
    plan = planned(read_experiments(done / "experiments.yaml"), read_blocks((done / "params.yaml").read_text()))
    shutil.copytree(done / "data/prepared", tmp_path / "part")
    one = plan[0]._replace(technique=technique)
    assert experiments_cost.epoch_seconds(one, done / "models/base", tmp_path / "part", []) > 0
