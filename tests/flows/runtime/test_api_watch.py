"""A server that goes while a run goes on is told within seconds, once, and so is its return."""

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from flows.runtime.api_watch import answers, told_when_gone
from waiting import until


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def serve(port=0):
    server = HTTPServer(("127.0.0.1", port), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def wait_for(said, number):
    until(lambda: len(said) >= number)
    return said


def test_a_server_that_goes_is_told_once_and_again_when_it_is_back(monkeypatch):
    from flows.runtime import api_watch as server_watch

    monkeypatch.setattr(server_watch, "ASK_EVERY_S", 0.1)
    server = serve()
    port, said = server.server_port, []
    with told_when_gone(f"http://127.0.0.1:{port}", said.append):
        time.sleep(0.5)
        assert said == []
        server.shutdown()
        server.server_close()
        assert "does not answer: the stages go on without it" in wait_for(said, 1)[0]
        time.sleep(0.5)
        assert len(said) == 1
        server = serve(port)
        assert wait_for(said, 2)[1] == f"Prefect's server at http://127.0.0.1:{port} answers again."
    server.shutdown()
    server.server_close()
    assert answers(f"http://127.0.0.1:{port}") is False


def test_without_an_address_nothing_is_asked():
    with told_when_gone(None, print):
        pass
