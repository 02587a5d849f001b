"""The server as a process, with stand-ins for the process of a model and for the registry."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from ner.errors import BusyError, ParamsError
from ner.monitoring.store import read_rows
from ner.serving.settings import listen, read_settings
from waiting import PATIENCE_S, until

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
STAND_IN = HERE / "serve_stand_in.py"
BROKEN, MUTE, SLOW_TO_START = 66, 77, 88
JSON = {"Content-Type": "application/json"}


class Serve:
    """A running server, its registry, and what it prints."""

    def __init__(self, folder: Path, version: int | None = 1, challenger: int | None = None) -> None:
        self.folder, self.log = folder, folder / "serve.log"
        self.point(version)
        if challenger:
            self.point(challenger, alias="challenger")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        seen = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "http_proxy": "http://127.0.0.1:9"}
        command = [sys.executable, str(STAND_IN), "serve", str(self.port), str(folder)]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, cwd=folder, env=seen, stdout=out, stderr=out)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=PATIENCE_S)

    def point(self, version: int | None, gate: str | None = "passed, 9 of 9 rules", alias: str = "champion") -> None:
        about = {"model": "ner", "number": version, "content": f"c{version}", "gate": gate}
        about |= {"inputs": ["text", "tokens"], "params": ["min_score"]}
        problem = None if version else f"the MLflow registry has no ner@{alias}"
        line = {"version": about if version else None, "problem": problem, "absent": not version}
        temporary = self.folder / "alias.tmp"
        temporary.write_text(json.dumps(line))
        temporary.replace(self.folder / f"{alias}.json")

    def said(self) -> str:
        return self.log.read_text()

    def until(self, what: Callable[[], object]) -> None:
        until(lambda: self.process.poll() is not None or what(), self.said, every_s=0.02)
        assert self.process.poll() is None, self.said()

    def until_serving(self, version: int) -> None:
        self.until(lambda: self.health().headers.get("X-Model-Version") == f"ner/{version}")

    def health(self) -> httpx.Response:
        try:
            return self.http.get("/health")
        except httpx.ConnectError:
            return httpx.Response(503)

    def ask(self, *texts: str, **more: object) -> httpx.Response:
        return self.http.post("/invocations", json={"inputs": list(texts), **more})

    def backend(self) -> psutil.Process:
        return psutil.Process(self.ask("who").json()["predictions"][0]["pid"])

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE_S)
        self.http.close()


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Iterator[Serve]:
    """A server that the tests only ask."""
    server = Serve(tmp_path_factory.mktemp("calm"))
    try:
        server.until_serving(1)
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serve]:
    """A server of the test's own."""
    server = Serve(tmp_path)
    try:
        server.until_serving(1)
        yield server
    finally:
        server.stop()


def until_gone(processes: list[psutil.Process]) -> None:
    until(lambda: not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE])


def test_an_answer_has_a_row_for_each_text_and_the_version_that_gave_it(calm):
    answer = calm.ask("Marta", "", "שלום")
    assert answer.status_code == 200 and answer.headers["X-Model-Version"] == "ner/1"
    assert [row["text"] for row in answer.json()["predictions"]] == ["Marta", "", "שלום"]
    assert "שלום" in answer.text


def test_texts_tokens_and_parameters_reach_the_model_in_order(calm):
    rows = [{"text": "a b"}, {"tokens": ["c", "d"]}, {"text": "e"}]
    found = calm.http.post("/invocations", json={"inputs": rows, "params": {"min_score": 0.5}}).json()["predictions"]
    assert [row["text"] for row in found] == ["a b", "c d", "e"]
    assert [row["params"] for row in found] == [{"min_score": 0.5}] * 3


def test_what_monitoring_keeps_is_written_with_the_version_and_no_caller_sees_it(calm):
    text = "kept for monitoring alone"
    assert "observed" not in calm.ask(text, "b").text
    assert calm.http.post("/", data={"text": "from the page"}).status_code == 200
    rows = [row for row in read_rows(calm.folder / "kept", "ner/1") if row["chars"] in (len(text), 1, 13)]
    assert [row["tokens"] for row in rows][-3:] == [4, 1, 3] and rows[-1]["source"] == "serve"
    kept = "".join(path.read_text() for path in (calm.folder / "kept").iterdir())
    assert "monitoring" not in kept and "page" not in kept


