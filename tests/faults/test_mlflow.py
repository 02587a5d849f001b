"""MLflow's server gone before, during and after training: the pipeline says so, and tells it all when it is back."""

import json
import os
import shutil
import signal
import socket
import sys
import time

import httpx
import pytest
import yaml

pytestmark = [
    pytest.mark.operations,
    pytest.mark.slow,
    pytest.mark.skipif("NER_FAULTS" not in os.environ, reason="takes minutes: make faults"),
]
REPRO = [sys.executable, "-m", "dvc", "repro"]
GONE = r"MLflow at http://127\.0\.0\.1:\d+ (cannot be reached|does not answer in time)"


@pytest.fixture
def server(tmp_path, start, clean_environment):
    """address, begin() and kill(), which is kill -9 of the server with its children; what it stores stays."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return Server(f"http://127.0.0.1:{port}", port, tmp_path / "store", start, clean_environment)


class Server:
    def __init__(self, address, port, store, start, environment):
        self.address, self.port, self.store, self.start = address, port, store, start
        self.environment = environment | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        store.mkdir()

    def begin(self):
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{self.store}/mlflow.db"]
        command += ["--no-serve-artifacts", "--default-artifact-root", (self.store / "artifacts").as_uri()]
        self.running = self.start(command, self.store, self.environment)
        self.running.until(self.is_healthy)

    def is_healthy(self):
        try:
            return httpx.get(f"{self.address}/health", timeout=3).is_success
        except httpx.HTTPError:
            return False

    def kill(self):
        gone = time.monotonic()  # it may be noticed before its processes are all gone
        os.killpg(self.running.process.pid, signal.SIGKILL)
        self.running.process.wait()
        return gone

    def call(self, path, **query):
        return httpx.get(f"{self.address}/api/2.0/mlflow/{path}", params=query, timeout=30).json()

    def runs(self):
        found = httpx.post(
            f"{self.address}/api/2.0/mlflow/runs/search", json={"experiment_ids": ["1"]}, timeout=30
        ).json()
        return found.get("runs", [])

    def metrics(self, run_id):
        run = self.call("runs/get", run_id=run_id)["run"]
        return {metric["key"]: metric["value"] for metric in run["data"].get("metrics", [])}


def change(folder, **train):
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["train"] |= train
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def test_gone_before_training_and_back_after_it(small_pristine, server, tmp_path, clean_environment, start):
    folder = shutil.copytree(small_pristine, tmp_path / "checkout", symlinks=True)
    environment = clean_environment | {"MLFLOW_TRACKING_URI": server.address}
    run = start(REPRO, folder, environment)
    began = run.until(lambda: run.stage("train"), within_s=1200) and time.monotonic()
    assert run.wait(1800) != 0
    run.first("warning: " + GONE, began)
    run.first("gate: .*" + GONE, began)
    assert "Traceback" not in run.text
    server.begin()
    training = json.loads((folder / "reports/training.json").read_text())
    assert training["mlflow_run_id"] is None
    again = start(REPRO, folder, environment)
    assert again.wait(1800) == 0, again.text
    (told,) = server.runs()
    found = server.metrics(told["info"]["run_id"])
    assert {"train/loss", "validation_f1", "test_f1"} <= set(found)
    assert len(history(server, told, "train/loss")) == sum("train/loss" in entry for entry in training["log"])
    assert server.call("model-versions/search")["model_versions"][0]["run_id"] == told["info"]["run_id"]
    assert [one["info"]["run_id"] for one in server.runs()] == [told["info"]["run_id"]]  # told once


def history(server, run, name):
    about = server.call("metrics/get-history", run_id=run["info"]["run_id"], metric_key=name)
    return {(point["step"], point["value"]) for point in about.get("metrics", [])}


def test_gone_during_training_and_again_before_registration(small_done, server, tmp_path, clean_environment, start):
    folder = shutil.copytree(small_done[0], tmp_path / "checkout", symlinks=True)
    environment = clean_environment | {"MLFLOW_TRACKING_URI": server.address}
    server.begin()
    change(folder, epochs=40)
    run = start([*REPRO, "--single-item", "train"], folder, environment)
    run.until(lambda: server.runs() and "train/loss" in server.metrics(server.runs()[0]["info"]["run_id"]), 1200)
    gone = server.kill()
    assert run.wait(1800) == 0, run.text
    run.first("warning: " + GONE, gone)
    server.begin()
    (told,) = server.runs()
    training = json.loads((folder / "reports/training.json").read_text())
    expected = {entry["step"] for entry in training["log"] if "train/loss" in entry}
    before = len(history(server, told, "train/loss"))
    assert before < len(expected)
    upto = start([*REPRO, "export"], folder, environment)
    assert upto.wait(1800) == 0, upto.text
    server.kill()
    began = time.monotonic()
    refused = start([*REPRO, "register"], folder, environment)
    assert refused.wait(1800) != 0
    refused.first("^register: " + GONE, began)
    assert "Traceback" not in refused.text
    server.begin()
    registered = start([*REPRO, "register"], folder, environment)
    assert registered.wait(1800) == 0, registered.text
    (version,) = server.call("model-versions/search")["model_versions"]
    assert version["run_id"] == told["info"]["run_id"]
    assert {step for step, _ in history(server, told, "train/loss")} == expected
