"""The webhook: who may wake the watch, and a real MLflow server that does."""

import json
import os
import socket
import stat
import subprocess
import threading
import time

import httpx
import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature
from starlette.testclient import TestClient

from flows import webhook
from flows.servers import Ports, commands
from flows.up import environments
from flows.webhook_receiver import FRESH_S, MAX_BODY, PATH, Seldom, listen, receiver
from ner.errors import BusyError, ParamsError

SECRET = "a secret of this test"
MOVED = {"entity": "model_version_alias", "action": "created", "data": {"name": "ner", "alias": "x", "version": "1"}}


class Watched:
    """A receiver, how often it woke the watch, and what it said."""

    def __init__(self) -> None:
        self.woken, self.lines = 0, []
        self.http = TestClient(receiver("ner", SECRET, self.wake, self.lines.append))

    def wake(self) -> None:
        self.woken += 1

    def send(self, told=MOVED, secret: str = SECRET, age_s: float = 0, **headers: str) -> int:
        """Send as MLflow does, with its own signature; returns the status."""
        body, sent = told if isinstance(told, str) else json.dumps(told), str(int(time.time() - age_s))
        signed = {
            "X-MLflow-Delivery-Id": "1",
            "X-MLflow-Timestamp": sent,
            "X-MLflow-Signature": _generate_hmac_signature(secret, "1", sent, body),
        }
        return self.http.post(PATH, content=body, headers={**signed, **headers}).status_code


def test_a_signed_message_of_our_model_wakes_the_watch_and_others_do_not():
    watched = Watched()
    assert (watched.send(), watched.woken) == (202, 1)
    assert watched.send({**MOVED, "action": "deleted"}) == 202 and watched.woken == 2
    for other in ({**MOVED, "data": {"name": "another"}}, {**MOVED, "entity": "model_version_tag"}, {}, [], "rubbish"):
        assert watched.send(other) == 202
    assert watched.send("[" * 30_000) == 202
    assert (watched.woken, watched.lines) == (2, [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "another"},
        {"secret": ""},
        {"X-MLflow-Signature": ""},
        {"X-MLflow-Signature": "v1,"},
        {"X-MLflow-Delivery-Id": "2"},
        {"X-MLflow-Timestamp": str(int(time.time()) - 100)},
        {"age_s": FRESH_S + 5},
        {"age_s": -FRESH_S - 5},
    ],
)
def test_a_message_that_is_not_signed_or_old_is_refused_with_a_warning(wrong):
    watched = Watched()
    assert (watched.send(**wrong), watched.woken) == (401, 0)
    (line,) = watched.lines
    assert "refused" in line and SECRET not in line


def test_a_message_that_somebody_changed_is_refused():
    watched, sent = Watched(), str(int(time.time()))
    signature = _generate_hmac_signature(SECRET, "1", sent, json.dumps(MOVED))
    headers = {"X-MLflow-Delivery-Id": "1", "X-MLflow-Timestamp": sent, "X-MLflow-Signature": signature}
    assert watched.http.post(PATH, content=json.dumps(MOVED) + " ", headers=headers).status_code == 401


def test_a_message_that_is_too_long_is_refused():
    watched = Watched()
    assert watched.send("x" * (MAX_BODY + 1)) == 413
    assert watched.http.post(PATH, content=(b"x" * 1024 for _ in range(1000))).status_code == 413
    assert watched.woken == 0 and watched.send(" " * 1000) == 202


def test_there_is_nothing_else_to_ask_for():
    http = Watched().http
    assert http.get(PATH).status_code == 405
    assert {http.get(path).status_code for path in ("/", "/docs", "/openapi.json")} == {404}


def test_rubbish_fills_no_log():
    lines: list[str] = []
    warn = Seldom(lines.append)
    for _ in range(100):
        warn("a message was refused")
    assert lines == ["WARNING: webhook: a message was refused"]


def test_it_is_off_unless_asked_for_and_says_what_is_wrong_with_a_setting():
    assert webhook.read_settings({}) is webhook.read_settings({"NER_WEBHOOK": "0"}) is None
    here = webhook.read_settings({"NER_WEBHOOK": "1", "NER_WEBHOOK_PORT": "4300"})
    assert (here.port, here.url, here.is_public) == (4300, f"http://127.0.0.1:4300{PATH}", False)
    there = webhook.read_settings({"NER_WEBHOOK": "1", "NER_WEBHOOK_URL": "https://ner.example.org/alias"})
    assert there.url == "https://ner.example.org/alias" and there.is_public
    for wrong in ({"NER_WEBHOOK": "on"}, {"NER_WEBHOOK_PORT": "x"}, {"NER_WEBHOOK_URL": "ftp://h"}):
        with pytest.raises(ParamsError, match=next(iter(wrong))):
            webhook.read_settings({"NER_WEBHOOK": "1", **wrong})


