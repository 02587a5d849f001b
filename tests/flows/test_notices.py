"""Notices by a real Prefect server into a sink on this machine: one an event, none for anything else."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from flows import notices
from flows.notices import GATE_FAILED, NEW_CHAMPION
from flows.promoted import is_new_champion
from flows.servers import Ports
from flows.up import environments
from ner.errors import ParamsError

WITHIN_S = 90


@pytest.fixture
def sink():
    """A webhook that keeps what it gets."""
    got = []

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response_only(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Sink) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield got, f"http://127.0.0.1:{server.server_port}/hook?token=hidden"
        server.shutdown()


def wait_for(what):
    until = time.monotonic() + WITHIN_S
    while not what():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_the_wish_is_checked_and_the_address_leaves_the_environment():
    assert notices.install_named({}) == []
    both = {notices.URL: "https://h/x", notices.BLOCK: "slack-webhook/team"}
    with pytest.raises(ParamsError, match="both set"):
        notices.install_named(both)
    assert notices.URL not in both
    with pytest.raises(ParamsError, match="type and the name"):
        notices.parse_block("team")
    with pytest.raises(ParamsError) as refused:
        notices.save_webhook("secret-token")
    assert "secret-token" not in str(refused.value)


def test_of_the_processes_of_make_up_only_the_worker_sees_where_notices_go(tmp_path, monkeypatch):
    monkeypatch.setenv(notices.URL, "https://hooks.example.org/secret")
    seen = environments(tmp_path, Ports(4200, 5000), None, ("prefect", "mlflow", "worker", "watch"))
    assert [name for name, own in seen.items() if notices.URL in own] == ["worker"]


def test_a_champion_is_new_where_another_version_has_the_alias_than_before():
    one, two = {"version": 1, "created": 5}, {"version": 2, "created": 9}
    moves = [(None, one), (one, two), (one, one), (one, None)]
    assert [is_new_champion({"before": a, "champion": b}) for a, b in moves] == [True, True, False, False]
    assert not is_new_champion(None)  # the history knew it


@pytest.mark.operations
def test_each_event_sends_one_notice_however_often_they_are_installed(whole_server, sink):
    got, url = sink
    code = SCENE.format(gate=GATE_FAILED, champion=NEW_CHAMPION)
    seen = {**os.environ, "PREFECT_API_URL": whole_server, notices.URL: url}
    done = subprocess.run([sys.executable, "-c", code], env=seen, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: len(got) >= 4)
    time.sleep(5)  # a second one would come
    assert sorted(notice["title"] for notice in got) == sorted([*notices.NOTICES, "ner: run failed"])
    texts = " ".join(notice["text"] for notice in got)
    assert all(f"the reason of {name}" in texts for name in (GATE_FAILED, NEW_CHAMPION, "Crashed", "Failed"))
    assert "hidden" not in json.dumps(httpx.post(f"{whole_server}/block_documents/filter", json={}).json())


SCENE = """
import os
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Completed, Crashed, Failed, Running
from flows.notices import install_named

@flow(name="ner")
def ner(): ...

for _ in range(2):
    install_named(dict(os.environ))
with get_client(sync_client=True) as client:
    def end(state, tags=("ner",)):
        run = client.create_flow_run(ner, tags=list(tags), state=Running())
        client.set_flow_run_state(run.id, state, force=True)
        client.set_flow_run_state(run.id, state, force=True)  # told twice: one run that ended
    end(Failed(name="{gate}", message="the reason of {gate}"))
    end(Failed(message="the reason of Failed"))
    end(Crashed(message="the reason of Crashed"))
    end(Completed(name="{champion}", message="the reason of {champion}"))
    end(Completed(message="nothing to tell"))
    end(Failed(message="another project's"), tags=())
"""