def test_an_empty_batch_has_an_empty_answer(calm):
    assert calm.ask().json() == {"predictions": []}


def test_csv_is_taken_too(calm):
    answer = calm.http.post("/invocations", content="text\nMarta\n", headers={"Content-Type": "text/csv"})
    assert answer.json()["predictions"][0]["text"] == "Marta"


def test_health_and_version_say_what_answers(calm):
    for path in ("/health", "/ping"):
        assert calm.http.get(path).json() == {"status": "ready", "version": "ner/1"}
        assert calm.http.head(path).status_code == 200
    about = calm.http.get("/version").json()
    assert about["model"] == "ner" and about["version"] == 1 and about["alias"] == "champion"
    assert about["content"] == "c1" and about["gate"].startswith("passed") and about["loaded_at"]
    assert about["columns"] == ["text", "tokens"] and about["note"] is None


@pytest.mark.parametrize(
    ("method", "path", "kwargs", "status", "sentence"),
    [
        ("POST", "/invocations", {"json": {"inputs": {"text": 5}}}, 400, "inputs.text must be a string, got a number"),
        ("POST", "/invocations", {"json": {"inputs": [{"txt": ""}]}}, 400, "takes only 'text' and 'tokens'"),
        ("POST", "/invocations", {"content": "{x", "headers": JSON}, 400, "the body is not JSON"),
        ("POST", "/invocations", {"content": "x"}, 415, "there is no Content-Type"),
        ("POST", "/invocations", {"json": {"inputs": "a" * 11_000}}, 413, "larger than 0.01 MB"),
        ("POST", "/invocations", {"json": {"inputs": "REFUSE"}}, 400, "row 0: a token holds a space."),
        ("POST", "/invocations", {"json": {"inputs": "FAIL"}}, 500, "the model failed on this request"),
        ("GET", "/invocations", {}, 405, "use POST"),
        ("DELETE", "/health", {}, 405, "use GET"),
        ("GET", "/../etc/passwd", {}, 404, "there is nothing at this address: POST /invocations asks the model"),
        ("GET", "/docs", {}, 404, "there is nothing"),
    ],
)
def test_every_error_is_one_sentence_without_trace_or_path(calm, method, path, kwargs, status, sentence):
    answer = calm.http.request(method, path, **kwargs)
    assert answer.status_code == status and list(answer.json()) == ["error"]
    assert sentence in answer.json()["error"]
    assert "Traceback" not in answer.text and "/home" not in answer.text


def test_why_the_model_failed_is_in_the_log_and_not_in_the_answer(calm):
    calm.ask("FAIL")
    assert "ner/1 failed on a request: Traceback" in calm.said()
    assert "RuntimeError: /home/someone/model is broken" in calm.said()


def test_a_body_that_is_too_large_hears_so_also_where_its_length_is_not_told(calm):
    answer = calm.http.post("/invocations", content=iter([b"a" * 9000] * 5), headers=JSON)
    assert answer.status_code == 413
    assert calm.ask("after").status_code == 200


def test_many_parallel_requests_are_all_answered_and_each_gets_its_own(calm):
    def one(i: int) -> bool:
        text = f"FAIL {i}" if i % 10 == 0 else f"text {i}"
        answer = calm.ask(text)
        return answer.status_code == 500 if i % 10 == 0 else answer.json()["predictions"][0]["text"] == text

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(one, range(300)))


def test_the_page_answers_and_keeps_what_was_wrong_to_itself(calm):
    assert calm.http.get("/").headers["content-type"].startswith("text/html")
    good = calm.http.post("/", data={"text": "Marta <b>\r\nOkafor"})
    assert good.status_code == 200 and "Marta &lt;b&gt;\nOkafor&nbsp;<b>V1</b>" in good.text
    bad = calm.http.post("/", data={"text": "FAIL"})
    assert bad.status_code == 500 and 'role="alert">the model failed' in bad.text and "Traceback" not in bad.text


