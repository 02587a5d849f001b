"""A worker that dies with all that it runs: Prefect notices, and another worker takes the run up where it was."""

import os
import sys
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

pytestmark = [
    pytest.mark.operations,
    pytest.mark.slow,
    pytest.mark.skipif("NER_FAULTS" not in os.environ, reason="takes minutes: make faults"),
]
ROOT = Path(__file__).resolve().parents[2]
WORKER = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "ner"]


def test_the_run_of_a_worker_that_dies_is_taken_up_by_another(held, shared_server, start, expected, results):
    toy, environment, go = held
    for room in ("flows", "ner", "tasks"):
        (toy / room).symlink_to(ROOT / room, target_is_directory=True)
    api = shared_server
    environment |= {"PREFECT_API_URL": api, "MLFLOW_TRACKING_URI": api, "PWD": str(toy)}  # it only asks for its health
    first = start([sys.executable, "-m", "flows.servers.worker"], toy, environment)
    first.until(lambda: "ready" in first.text, within_s=600)
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(client.read_deployment_by_name("ner/train").id)
        first.until(lambda: first.stage("train"), within_s=600)
        for process in [*first.descendants(), psutil.Process(first.process.pid)]:
            process.kill()
        second = start(WORKER, toy, environment)
        go.touch()

        def state():
            return client.read_flow_run(run.id).state

        def back():  # a worker may take it within a second, so not the present state alone
            return next((one for one in client.read_flow_run_states(run.id) if one.name == "AwaitingRetry"), None)

        second.until(back, within_s=900, every_s=1)
        second.until(lambda: state().is_final(), within_s=600, every_s=1)
        assert state().is_completed(), state().message
    assert results(toy) == expected
    assert "toy.py ingest" not in second.text
