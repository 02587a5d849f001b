"""The whole of it once: a real registry, real versions of it, and a champion that changes under requests."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from ner.monitoring.store import read_rows
from ner.registry import versions
from ner.registry.versions import add_version, content_digest
from ner.tracking import mlflow_store as store
from ner.tracking.live_run import LiveRun
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


@pytest.fixture(scope="module")
def home(tmp_path_factory, tiny_encoder) -> Path:
    """A store with two versions of a model with random weights, apart in their temperature; champion is the first.

    The second has the code of versions that can be asked by data frames alone.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    home = tmp_path_factory.mktemp("home")
    folder = home / "models" / "ner"
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    AutoModelForTokenClassification.from_pretrained(
        tiny_encoder, num_labels=len(LABELS), initializer_range=1.0, **names
    ).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(home))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        run = LiveRun.open("ner", "tiny", {}, {})
        run.close("FINISHED")
        older = home / versions.CODE.name
        older.write_text(versions.CODE.read_text().replace("answer(", "_answer("))
        for temperature in (1.0, 3.0):
            if temperature == 3.0:
                patch.setattr(versions, "CODE", older)
            (folder / "config.json").write_text(json.dumps({**config, "ner_temperature": temperature}))
            version = add_version("ner", run.run_id, folder, content_digest(folder))
            store.client().set_model_version_tag("ner", version.version, "gate", "passed, 1 of 1 rules")
        store.client().set_registered_model_alias("ner", "champion", "1")
        yield home


@pytest.mark.operations
def test_the_registrys_versions_answer_and_a_new_champion_takes_over(home, monkeypatch, tmp_path):
    monkeypatch.setenv("NER_HOME", str(home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    seen = {**os.environ, "NER_SERVE_PORT": str(port), "NER_MONITOR_FOLDER": str(tmp_path / "kept")}
    seen["PYTHONPATH"] = str(ROOT)
    shutil.copy(ROOT / "tests/data/params.yaml", tmp_path)
    log = tmp_path / "serve.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ner", "serve"], cwd=tmp_path, env=seen, stdout=out, stderr=out
        )
    http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE_S)

    def until_serving(version: str) -> list[httpx.Response]:
        answers, end = [], time.monotonic() + PATIENCE_S
        while not answers or answers[-1].headers.get("X-Model-Version") != version:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            try:
                answers.append(http.post("/invocations", json={"inputs": ["Marta Okafor in Rotterdam"]}))
            except httpx.ConnectError:
                pass
            time.sleep(0.1)
        return answers

    try:
        first = until_serving("ner/1")[-1].json()
        assert first["predictions"][0]["entities"]
        rows = [{"text": "Marta"}, {"tokens": ["in", "Rotterdam"]}, {"text": "NA"}]
        answer = http.post("/invocations", json={"dataframe_records": rows, "params": {"min_score": 0.1}})
        assert [row["text"] for row in answer.json()["predictions"]] == ["Marta", "in Rotterdam", "NA"], answer.text
        wrong = http.post("/invocations", json={"inputs": {"text": 5}})
        assert wrong.status_code == 400 and "must be a string" in wrong.json()["error"]
        assert http.post("/", data={"text": "Marta in Rotterdam"}).status_code == 200
        assert "observed" not in answer.text
        kept = read_rows(tmp_path / "kept", "ner/1")
        assert [row["tokens"] for row in kept[-4:]] == [1, 2, 1, 3] and all(row["subwords"] for row in kept[-4:])
        assert all(sum(row["types"].values()) == len(row["scores"]) for row in kept) and "Marta" not in str(kept)

        store.client().set_registered_model_alias("ner", "champion", "2")
        answers = until_serving("ner/2")
        assert {answer.status_code for answer in answers} == {200}
        again = http.post("/invocations", json={"dataframe_records": rows, "params": {"min_score": 0.1}})
        assert [row["text"] for row in again.json()["predictions"]] == ["Marta", "in Rotterdam", "NA"], again.text
        assert [e["score"] for e in answers[-1].json()["predictions"][0]["entities"]] != [
            e["score"] for e in first["predictions"][0]["entities"]
        ]
        family = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        http.close()
    assert process.returncode == 0
    assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
