"""Notices by a real Prefect server, as automations.yaml says, into a sink on this machine: one an event, none else."""

import json
import os
import subprocess
import sys
import threading
import time
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from prefect.events.schemas.automations import AutomationCore

from flows.promotion import NEW_CHAMPION, is_new_champion
from ner.evaluation.gate import failure
from waiting import PATIENCE_S

FILE = Path(__file__).resolve().parents[3] / "automations.yaml"
AUTOMATIONS = yaml.safe_load(FILE.read_text(encoding="utf-8"))["automations"]
NAMES = ["ner: gate failed", "ner: run failed", "ner: new champion"]
NOBODY = "00000000-0000-0000-0000-000000000000"
REFUSED = f"gate: {failure({'rules': [{'passed': False, 'reason': 'F1 is 0.9'}]})}"


def test_the_file_is_what_prefect_takes_and_looks_for_the_messages_that_our_runs_end_with():
    assert [AutomationCore.model_validate(one).name for one in AUTOMATIONS] == NAMES
    gate, failed, champion = (one["trigger"]["match"]["prefect.state-message"] for one in AUTOMATIONS)
    assert fnmatch(REFUSED, gate) and failed == f"!{gate}" and fnmatch(f"{NEW_CHAMPION}ner version 2", champion)


def test_a_champion_is_new_where_another_version_has_the_alias_than_before():
    one, two = {"version": 1, "created": 5}, {"version": 2, "created": 9}
    moves = [(None, one), (one, two), (one, one), (one, None)]
    assert [is_new_champion({"before": a, "champion": b}) for a, b in moves] == [True, True, False, False]
    assert not is_new_champion(None)  # the history knew it


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
        yield got, f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


def wait_for(what):
    until = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.operations
def test_each_event_sends_one_notice(whole_server, sink, tmp_path):
    got, url = sink
    seen = {**os.environ, "PREFECT_API_URL": whole_server}

    def run(*command: str) -> str:
        done = subprocess.run([sys.executable, *command], env=seen, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    block = run("-c", BLOCK, url).split()[-1]
    (tmp_path / "ours.yaml").write_text(FILE.read_text(encoding="utf-8").replace(NOBODY, block))
    run("-m", "prefect", "automation", "create", "--from-file", str(tmp_path / "ours.yaml"))
    run("-c", SCENE, REFUSED, f"{NEW_CHAMPION}ner version 2 is champion")
    wait_for(lambda: len(got) >= 5)
    time.sleep(5)  # a second one would come
    assert sorted(notice["title"] for notice in got) == sorted([*NAMES, *["ner: run failed"] * 2])
    texts = " ".join(notice["text"] for notice in got)
    assert all(told in texts for told in (REFUSED, NEW_CHAMPION, "the reason of Crashed", "the reason of Failed"))


BLOCK = """
import sys
from prefect.blocks.notifications import CustomWebhookNotificationBlock

told = {"title": "{{subject}}", "text": "{{body}}"}
print(CustomWebhookNotificationBlock(name="n", url=sys.argv[1], json_data=told).save("notices"))
"""
SCENE = """
import sys
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Completed, Crashed, Failed, Running

@flow(name="ner")
def ner(): ...

with get_client(sync_client=True) as client:
    def end(state, tags=("ner",)):
        run = client.create_flow_run(ner, tags=list(tags), state=Running())
        client.set_flow_run_state(run.id, state, force=True)
        client.set_flow_run_state(run.id, state, force=True)  # told twice: one run that ended
    end(Failed(message=sys.argv[1]))
    end(Failed(message="the reason of Failed"))
    end(Crashed())
    end(Crashed(message="the reason of Crashed"))
    end(Completed(message=sys.argv[2]))
    end(Completed(message="nothing to tell"))
    end(Failed(message="another project's"), tags=())
"""