def test_one_text_has_the_machine_for_itself_and_the_answer_names_the_precision(calm):
    answer = calm.ask("Marta")
    (row,) = answer.json()["predictions"]
    assert (row["together"], row["threads"]) == (1, 2)
    assert answer.headers["X-Model-Precision"] == calm.http.get("/version").json()["precision"] == "bf16"


def test_texts_that_wait_are_read_together(server):
    with ThreadPoolExecutor(12) as pool:
        blocked = [pool.submit(server.ask, text) for text in ("SLOW", "SLOW " * 250)]  # a lane each
        server.until(lambda: "ner_batch_rows_count 2" in server.http.get("/metrics").text)
        waiting = [pool.submit(server.ask, f"text {i}") for i in range(10)]
        server.until(lambda: "ner_rows_waiting 10.0" in server.http.get("/metrics").text)
        (server.folder / "go").touch()
        answers = [one.result() for one in waiting]
    assert [one.result().status_code for one in blocked] == [200, 200]
    assert max(answer.json()["predictions"][0]["together"] for answer in answers) > 1
    assert [answer.json()["predictions"][0]["text"] for answer in answers] == [f"text {i}" for i in range(10)]


def test_a_request_of_many_texts_lets_others_between(calm):
    with ThreadPoolExecutor(2) as pool:
        many = pool.submit(calm.ask, *["word " * 40] * 40)
        assert calm.ask("Marta").status_code == 200
        assert len(many.result().json()["predictions"]) == 40


def test_the_server_lives_before_a_model_is_ready_and_tells_its_numbers(calm):
    assert calm.http.get("/live").json() == {"status": "live"}
    calm.ask("FAIL")
    numbers = calm.http.get("/metrics").text
    assert 'ner_requests_total{path="/invocations",status="500"}' in numbers
    assert 'ner_version{precision="bf16",version="ner/1"} 1.0' in numbers
    assert 'ner_entities_total{type="V1"}' in numbers and "ner_subwords_total " in numbers
    for name in ("ner_request_seconds", "ner_queue_seconds", "ner_batch_rows"):
        assert f"{name}_bucket" in numbers
    assert "ner_restarts_total 0.0" in numbers


def test_a_request_keeps_its_id_and_its_trace_in_the_log(calm):
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-Id": "my-7", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    assert calm.http.get("/version", headers=headers).headers["X-Request-Id"] == "my-7"
    calm.until(lambda: f'"request_id": "my-7", "trace_id": "{trace}"' in calm.said())
    made = [calm.http.get("/live", headers={"X-Request-Id": own}).headers["X-Request-Id"] for own in ("", "a b")]
    assert all(len(one) == 32 for one in made)


def test_the_schema_is_at_openapi_json(calm):
    paths = calm.http.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/invocations", "/health", "/version"}


def test_a_new_champion_takes_over_without_a_dropped_request_and_the_header_is_true(server):
    first, stop = server.backend(), threading.Event()
    seen: list[list[int]] = [[] for _ in range(6)]
    slow: list[httpx.Response] = []

    def client(mine: list[int]) -> None:
        while not stop.is_set():
            answer = server.ask("Marta")
            assert answer.status_code == 200, answer.text
            version = int(answer.headers["X-Model-Version"].removeprefix("ner/"))
            assert answer.json()["predictions"][0]["entities"][0]["type"] == f"V{version}"
            mine.append(version)

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, mine) for mine in seen]
        server.until(lambda: all(len(mine) > 10 for mine in seen))
        waits = pool.submit(lambda: slow.append(server.ask("SLOW " * 250)))  # too long to be read with others
        server.until((server.folder / "slow").exists)
        server.point(2)
        server.until_serving(2)
        assert first.is_running() and not waits.done(), "the old one ended before its last answer"
        counts = [len(mine) for mine in seen]
        server.until(lambda: all(len(mine) > count + 10 for mine, count in zip(seen, counts, strict=True)))
        (server.folder / "go").touch()
        waits.result()
        stop.set()
        for one in clients:
            one.result()
    assert slow[0].status_code == 200 and slow[0].headers["X-Model-Version"] == "ner/1"
    assert all(mine == sorted(mine) and set(mine) == {1, 2} for mine in seen)
    until_gone([first])
    server.until(lambda: "ner/1 has stopped" in server.said())
    assert "ner/2 is loading; ner/1 answers until it is ready" in server.said()


