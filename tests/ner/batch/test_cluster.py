"""Batches on Dask: real worker processes, one of them killed -9 in the middle, and a cluster that is there already."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from ner.batch.batch import Request, predict
from ner.batch.chunks import Settings
from ner.errors import NerError
from waiting import PATIENCE_S, until

ROOT = Path(__file__).resolve().parents[3]


ROWS = 240


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    rows = [{"id": f"r{n}", "text": f"Marta Okafor joined Helvion Steel in Rotterdam. {n}"} for n in range(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def embedded(texts, tiny_model, tmp_path_factory) -> list[dict]:
    output = tmp_path_factory.mktemp("embedded") / "out.parquet"
    predict(Request(str(texts), output, str(tiny_model), Settings(chunk_rows=3)), say=lambda line: None)
    return pq.read_table(output).to_pylist()


def same(rows: list[dict], others: list[dict]) -> bool:
    """Whether all is equal, in the same order, but for a score in its fifth decimal."""
    scores = [[one["score"] for row in some for one in row["entities"]] for some in (rows, others)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    return [without_scores(row) for row in rows] == [without_scores(row) for row in others]


def without_scores(row: dict) -> dict:
    return row | {"entities": [one | {"score": None} for one in row["entities"]]}


@pytest.mark.operations
@pytest.mark.slow
def test_a_worker_that_is_killed_in_the_middle_costs_nothing_but_time(texts, tiny_model, embedded, tmp_path):
    output = tmp_path / "out.parquet"
    command = [sys.executable, "-m", "ner", "batch", str(texts), str(output), f"--model={tiny_model}"]
    command, seen = [*command, "--chunk-rows=3", "--cluster=local:2"], os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, cwd=tmp_path, env=seen, stderr=subprocess.PIPE)
    parts = tmp_path / "out.parquet.parts"
    until(lambda: child.poll() is not None or len(list(parts.glob("[0-9]*.parquet"))) >= 3, every_s=0.01)
    assert child.poll() is None, child.stderr.read().decode()
    workers = [one for one in psutil.Process(child.pid).children() if "spawn_main" in " ".join(one.cmdline())]
    workers[0].kill()
    assert len(workers) == 2 and len(list(parts.glob("[0-9]*.parquet"))) < ROWS / 3
    _, told = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 0, told.decode()
    assert same(pq.read_table(output).to_pylist(), embedded)


def test_a_cluster_that_is_there_gives_the_same_and_its_end_is_told_in_a_sentence(
    texts, tiny_model, embedded, tmp_path
):
    scheduler = tmp_path / "scheduler.json"
    run = [sys.executable, "-m"]
    options = ["--scheduler-file", str(scheduler), "--no-dashboard"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    worker = [*run, "distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1", *options]
    processes = [
        subprocess.Popen(
            [*run, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *options], **quiet
        ),
        subprocess.Popen(worker, cwd=ROOT, env=environment, **quiet),
    ]
    try:
        until(lambda: scheduler.exists() and scheduler.read_text().strip().endswith("}"))
        address = json.loads(scheduler.read_text())["address"]
        output = tmp_path / "out.parquet"
        request = Request(str(texts), output, str(tiny_model), Settings(chunk_rows=3), cluster=address)
        predict(request, say=lambda line: None)
        assert same(pq.read_table(output).to_pylist(), embedded)
    finally:
        for process in processes[::-1]:
            process.kill()
            process.wait()


def test_a_cluster_that_does_not_answer_is_told_in_a_sentence(texts, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("ner.batch.cluster.WORKERS_WITHIN_S", 0.5)
    request = Request(str(texts), tmp_path / "out.parquet", str(tiny_model), cluster="tcp://127.0.0.1:9")
    with pytest.raises(NerError, match="no Dask cluster.*at tcp://127.0.0.1:9.*start it; repeat the command"):
        predict(request, say=lambda line: None)