def test_the_protections_of_the_server_fall_only_for_an_address_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.delenv(webhook.KEY, raising=False)
    assert webhook.server_environment(tmp_path, None) == {}
    public = webhook.server_environment(tmp_path, webhook.Settings(1, "https://ner.example.org", True))
    assert set(public) == {webhook.KEY}
    here = webhook.server_environment(tmp_path, webhook.Settings(1, "http://127.0.0.1:1", False))
    assert here["MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"] == "true" and here[webhook.KEY] == public[webhook.KEY]
    assert webhook.server_environment(tmp_path, None) == public  # what was kept with the key can be read, and removed


def test_the_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    before = os.umask(0)
    try:
        secret = webhook.read_secret(tmp_path, {})
    finally:
        os.umask(before)
    path = tmp_path / webhook.SECRET_FILE
    assert len(secret) >= 32 and stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert webhook.read_secret(tmp_path, {}) == secret and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert webhook.read_secret(tmp_path, {"NER_WEBHOOK_SECRET": "mine"}) == "mine"


def test_of_the_processes_of_make_up_only_the_watch_sees_the_secret(tmp_path, monkeypatch):
    monkeypatch.setenv(webhook.SECRET, SECRET)
    settings = webhook.Settings(1, "http://127.0.0.1:1", False)
    seen = environments(tmp_path, Ports(4200, 5000), settings, ("prefect", "mlflow", "worker", "watch"))
    assert [name for name, own in seen.items() if SECRET in own.values()] == ["watch"]
    assert [name for name, own in seen.items() if webhook.KEY in own] == ["mlflow"]


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(BusyError, match=r"in use: .*NER_WEBHOOK_PORT"):
            listen(receiver("ner", SECRET, print, print), other.getsockname()[1])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def mlflow_server(tmp_path, monkeypatch):
    """The MLflow server of `make up`, with leave to send to this machine; its address."""
    monkeypatch.delenv(webhook.KEY, raising=False)
    ports, settings = Ports(free_port(), free_port()), webhook.Settings(free_port(), "", False)
    (tmp_path / "mlflow" / "data").mkdir(parents=True)
    seen = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        **webhook.server_environment(tmp_path, settings),
    }
    command = commands(tmp_path, ports)["mlflow"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, shell=True, env=seen, cwd=tmp_path, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 120
        while not answers(ports.mlflow_url):
            assert server.poll() is None and time.monotonic() < until, (tmp_path / "log").read_text()
            time.sleep(0.2)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", ports.mlflow_url)
        yield ports.mlflow_url
        assert SECRET not in (tmp_path / "log").read_text()
    finally:
        server.terminate()
        server.wait(30)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.operations
def test_a_real_server_wakes_the_watch_within_seconds_and_has_one_webhook_however_often_it_is_asked(mlflow_server):
    from mlflow import MlflowClient

    client, woken, lines = MlflowClient(mlflow_server), threading.Event(), []
    client.create_registered_model("ner")
    port = free_port()
    settings = webhook.Settings(port, f"http://127.0.0.1:{port}{PATH}", False)
    listening = listen(receiver("ner", SECRET, woken.set, lines.append), port)
    for _ in range(2):
        assert webhook.settle("ner", settings, SECRET, lines.append)
    assert lines == [f"webhook: MLflow tells of a moved alias at {settings.url}"] * 2
    assert len(webhook.find("ner")) == 1 and not woken.is_set()

    run = client.create_run(client.create_experiment("e")).info.run_id
    client.create_model_version("ner", source=f"runs:/{run}/model", run_id=run)
    for move in (
        lambda: client.set_registered_model_alias("ner", "champion", "1"),
        lambda: client.delete_registered_model_alias("ner", "champion"),
    ):
        woken.clear()
        move()
        assert woken.wait(10)

    lines.clear()
    assert webhook.settle("ner", settings, "another", lines.append)  # the receiver has the first one
    assert any(line.startswith("WARNING: webhook: MLflow cannot reach") and "401" in line for line in lines)
    assert "another" not in "".join(lines)
    assert webhook.settle("ner", None, "", lines.append) and webhook.find("ner") == []
    listening.should_exit = True
