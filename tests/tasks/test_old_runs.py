"""MLflow runs in a real store: what a version needs stays, with its family; the rest goes by way of the trash."""

import json
import random
import shutil
import time

import pytest

from ner.errors import RegistryError
from ner.retention import DAY_S, judge
from tasks import old_runs
from tasks.registered import read_needs
from tasks.store import client

DAYS = 90


@pytest.fixture
def store(database, tmp_path, monkeypatch):
    shutil.copytree(database, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return client()


def make_run(store, experiment, days_old, parent=None, ended=True, **tags):
    then = int((time.time() - days_old * DAY_S) * 1000)
    more = {"mlflow.parentRunId": parent} if parent else {}
    run = store.create_run(experiment, start_time=then, tags={**more, **tags})
    if ended:
        store.set_terminated(run.info.run_id, "FINISHED", end_time=then)
    store.log_text(run.info.run_id, "x" * 100, "report.txt")
    return run.info.run_id


def going(tmp_path, days=DAYS):
    runs = old_runs.read_runs(read_needs(), tmp_path)
    return {verdict.thing.name for verdict in judge(runs.things, runs.kept, days) if verdict.goes}


@pytest.mark.parametrize("seed", [1, 2])
def test_no_run_that_a_version_needs_goes_whatever_the_history(store, tmp_path, seed):
    chance = random.Random(seed)
    experiment = store.create_experiment("ner", artifact_location=(tmp_path / "artifacts").as_uri())
    store.create_registered_model("ner")
    parents, runs, needed = {}, [], set()
    for _ in range(12):
        parent = chance.choice([None, *runs])
        run = make_run(store, experiment, chance.choice([1, 100, 400]), parent)
        parents[run] = parent
        runs.append(run)
        if chance.random() < 0.2:
            kind = chance.choice(["run_id", "tag"])
            tags = {"mlflow_run_id": run} if kind == "tag" else {}
            store.create_model_version("ner", tmp_path.as_uri(), run if kind == "run_id" else None, tags=tags)
            needed.add(run)
    gone = going(tmp_path)
    assert not gone & needed
    assert not {parents[run] for run in needed} & gone and not {run for run in runs if parents[run] in needed} & gone
    for run in gone:
        old_runs.put_in_trash(run)
    assert all(store.get_run(run).info.lifecycle_stage == "active" for run in set(runs) - gone)
    assert going(tmp_path) == set()  # what is in the trash is not looked at again until its time there is up


def test_running_marked_reported_and_young_runs_stay_and_the_old_one_goes_with_its_size(store, tmp_path):
    experiment = store.create_experiment("ner", artifact_location=(tmp_path / "artifacts").as_uri())
    old = make_run(store, experiment, 100)
    make_run(store, experiment, 100, ended=False)
    make_run(store, experiment, 100, **{old_runs.KEEP: "for the paper"})
    make_run(store, experiment, 1)
    reported = make_run(store, experiment, 100)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/seeds.json").write_text(json.dumps({"seeds": [{"mlflow_run_id": reported}]}))
    assert going(tmp_path) == {old}
    (thing,) = [one for one in old_runs.read_runs(read_needs(), tmp_path).things if one.name == old]
    assert thing.size >= 100 and thing.age_s == pytest.approx(100 * DAY_S, rel=0.01)


def test_a_registry_that_cannot_be_asked_is_an_error_not_an_empty_list(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(RegistryError, match="cannot be reached"):
        read_needs()


@pytest.mark.operations
def test_the_trash_is_emptied_for_good_only_where_no_version_can_lose_by_it(store, tmp_path):
    experiment = store.create_experiment("ner", artifact_location=(tmp_path / "artifacts").as_uri())
    other = store.create_experiment("other")
    old, restored = make_run(store, experiment, 100), make_run(store, experiment, 100)
    for run in (old, restored):
        old_runs.put_in_trash(run)
    store.restore_run(restored)
    assert [one.name for one in old_runs.read_runs(read_needs(), tmp_path).trash] == [old]
    store.delete_experiment(other)
    with pytest.raises(RegistryError, match="experiment 'other' is in MLflow's trash"):
        old_runs.empty_trash([old], 1, read_needs())
    store.restore_experiment(other)
    with pytest.raises(RegistryError, match="mlflow gc"):  # MLflow itself refuses: it lies there for less than a day
        old_runs.empty_trash([old], 1, read_needs())
    time.sleep(1)
    old_runs.empty_trash([old], 1 / DAY_S, read_needs())
    files = {path.parts[-3] for path in (tmp_path / "artifacts").rglob("report.txt")}
    assert files == {restored}
    assert old_runs.read_runs(read_needs(), tmp_path).trash == []
