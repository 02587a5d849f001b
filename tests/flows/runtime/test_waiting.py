"""No wait for a server is silent for long, and none of our own servers is asked through a company's proxy."""

import socket
import time

import pytest

from flows.runtime import prefect_api
from flows.runtime.prefect_api import told_when_slow
from flows.servers import worker
from flows.servers.settings import Ports, environment
from ner.errors import NerError

PROXY = "http://proxy.example:3128"


def test_what_takes_long_is_told_once_and_what_does_not_is_not_told():
    said: list[str] = []
    with told_when_slow("waiting for the server", said.append, after_s=0.05):
        time.sleep(0.5)
    with told_when_slow("never said", said.append, after_s=30):
        pass
    assert said == ["waiting for the server"]


def test_a_server_that_does_not_come_is_named_with_its_address_while_it_is_waited_for(monkeypatch, capsys):
    monkeypatch.setattr(prefect_api, "PATIENCE_S", 0.05)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api/health"
        with pytest.raises(NerError, match="the Prefect server did not answer at"):
            worker.wait_until_healthy("the Prefect server", url, within_s=1)
    assert capsys.readouterr().out == f"waiting for the Prefect server to answer at {url}\n"


def test_processes_of_make_up_and_commands_in_another_shell_leave_the_proxy_out(monkeypatch, tmp_path):
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("no_proxy", "intranet")
    seen = environment(tmp_path, Ports(4200, 5000))
    assert seen["http_proxy"] == PROXY and seen["no_proxy"] == seen["NO_PROXY"] == "intranet,localhost,127.0.0.1,::1"
    text = worker.banner("http://127.0.0.1:4200", "http://127.0.0.1:5000", seen)
    assert "  export no_proxy=intranet,localhost,127.0.0.1,::1\n  prefect deployment run" in text
    assert (
        "http://127.0.0.1:5000/#/models/ner?workflowType=machine_learning" in text
    )  # MLflow opens another page by itself
    assert "no_proxy" not in worker.banner("http://127.0.0.1:4200", "http://127.0.0.1:5000", {})
