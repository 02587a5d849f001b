"""A sweep: what it tries, how a killed one goes on, how bad trials end, what it proposes and writes."""

import json
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from ner.common.files import read_params
from ner.data.prepared import read_manifest, read_split
from ner.data.subset import part_of
from ner.errors import BusyError, NerError, ParamsError
from ner.params import check_params, read_blocks
from ner.search.sweep import check_sweep, only_sweep, sweep, with_numbers
from ner.search.sweep_report import NOTHING, applied, diff, number
from ner.search.sweep_study import ended, next_trial, open_study, suggest
from ner.tracking.mlflow_store import client
from training_folder import NOBODY, fill, set_params, start
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
TRAIN = {
    "epochs": 4,
    "batch_size": 1,
    "learning_rate": 5e-3,
    "precision": "fp32",
    "device": "cpu",
    "checkpoints": 4,
    "new_learning_rate": "same",
    "batch_by": "windows",
    "frozen_embeddings": False,
    "dropped_layers": 0,
    "sentences_alone": 0.0,
}
SPACE = {
    "train": {"learning_rate": {"low": 1e-5, "high": 2e-2, "log": True}, "epochs": [4, 6]},
    "encoding": {"max_length": [24, 32]},
}
SWEEP = {
    "trials": 5, "startup_trials": 2, "min_epochs": 1, "seed": 7, "train_documents": None, "validation_documents": None,
    "space": SPACE,
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def empty_workspace(tmp_path_factory, tiny_encoder, prepared):
    folder = tmp_path_factory.mktemp("sweep")
    return fill(
        folder,
        prepared,
        tiny_encoder,
        train=TRAIN,
        encoding={"context": "document", "max_length": 32},
        sweep=SWEEP,
    )


@pytest.fixture
def workspace(tmp_path, empty_workspace):
    return shutil.copytree(empty_workspace, tmp_path / "workspace")


def run_here(folder):
    params, reports = read_params(folder / "params.yaml"), folder / "reports"
    places = folder / "data/prepared", folder / "models/base", folder / ".ner/sweep"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        return sweep(params, *places, reports / "sweep.json")


def told(report):
    names = ("number", "state", "f1", "epochs", "values")
    return [{name: trial[name] for name in names} for trial in report["trials"]]


@pytest.fixture(scope="module")
def done(tmp_path_factory, empty_workspace, database):
    """A workspace with a sweep at its end, and MLflow's store in it."""
    folder = shutil.copytree(empty_workspace, tmp_path_factory.mktemp("done") / "workspace")
    shutil.copytree(database / "mlflow", folder / "mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        run_here(folder)
    return folder


@pytest.fixture(scope="module")
def report(done):
    return json.loads((done / "reports/sweep.json").read_text())


def test_the_present_values_are_tried_first_and_the_best_is_proposed(report):
    assert [trial["number"] for trial in report["trials"]] == list(range(5)) and sum(report["counts"].values()) == 5
    first = report["trials"][0]
    assert first["values"] == {"train": {"learning_rate": 5e-3, "epochs": 4}, "encoding": {"max_length": 32}}
    assert report["present"]["f1"] == first["f1"]
    complete = [trial for trial in report["trials"] if trial["state"] == "complete"]
    assert report["best"]["f1"] == max(trial["f1"] for trial in complete) >= first["f1"]
    best = report["trials"][report["best"]["number"]]
    changes = {key: v for keys in report["proposed"].values() for key, v in keys.items()}
    differ = {k: v for b, keys in best["values"].items() for k, v in keys.items() if v != first["values"][b][k]}
    assert changes == differ


def test_a_trial_under_the_median_is_pruned_before_its_last_epoch(report):
    pruned = [trial for trial in report["trials"] if trial["state"] == "pruned"]
    assert pruned
    for trial in pruned:
        assert 1 <= len(trial["epochs"]) < trial["values"]["train"]["epochs"]
    for trial in report["trials"]:
        if trial["state"] == "complete":
            assert len(trial["epochs"]) == trial["values"]["train"]["epochs"]
            assert trial["f1"] == trial["epochs"][str(len(trial["epochs"]))]


def test_every_trial_is_a_child_run_that_says_how_it_ended(done, report, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(done))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    store = client()
    parent = store.get_run(report["mlflow_run_id"])
    assert parent.info.run_name == "sweep" and parent.info.status == "FINISHED"
    assert parent.data.metrics["best_validation_f1"] == report["best"]["f1"]
    children = store.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert {run.info.run_id for run in children} == {trial["mlflow_run_id"] for trial in report["trials"]}
    status = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
    for trial in report["trials"]:
        run = store.get_run(trial["mlflow_run_id"])
        assert (run.info.status, run.data.tags["ner.trial_state"]) == (status[trial["state"]], trial["state"])
        assert run.data.params["train.learning_rate"] == str(trial["values"]["train"]["learning_rate"])
        assert run.data.metrics["validation/f1"] == trial["f1"]


def test_nothing_but_reports_stays_of_a_trial(done):
    assert {path.name for path in (done / ".ner/sweep").glob("*/trial-*/*")} <= {"reports", "end.json"}


def test_a_sweep_at_its_end_trains_nothing_and_a_larger_one_goes_on(done, report, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(done, tmp_path / "workspace")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    assert told(run_here(folder)) == told(report)
    assert "trial" not in capsys.readouterr().out.replace("5 of 5 trials have ended", "")
    set_params(folder, sweep={"trials": 6})
    again = run_here(folder)
    assert told(again)[:5] == told(report) and len(again["trials"]) == 6


@pytest.mark.operations
@pytest.mark.slow
def test_a_sweep_killed_twice_ends_as_one_that_was_left_alone(workspace, report, monkeypatch):
    output = ""
    for kills in (1, 2):
        process = start(workspace, "-m", "ner", "sweep")
        while not in_training(workspace, kills):
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        output += process.communicate()[0]
    process = start(workspace, "-m", "ner", "sweep")
    output += process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode == 0, output
    assert "going on from" in output
    assert told(json.loads((workspace / "reports/sweep.json").read_text())) == told(report)


def in_training(workspace, number):
    """Whether that trial has a checkpoint."""
    for state in workspace.glob(f".ner/sweep/*/trial-{number:03}/checkpoints/*/checkpoint-*/trainer_state.json"):
        with suppress(OSError, ValueError):
            return bool(json.loads(state.read_text()))
    return False


def test_a_trial_that_was_begun_is_asked_for_again_with_its_values(workspace):
    params = read_params(workspace / "params.yaml")
    study = open_study(workspace / ".ner", "key", params)
    first = next_trial(study, params.sweep)
    values = suggest(first, params.sweep.space)
    again = next_trial(open_study(workspace / ".ner", "key", params), params.sweep)
    assert again.number == first.number and suggest(again, params.sweep.space) == values
    study.tell(again, 0.5)
    assert next_trial(study, params.sweep).number == 1 and len(ended(study)) == 1


def test_a_trial_with_the_values_of_another_takes_over_its_end(workspace, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    space = {"train": {"epochs": [4]}, "encoding": {}}
    set_params(workspace, sweep={"trials": 3, "space": space}, train={"epochs": 4.0})
    report = run_here(workspace)
    assert [trial["same_as"] for trial in report["trials"]] == [None, 0, 0]
    assert len({trial["f1"] for trial in report["trials"]}) == 1 and report["proposed"] == {}
    assert "the values of trial 0" in capsys.readouterr().out and NOTHING in diff(report)


def test_failed_trials_are_kept_with_their_reason_and_three_in_a_row_end_the_sweep(workspace, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOBODY)
    space = {"train": {}, "encoding": {"max_length": [1024, 2048, 4096]}}  # the encoder has 512 positions
    set_params(workspace, sweep={"trials": 9, "space": space})
    with pytest.raises(NerError, match="3 trials failed one after the other, .*does not suit this encoder"):
        run_here(workspace)


def test_a_search_on_a_part_of_the_documents_reads_them_as_the_stages_do(tmp_path, workspace, prepared):
    set_params(workspace, sweep={"train_documents": 2, "validation_documents": 1})
    params = read_params(workspace / "params.yaml")
    folder = part_of(prepared, tmp_path / "part", params.sweep)
    part, whole = read_split(folder, "train"), read_split(prepared, "train")
    assert len(set(part.document_ids)) == 2 and len(set(read_split(folder, "validation").document_ids)) == 1
    assert [tokens for tokens in whole.tokens if tokens in part.tokens] == part.tokens
    assert read_manifest(folder)["fingerprint"] != read_manifest(prepared)["fingerprint"]
    set_params(workspace, sweep={"train_documents": 99})
    with pytest.raises(ParamsError, match=r"sweep.train_documents: 99 is more than the \d documents of train"):
        part_of(prepared, tmp_path / "part", read_params(workspace / "params.yaml").sweep)


def test_what_is_auto_and_searched_is_compared_by_the_number_that_it_stands_for(workspace):
    space = {"train": {"epochs": {"low": 1, "high": 50}}, "encoding": {}}
    set_params(workspace, sweep={"space": space}, train={"epochs": "auto", "keep": "auto"})
    params = read_params(workspace / "params.yaml")
    numbers = with_numbers(params, workspace / "data/prepared", workspace / "models/base")
    assert (numbers.train.epochs, numbers.train.keep) == (40, "auto")


def test_what_cannot_be_searched_is_said_by_its_key():
    tree = read_blocks((ROOT / "tests/data/params.yaml").read_text(encoding="utf-8"))
    wrong = {
        "batch_size": ({"low": 0, "high": 4}, "train.batch_size is 0, need .*greater than"),
        "bach_size": ([1], "unknown key 'train.bach_size' .did you mean 'batch_size'"),
        "learning_rate": ({"low": 2, "high": 1}, "learning_rate.range .* need low under high"),
        "epochs": ([], "epochs.values is"),
    }
    for key, (values, message) in wrong.items():
        tree["sweep"]["space"]["train"] = {key: values}
        with pytest.raises(ParamsError, match=message):
            check_sweep(check_params(tree))


def test_only_one_sweep_runs_and_an_empty_space_is_refused(workspace):
    with only_sweep(workspace / ".ner/sweep"), pytest.raises(BusyError, match="another sweep runs"):
        run_here(workspace)
    set_params(workspace, sweep={"space": {"train": {}, "encoding": {}}})
    with pytest.raises(ParamsError, match="no key .* to search"):
        run_here(workspace)


def proposal(**train):
    present = {"learning_rate": 1e-4, "epochs": 1.0, "batch_size": 256}
    changed = {"train": {k: v for k, v in train.items()}}
    return {"present": {"values": {"train": present, "encoding": {}}}, "proposed": changed if train else {}}


def test_the_proposal_is_written_in_place_and_every_comment_stays(tmp_path):
    path = tmp_path / "params.yaml"
    before = (ROOT / "tests/data/params.yaml").read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    said = applied(path, proposal(learning_rate=1.2e-4, epochs=3, batch_size=16))
    assert "train.learning_rate: 0.0001 -> 0.00012" in said and "train.epochs: 1 -> 3" in said
    after = path.read_text(encoding="utf-8")
    changed = [(b, a) for b, a in zip(before.split("\n"), after.split("\n"), strict=True) if a != b]
    values = [tuple(line.partition("#")[0].strip() for line in pair) for pair in changed]
    assert values == [
        ("epochs: auto", "epochs: 3"),
        ("learning_rate: auto", "learning_rate: 0.00012"),
        ("batch_size: auto", "batch_size: 16"),
    ]
    assert all(old.partition("#")[1:] == new.partition("#")[1:] for old, new in changed)
    assert all(old.index("#") == new.index("#") for old, new in changed)
    assert read_params(path).train.learning_rate == 1.2e-4
    assert "already" in applied(path, proposal(learning_rate=1.2e-4, epochs=3, batch_size=16))


def test_a_proposal_for_other_values_than_params_yaml_has_now_is_refused(tmp_path):
    path = tmp_path / "params.yaml"
    text = (ROOT / "tests/data/params.yaml").read_text(encoding="utf-8").replace("  epochs: auto ", "  epochs: 5 ")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError, match="train.epochs is 5 and was 1.0 when the sweep ended"):
        applied(path, proposal(epochs=3))
    assert path.read_text(encoding="utf-8") == text and applied(path, proposal()) == NOTHING


def test_values_are_what_they_were_for_every_yaml_parser():
    for value in (1e-5, 8.31e-5, 2.0, 0.06, 1e-10, 3, "as_encoder", "same", True, None):
        assert yaml.safe_load(number(value)) == value
