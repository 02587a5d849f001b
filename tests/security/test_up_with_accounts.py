"""`make up` for others, for real: who is let in, who may promote, that the pipeline works, and where no secret is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from ner.common.loopback import free_port
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
PLANTED = "planted-Zq7vXw93"
PREFECT, ADMIN, PIPELINE, READER = (f"{PLANTED}-{name}" for name in ("prefect", "admin", "pipeline", "reader"))


def until(what: Callable[[], object], why: Callable[[], str], seconds: float = PATIENCE_S) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, why()
        time.sleep(0.5)


def spied(lines: set[str]) -> None:
    for process in psutil.process_iter(["cmdline"]):
        lines.update(process.info["cmdline"] or ())


def files_with(needle: str, folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and needle.encode() in path.read_bytes()]


@pytest.mark.operations
def test_servers_for_others_ask_who_comes_and_keep_every_secret(toy, outside, tiny_model, monkeypatch):
    for room in ("flows", "ner", "tasks"):
        (toy / room).symlink_to(ROOT / room, target_is_directory=True)
    ports = {"NER_PREFECT_PORT": str(free_port()), "NER_MLFLOW_PORT": str(free_port())}
    prefect, mlflow = (f"http://127.0.0.1:{port}" for port in ports.values())
    theirs = {
        "NER_HOST": "0.0.0.0",
        "NER_ALLOWED_HOSTS": "ner.example.org",
        "PREFECT_SERVER_API_AUTH_STRING": f"team:{PREFECT}",
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN,
        "MLFLOW_TRACKING_USERNAME": "pipeline",
        "MLFLOW_TRACKING_PASSWORD": PIPELINE,
    }
    seen = {**outside, **ports, "PWD": str(toy), "TMPDIR": str(toy.parent)}
    refused = up(toy, seen | theirs | {"MLFLOW_AUTH_ADMIN_PASSWORD": ""}, toy.parent / "refused.out")
    assert refused.wait(PATIENCE_S) == 1
    assert "nothing was started: set MLFLOW_AUTH_ADMIN_PASSWORD" in (toy.parent / "refused.out").read_text()

    log, commands = toy.parent / "up.out", set[str]()
    process = up(toy, seen | theirs, log)
    try:
        until(lambda: spied(commands) or "Ctrl-C stops all" in log.read_text() or process.poll(), log.read_text)
        assert process.poll() is None, log.read_text()

        # Prefect: one name and password; a page of another origin is not answered to
        assert httpx.post(f"{prefect}/api/flows/filter", json={}).status_code == 401
        assert httpx.post(f"{prefect}/api/flows/filter", json={}, auth=("team", PREFECT)).status_code == 200
        preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
        assert "access-control-allow-origin" not in httpx.options(f"{prefect}/api/flows/", headers=preflight).headers

        # MLflow: accounts, hosts, origins
        search = f"{mlflow}/api/2.0/mlflow/registered-models/search"
        assert httpx.get(search).status_code == 401
        assert httpx.get(search, auth=("admin", "password1234")).status_code == 401
        assert httpx.get(search, auth=("admin", ADMIN)).status_code == 200
        known, unknown = {"Host": f"ner.example.org:{ports['NER_MLFLOW_PORT']}"}, {"Host": "evil.example"}
        assert httpx.get(search, auth=("admin", ADMIN), headers=known).status_code == 200
        assert httpx.get(search, auth=("admin", ADMIN), headers=unknown).status_code == 403
        anna = {"username": "anna", "password": READER}
        made = httpx.post(f"{mlflow}/api/2.0/mlflow/users/create", json=anna, auth=("admin", ADMIN))
        assert made.status_code == 200, made.text

        # the pipeline registers with the account of the environment, and may set challenger but not champion
        monkeypatch.setenv("NER_HOME", str(toy))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "pipeline")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PIPELINE)
        register(tiny_model)
        spied(commands)
        aliases = f"{mlflow}/api/2.0/mlflow/registered-models/alias"
        champion = {"name": "ner", "alias": "champion", "version": "1"}
        challenger = champion | {"alias": "challenger"}
        tag = {"name": "ner", "version": "1", "key": "content", "value": "0" * 64}
        tags = f"{mlflow}/api/2.0/mlflow/model-versions/set-tag"
        for who in (("anna", READER), ("pipeline", PIPELINE)):
            for sent in (champion, champion | {"alias": "Champion"}):
                assert httpx.post(aliases, json=sent, auth=who).status_code == 403
            assert httpx.post(tags, json=tag, auth=who).status_code == 403
        assert httpx.post(aliases, json=challenger, auth=("anna", READER)).status_code == 403
        assert httpx.post(aliases, json=challenger, auth=("pipeline", PIPELINE)).status_code == 200
        read = {"name": "ner", "alias": "challenger"}
        assert httpx.get(aliases, params=read, auth=("anna", READER)).status_code == 200
        refusal = httpx.post(aliases, json=champion, auth=("pipeline", PIPELINE)).json()
        assert refusal["message"] == "only an administrator of MLflow may set or remove the alias 'champion'."
        assert httpx.post(aliases, json=champion, auth=("admin", ADMIN)).status_code == 200

        # the watch sees it, the worker checks it, both with the pipeline's account; a deployment runs
        until(lambda: spied(commands) or "ner version 1" in log.read_text(), log.read_text)
        watched = seen | {"PREFECT_API_AUTH_STRING": f"team:{PREFECT}"}
        done = run(toy, watched, "-m", "prefect", "deployment", "run", "ner/train", "--watch")
        assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
        assert run(toy, seen, "-m", "prefect", "deployment", "ls").returncode != 0  # without credentials

        # a reader's batch
        (toy / "texts.txt").write_text("Marta Okafor joined Helvion Steel in Rotterdam.\n")
        reading = seen | {
            "MLFLOW_TRACKING_URI": mlflow,
            "MLFLOW_TRACKING_USERNAME": "anna",
            "MLFLOW_TRACKING_PASSWORD": READER,
        }
        batch = run(toy, reading, "-m", "ner", "batch", "texts.txt", "out.jsonl", "--model=ner@champion")
        assert batch.returncode == 0 and (toy / "out.jsonl").exists(), batch.stderr
        secrets = log.read_text() + done.stdout + done.stderr + batch.stdout + batch.stderr
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    assert PLANTED not in secrets + log.read_text()
    assert [line for line in commands if PLANTED in line] == []
    assert len(commands) > 50  # it did look
    assert files_with(PLANTED, toy) == []  # both databases, artifacts, Prefect's home, .ner, the repository


def up(toy: Path, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as out:
        return subprocess.Popen([sys.executable, "-m", "ner", "up"], cwd=toy, env=environment, stdout=out, stderr=out)


def run(toy: Path, environment: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=toy, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )


def register(model: Path) -> None:
    from ner.registry.versions import add_version, content_digest
    from ner.tracking.mlflow_store import client, experiment_id

    os.environ.pop("MLFLOW_HTTP_REQUEST_TIMEOUT", None)
    mlflow = client()
    run_id = mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id
    mlflow.set_terminated(run_id)
    add_version("ner", run_id, model, content_digest(model))