@pytest.mark.parametrize(
    ("version", "why"),
    [(BROKEN, "its process ended: OSError: no file named model.safetensors"), (MUTE, "its first request failed")],
)
def test_a_version_that_does_not_come_up_leaves_the_old_one_and_is_said_once(server, version, why):
    server.point(version)
    server.until(lambda: server.http.get("/version").json()["note"])
    note = server.http.get("/version").json()["note"]
    assert f"ner/{version} did not come up ({why}" in note and note.endswith("ner/1 keeps answering.")
    assert "/home" not in note
    time.sleep(0.3)
    assert server.said().count("did not come up") == 1
    assert server.ask("Marta").headers["X-Model-Version"] == "ner/1"
    assert "did not come up" in server.http.get("/").text
    server.point(2)
    server.until_serving(2)
    assert server.http.get("/version").json()["note"] is None


def test_an_alias_that_moves_on_while_a_version_loads_gives_that_up(server):
    server.point(SLOW_TO_START)
    server.until(lambda: server.http.get("/version").json()["loading"] == f"ner/{SLOW_TO_START}")
    server.point(3)
    server.until_serving(3)
    assert f"ner/{SLOW_TO_START} is no longer wanted" in server.said()
    assert f"ner/{SLOW_TO_START} answers now" not in server.said()


def test_an_alias_that_is_removed_leaves_the_old_one_and_is_said(server):
    server.point(None)
    server.until(lambda: server.http.get("/version").json()["note"])
    note = "the MLflow registry has no ner@champion; ner/1 keeps answering."
    assert server.http.get("/version").json()["note"] == note
    assert server.ask("Marta").status_code == 200
    server.point(1)
    server.until(lambda: server.http.get("/version").json()["note"] is None)
    assert "ner@champion is ner/1 now" in server.said()


def test_a_champion_without_a_passed_gate_answers_with_a_warning(server):
    server.point(2, gate=None)
    server.until_serving(2)
    assert server.http.get("/version").json()["note"] == "ner/2 never passed a gate."
    assert "WARNING: ner/2 never passed a gate." in server.said()


def test_a_backend_that_dies_is_started_again_and_meanwhile_callers_are_told_when_to_ask(server):
    server.backend().kill()
    answer = server.ask("Marta")
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
    assert server.health().status_code == 503 and "no model is ready" in server.health().json()["error"]
    server.until_serving(1)
    assert server.ask("Marta").status_code == 200
    assert "the process of ner/1 ended; it is started again" in server.said()
    assert "ner_restarts_total 1.0" in server.http.get("/metrics").text


def test_a_request_that_kills_the_backend_is_told_so(server):
    answer = server.ask("DIE")
    assert answer.status_code == 503 and "ended while it worked on this request" in answer.json()["error"]
    server.until_serving(1)


def test_without_a_champion_it_ends_with_one_sentence(tmp_path):
    server = Serve(tmp_path, version=None)
    assert server.process.wait(PATIENCE_S) == 1
    todo = "set the alias on a version in the MLflow UI (make up), or name a version, as ner/1."
    assert server.said().strip() == f"serve: the MLflow registry has no ner@champion: {todo}"
    server.stop()


def test_a_first_version_that_does_not_come_up_ends_it_with_a_sentence(tmp_path):
    server = Serve(tmp_path, version=BROKEN)
    assert server.process.wait(PATIENCE_S) == 1
    assert f"serve: ner/{BROKEN} does not come up: its process ended: OSError" in server.said()
    server.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_last_request_finish_and_leaves_no_process(server, number):
    family = server.family()
    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(server.ask, "SLOW")
        server.until((server.folder / "slow").exists)
        server.process.send_signal(number)
        time.sleep(0.3)  # it goes on for as long as the answer takes
        assert server.process.poll() is None
        (server.folder / "go").touch()
        assert last.result().status_code == 200
    assert server.process.wait(PATIENCE_S) == 0
    assert len(family) >= 4
    until_gone(family)


