"""The version that a batch is made with, in a real MLflow on SQLite; and memory that does not grow with the input."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ner.batch.batch import Request, predict
from ner.batch.chunks import Settings
from ner.batch.model import choose, code_digest, fetch, load, read_inputs
from ner.errors import ModelError, NerError
from ner.registry.verify import version_digest
from ner.registry.versions import add_version, content_digest
from ner.tracking import mlflow_store as store
from ner.tracking.mlflow_store import client, experiment_id

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_model):
    """A checkout's store with two versions of a tiny model."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        mlflow = store.client()
        run = mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id
        mlflow.set_terminated(run)
        add_version("ner", run, tiny_model, content_digest(tiny_model))
        other = add_version("ner", run, tiny_model, content_digest(tiny_model))
        uri = mlflow.get_model_version_download_uri("ner", other.version)
        code = Path(uri.removeprefix("file://")) / "code" / "ner" / "inference" / "text.py"
        code.write_text(code.read_text() + "\n# of another checkout\n")  # as if that had registered it
        mlflow.set_model_version_tag("ner", other.version, "content", version_digest(code.parents[3]))
        yield folder


@pytest.fixture(autouse=True)
def champion(home):
    """champion(2) sets the alias; it is on version 1 at the beginning of a test."""

    def crown(version: int) -> None:
        client().set_registered_model_alias("ner", "champion", str(version))

    crown(1)
    return crown


@pytest.fixture
def request_(tmp_path) -> Request:
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "Marta Okafor joined Helvion Steel."}\n' * 4)
    return Request(str(texts), tmp_path / "out.jsonl", "ner@champion", Settings(chunk_rows=2))


def test_an_alias_that_moves_while_a_batch_runs_or_is_stopped_leaves_its_rows_alone(request_, champion, monkeypatch):
    def moved(*arguments):
        if calls:
            raise KeyboardInterrupt
        calls.append(champion(2))
        return read_inputs(*arguments)

    calls: list = []
    monkeypatch.setattr("ner.batch.cluster.read_inputs", moved)
    with pytest.raises(KeyboardInterrupt):
        predict(request_, say=lambda line: None)
    monkeypatch.undo()

    with pytest.raises(NerError, match="had the model ner version 1: use the same options"):
        predict(replace(request_, model="ner/2"))
    told: list[str] = []
    summary = predict(request_, say=told.append)
    assert "ner@champion is version 2 now; this run keeps version 1, which it began with" in told
    assert summary["model"]["version"] == "1" and summary["rows_this_time"] == 2
    rows = [json.loads(line) for line in request_.output.read_text().splitlines()]
    assert [(row["model"], row["model_version"]) for row in rows] == [("ner", "1")] * 4


def test_a_version_that_was_registered_with_other_code_is_used_with_a_note(request_):
    told: list[str] = []
    predict(replace(request_, model="ner/2"), say=told.append)
    assert [line for line in told if line.startswith("note: ner version 2 was registered with other code than this")]
    predict(replace(request_, overwrite=True), say=told.append)
    assert not [line for line in told if line.startswith("note: ner version 1")]


def test_an_alias_that_no_version_has_is_told_with_what_to_do():
    with pytest.raises(NerError, match="has no ner@nobody: set the alias on a version .* or name a version, as ner/1"):
        choose("ner@nobody")


def test_a_worker_fetches_a_version_that_it_does_not_have_and_refuses_other_code(tmp_path, tiny_model):
    here = fetch(choose("ner@champion"), tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    (entities,), observed = read_inputs(["Marta Okafor joined Helvion Steel."], False, here, 0.0, code_digest(), None)
    assert isinstance(entities, list) and observed is None
    with pytest.raises(NerError, match="other code than this checkout: start the workers in a copy of it"):
        load(here, "cd" * 32, None)
    local = choose(str(tiny_model))
    with pytest.raises(ModelError, match="a worker of the cluster does not have .*: use a version of the registry"):
        load(replace(local, folder=str(tmp_path / "gone")), code_digest(), None)


MEASURE = r"""
import re, sys
from pathlib import Path
import ner.batch.cluster
from ner.batch.batch import Request, predict
ner.batch.cluster.read_inputs = lambda inputs, *_: (
    [[{"type": "PER", "start": 0, "end": 4, "text": text[:4], "score": 1.0}] for text in inputs], None
)
summary = predict(Request(sys.argv[1], Path(sys.argv[2]), sys.argv[3]), say=lambda line: None)
print(summary["done"], re.search("VmHWM:\\s*([0-9]+)", Path("/proc/self/status").read_text())[1])
"""


def test_ten_times_the_rows_take_the_same_memory(tmp_path, tiny_model):
    peak_mb = []
    for rows in (2_500, 25_000):
        texts = tmp_path / f"{rows}.csv"
        texts.write_text("text\n" + f"{'Marta Okafor ' * 160}\n" * rows)
        arguments = [str(texts), str(tmp_path / f"{rows}.parquet"), str(tiny_model)]
        done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        count, peak_kb = map(int, done.stdout.split())
        assert count == rows
        peak_mb.append(peak_kb // 1024)
    assert peak_mb[1] - peak_mb[0] < 40, f"{peak_mb} MB; the larger input has 52 MB"
