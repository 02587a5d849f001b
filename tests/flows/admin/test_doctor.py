"""`ner doctor` on a toy pipeline with real DVC, and servers that are down, hang, or are something else."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.settings.profiles import _read_profiles_from

from flows.admin import doctor
from flows.runtime import prefect_api
from flows.servers.settings import Ports
from flows.servers.up import profile
from ner.admin.health import OK, PROBLEM, WARNING


@contextlib.contextmanager
def listener():
    """A port that takes connections and never answers."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield f"http://127.0.0.1:{one.getsockname()[1]}"


@pytest.fixture
def answering():
    """A server that answers everything with a text of the test's choice."""

    class Answer(BaseHTTPRequestHandler):
        text, status = "", 200

        def do_GET(self):
            self.send_response_only(self.status)
            self.end_headers()
            self.wfile.write(self.text.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Answer, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def dvc(*arguments):
    subprocess.run([sys.executable, "-m", "dvc", "-q", *arguments], check=True)


def test_dvc_is_asked_which_stages_changed(toy):
    found = {one.name: one for one in doctor.check_dvc(toy)}
    assert found["stages"].verdict == WARNING and "train" in found["stages"].sentence
    dvc("repro", "register")
    found = {one.name: one for one in doctor.check_dvc(toy)}
    assert found["stages"].verdict == OK
    assert doctor.reach_remote(toy).verdict == OK
    dvc("remote", "add", "--default", "far", str(toy.parent / "not-mounted"))
    assert doctor.reach_remote(toy).verdict == WARNING


def test_servers_that_are_down_or_hang_take_seconds_and_the_registry_is_then_not_asked(toy, monkeypatch, capsys):
    with listener() as hanging:
        monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", hanging.replace("http://", "http://me:secret@"))
        began = time.monotonic()
        found = {one.name: one for one in doctor.examine(toy)}
        assert time.monotonic() - began < 10 + 60  # 10 for servers, the rest for DVC on a busy machine
    assert found["prefect"].verdict == found["mlflow"].verdict == PROBLEM
    assert found["registry"].verdict == WARNING
    assert "make up" in found["prefect"].sentence and "secret" not in found["mlflow"].sentence


def test_a_server_of_another_version_or_behind_a_password(answering):
    answer, url = answering
    answer.text = '"0.0.1"'
    assert "use one version" in doctor.ask_server("prefect", url).sentence
    answer.text = doctor.version("mlflow")
    assert doctor.ask_server("mlflow", url).verdict == OK
    answer.status = 401
    assert doctor.ask_server("mlflow", url).verdict == PROBLEM


def test_a_paused_work_pool_is_told_with_the_command_that_resumes_it(answering):
    answer, url = answering
    answer.text = '{"is_paused": true}'
    assert prefect_api.paused(url, "ner").endswith("flow runs wait: `prefect work-pool resume ner`")
    for text, status in (('{"is_paused": false}', 200), ("no json", 200), ("{}", 404)):
        answer.text, answer.status = text, status
        assert prefect_api.paused(url, "ner") is None
    assert prefect_api.paused("http://127.0.0.1:9/api", "ner") is None


def test_addresses_come_from_the_environment_else_from_make_up(tmp_path):
    assert doctor.addresses(tmp_path, {}) == {}
    with profile(tmp_path, Ports(4321, 5432)):
        up = {"prefect": "http://127.0.0.1:4321/api", "mlflow": "http://127.0.0.1:5432"}
        assert doctor.addresses(tmp_path, {}) == up
        assert doctor.addresses(tmp_path, {"MLFLOW_TRACKING_URI": "sqlite:///x"}) == {"prefect": up["prefect"]}
        (prefects,) = _read_profiles_from(tmp_path / ".ner" / "profiles.toml").profiles_by_name.values()
        assert [str(value) for value in prefects.settings.values()] == [up["prefect"]]
    named = {"PREFECT_API_URL": "http://a/api", "MLFLOW_TRACKING_URI": "sqlite:///x"}
    assert doctor.addresses(tmp_path, named) == {"prefect": "http://a/api"}


def test_the_command_gives_json_and_its_status_says_whether_there_is_a_problem(toy, outside):
    def run(**more):
        command = [sys.executable, "-m", "ner", "doctor", "--json"]
        return subprocess.run(command, cwd=toy, env={**outside, **more}, capture_output=True, text=True)

    (toy / "requirements.lock").write_text("")
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"packages", "disk", "dvc", "champion"} - {one["name"] for one in json.loads(done.stdout)} == {"dvc"}
    assert run(PREFECT_API_URL="http://127.0.0.1:9/api").returncode == 1