def test_a_server_that_is_killed_leaves_no_process_either(server):
    family = server.family()
    server.process.kill()
    server.process.wait(PATIENCE_S)
    assert len(family) >= 4
    until_gone(family)


def test_a_port_in_use_is_named_with_the_way_to_choose_another():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BusyError, match=rf"port {port} .* is in use.*NER_SERVE_PORT={port + 1} make serve"):
            listen(port)


def test_settings_come_from_the_environment_and_keep_off_the_ports_of_make_up():
    assert (read_settings({}).port, read_settings({}).max_mb) == (5001, 16)
    assert read_settings({"NER_SERVE_MAX_MB": "0.5"}).max_mb == 0.5
    with pytest.raises(BusyError, match="port 5000 is where `make up` has the MLflow server.*NER_SERVE_PORT=5002"):
        read_settings({"NER_SERVE_PORT": "5000"})
    with pytest.raises(BusyError, match="port 5001 is where `make up` has the MLflow server"):
        read_settings({"NER_MLFLOW_PORT": "5001"})
    with pytest.raises(ParamsError, match="NER_SERVE_PRECISION is 'int4', need one of as judged, auto, fp32, bf16"):
        read_settings({"NER_SERVE_PRECISION": "int4"})
    for name in ("NER_SERVE_PORT", "NER_SERVE_MAX_MB"):
        with pytest.raises(ParamsError, match=f"{name} is '-1'"):
            read_settings({name: "-1"})


def test_a_canary_answers_its_share_and_the_shadow_reads_the_rest(tmp_path):
    server = Serve(tmp_path, challenger=2)
    try:
        server.until_serving(1)
        server.until(lambda: server.http.get("/version").json()["challenger"] == "ner/2")
        assert server.http.get("/version").json()["canary"] == 0.3

        def role(key: int) -> tuple[str, str]:
            answer = server.http.post(
                "/invocations", json={"inputs": ["Marta"]}, headers={"X-Canary-Key": f"user {key}"}
            )
            assert answer.status_code == 200
            return answer.headers["X-Model-Role"], answer.headers["X-Model-Version"]

        roles = [role(key) for key in range(60)]
        assert set(roles) == {("canary", "ner/2"), ("champion", "ner/1")}
        assert 8 <= roles.count(("canary", "ner/2")) <= 28  # 18 expected
        assert [role(key) for key in range(20)] == roles[:20]  # the same caller, the same side

        def number(name: str) -> float:
            lines = server.http.get("/metrics").text.splitlines()
            return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0)

        differs, same = 'ner_shadow_rows_total{result="differs"}', 'ner_shadow_rows_total{result="same"}'
        server.until(lambda: number(differs) > 0)
        assert number('ner_shadow_entities_total{only="challenger",type="V2"}') > 0
        server.until(lambda: server.ask("SAME").status_code == 200 and number(same) > 0)
        kept = [json.loads(line) for path in (tmp_path / "kept").glob("shadow-*") for line in path.open()]
        assert {(row["model"], row["against"]) for row in kept} == {("ner/1", "ner/2")}
        assert kept[0]["champion"] == [["V1", 0, 5]] and kept[0]["challenger"] == [["V2", 0, 5]]
        assert not any("text" in row for row in kept)  # monitor.keep is numbers
        server.point(3, alias="challenger")
        server.until(lambda: server.http.get("/version").json()["challenger"] == "ner/3")
    finally:
        server.stop()


def test_a_challenger_that_does_not_come_up_stops_nobody(tmp_path):
    server = Serve(tmp_path, challenger=BROKEN)
    try:
        server.until_serving(1)
        server.until(lambda: f"challenger: ner/{BROKEN} does not come up" in server.said())
        assert {server.ask("Marta").headers["X-Model-Version"] for _ in range(20)} == {"ner/1"}
        server.point(2, alias="challenger")
        server.until(lambda: server.http.get("/version").json()["challenger"] == "ner/2")
    finally:
        server.stop()
