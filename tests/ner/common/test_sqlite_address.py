"""Databases of a checkout whose path has what an address gives a meaning of its own: never another folder's."""

import re
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import unquote

import pytest
from sqlalchemy import create_engine, make_url

from ner.common.files import read_params
from ner.common.sqlite import sqlite_path, sqlite_uri
from ner.search.sweep_study import next_trial, open_study
from ner.tracking import mlflow_store as store
from our_code import our_code

ROOT = Path(__file__).resolve().parents[3]
PARAMS = ROOT / "tests" / "data" / "params.yaml"

FOLDERS = ["feature%2Flogin", "100%", "a?b", "a#b", "Länge 日本", "it's [1]", "a@b:c", "{x}", "a+b&c=d;e~f"]


@pytest.fixture(params=FOLDERS)
def folder(request, tmp_path: Path) -> Path:
    """A folder of that name, and beside it those that a reader of addresses might take it for."""
    for other in {unquote(request.param), request.param.partition("?")[0], request.param.partition("#")[0]}:
        (tmp_path / other / "mlflow" / "data").mkdir(parents=True, exist_ok=True)
    (tmp_path / request.param / "mlflow" / "data").mkdir(parents=True, exist_ok=True)
    return tmp_path / request.param


def files(root: Path) -> set[Path]:
    return set(root.rglob("*"))


@pytest.mark.parametrize("driver", ["", "aiosqlite"])
def test_sqlalchemy_finds_the_very_file(folder, driver):
    uri = sqlite_uri(folder / "x.db", driver)
    assert make_url(uri).database == str(folder / "x.db") and make_url(uri).query == {}
    assert sqlite_path(uri) == folder / "x.db"


def test_nothing_else_is_made(folder):
    before = files(folder.parent)
    with create_engine(sqlite_uri(folder / "x.db")).connect() as connected:
        connected.exec_driver_sql("CREATE TABLE t (x)")
    assert files(folder.parent) - before == {folder / "x.db"}
    assert sqlite3.connect(folder / "x.db").execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_no_module_writes_an_address_by_hand():
    """But for the one that is shown only, without the way to the checkout."""
    lines = [line for path in our_code() for line in path.read_text(encoding="utf-8").splitlines()]
    written = [line for line in lines if re.search(r"sqlite[+\w]*:///\{", line)]
    assert [line for line in written if "relative_to(home())" not in line and "quote(" not in line] == []


def test_an_address_that_a_person_wrote_is_read_as_sqlalchemy_reads_it():
    assert sqlite_path("sqlite:///mlflow.db") == Path("mlflow.db")
    assert sqlite_path("sqlite:////a%20b/mlflow.db?timeout=30") == Path("/a b/mlflow.db")


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database: making its tables takes seconds, a copy of it none."""
    place = tmp_path_factory.mktemp("store") / "feature%2Flogin?"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(place))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        store.client().search_experiments()
    assert list(place.parent.iterdir()) == [place]
    return place / "mlflow" / "data" / "mlflow.db"


def test_mlflow_keeps_runs_artifacts_and_versions_in_this_checkout_alone(folder, empty_store, monkeypatch):
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    before = files(folder.parent)
    assert not store.exists()
    shutil.copy(empty_store, folder / "mlflow" / "data" / "mlflow.db")
    assert store.exists() and store.shown_uri(store.tracking_uri()) == "sqlite:///mlflow/data/mlflow.db"

    client = store.client()
    run = client.create_run(store.experiment_id(client, "ner"))
    client.log_text(run.info.run_id, "an artifact", "reports/a b.txt")
    client.create_registered_model("ner")
    client.create_model_version("ner", f"{run.info.artifact_uri}/reports", run.info.run_id)
    assert client.get_model_version("ner", "1").run_id == run.info.run_id
    got = client.download_artifacts(run.info.run_id, "reports/a b.txt")
    assert Path(got).read_text() == "an artifact"
    made = files(folder.parent) - before
    assert all(path.is_relative_to(folder / "mlflow" / "data") for path in made)
    assert list(folder.rglob("artifacts/*/artifacts/reports/a b.txt"))


def test_the_trials_of_a_sweep_are_in_this_checkout_alone(folder):
    before = files(folder.parent)
    params = read_params(PARAMS)
    next_trial(open_study(folder / ".ner" / "sweep", "key", params), params.sweep)
    assert len(open_study(folder / ".ner" / "sweep", "key", params).get_trials()) == 1
    assert files(folder.parent) - before == {folder / ".ner", folder / ".ner/sweep", folder / ".ner/sweep/sweep.db"}
