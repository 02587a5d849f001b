"""Who gets in: what is refused before anything starts, what each process is given, what the server's door lets in."""

import asyncio
import base64
import os
import re

import httpx
import pytest

from flows.servers import settings as servers
from ner.common.access import Access, read_access, read_serve_access, server_environment
from ner.errors import ParamsError
from ner.serving.auth import Door
from our_code import our_code

SECRET = "correct-horse-battery"
ALL = {
    "NER_HOST": "0.0.0.0",
    "NER_ALLOWED_HOSTS": "ner.example.org",
    "PREFECT_SERVER_API_AUTH_STRING": f"team:{SECRET}-prefect",
    "MLFLOW_AUTH_ADMIN_PASSWORD": f"{SECRET}-admin",
    "MLFLOW_TRACKING_USERNAME": "pipeline",
    "MLFLOW_TRACKING_PASSWORD": f"{SECRET}-user",
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in ALL.items() if name not in names}


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (
            {"NER_HOST": "10.0.0.7"},
            r"NER_HOST is 10\.0\.0\.7, which other machines reach, so nothing was started: set PRE",
        ),
        (without("PREFECT_SERVER_API_AUTH_STRING"), r"nothing was started: set PREFECT_SERVER_API_AUTH_STRING \("),
        (without("MLFLOW_AUTH_ADMIN_PASSWORD"), r"nothing was started: set MLFLOW_AUTH_ADMIN_PASSWORD \("),
        (without("NER_ALLOWED_HOSTS"), r"NER_HOST is 0\.0\.0\.0: name in NER_ALLOWED_HOSTS how others reach"),
        (without("MLFLOW_TRACKING_USERNAME"), r"set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD too"),
        (ALL | {"MLFLOW_AUTH_ADMIN_PASSWORD": "password1234"}, r"known to everybody"),
        (ALL | {"MLFLOW_TRACKING_PASSWORD": "short"}, r"MLFLOW_TRACKING_PASSWORD is shorter than 12"),
        (ALL | {"PREFECT_SERVER_API_AUTH_STRING": "admin:pass"}, r"shorter than 12"),
        (ALL | {"PREFECT_SERVER_API_AUTH_STRING": SECRET}, r"not of the form name:password"),
        (ALL | {"NER_HOST": "example.org"}, r"need an IPv4 address"),
        (ALL | {"NER_ALLOWED_HOSTS": "*"}, r"'\*' is no name of a host"),
    ],
)
def test_servers_for_others_are_refused_in_a_sentence_without_credentials(environment, sentence):
    with pytest.raises(ParamsError, match=sentence) as refused:
        read_access(environment)
    assert SECRET not in str(refused.value)


def test_without_a_word_everything_is_on_loopback_and_asks_nobody(tmp_path):
    access = read_access({})
    assert (access.listen, access.reached, access.is_open) == ("127.0.0.1", "127.0.0.1", False)
    lines = servers.commands(tmp_path, servers.Ports(4200, 5000))
    assert all("--host 127.0.0.1" in lines[name] and "--app-name" not in lines[name] for name in ("prefect", "mlflow"))


def test_each_process_has_its_own_secrets_and_no_command_has_one(tmp_path, monkeypatch):
    for name, value in ALL.items():
        monkeypatch.setenv(name, value)
    ports = servers.read_ports(os.environ)
    lines = servers.commands(tmp_path, ports)
    assert "--host 0.0.0.0" in lines["mlflow"] and "--app-name basic-auth" in lines["mlflow"]
    assert SECRET not in str(lines) + repr(ports) and ports.mlflow_url == "http://127.0.0.1:5000"
    shared = servers.environment(tmp_path, ports)
    assert SECRET not in str(shared)
    seen = server_environment(tmp_path, ports.access, ports.prefect, ports.mlflow)
    has = {name: {end for end in ("prefect", "admin", "user") if f"{SECRET}-{end}" in str(seen[name])} for name in seen}
    assert has == {
        "prefect": {"prefect"},
        "mlflow": {"admin"},
        "watch": {"prefect", "user"},
        "worker": {"prefect", "admin", "user"},
    }
    assert seen["mlflow"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")[:2] == ["ner.example.org", "ner.example.org:5000"]
    assert "*" not in seen["prefect"]["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"]
    assert SECRET not in (tmp_path / ".ner" / "mlflow_auth.ini").read_text()


def test_serving_to_others_needs_a_token():
    with pytest.raises(ParamsError, match="nothing was started: set NER_SERVE_TOKEN"):
        read_serve_access({"NER_HOST": "0.0.0.0", "NER_ALLOWED_HOSTS": "ner.example.org"})
    assert read_serve_access({}).token == ""


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def ask(access: Access, path: str = "/version", **headers: str) -> int:
    async def asked() -> int:
        transport = httpx.ASGITransport(Door(hello, access))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:5001") as client:
            return (await client.get(path, headers=headers)).status_code

    return asyncio.run(asked())


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anna:{password}".encode()).decode()


def test_the_door_lets_in_who_brings_the_token_by_a_known_name():
    door = Access(token=SECRET)
    assert ask(door) == ask(door, authorization=f"Bearer {SECRET}x") == ask(door, authorization="Basic ?") == 401
    assert ask(door, authorization=basic("wrong-password")) == 401
    assert ask(door, authorization=f"Bearer {SECRET}") == ask(door, authorization=basic(SECRET)) == 200
    assert ask(door, "/health") == 200  # of probes
    assert ask(Access()) == 200
    assert ask(Access(), host="rebound.example.com:5001") == ask(door, "/health", host="rebound.example.com") == 421
    assert ask(Access(names=("ner.example.org",)), host="NER.example.org") == 200


def test_no_socket_of_the_code_listens_on_every_address_by_itself():
    bound = r"(bind|create_server)\(\(\s*[\"'](0|[\"'])|host=[\"'](0|[\"'])"
    for path in our_code():
        assert not re.search(bound, path.read_text(encoding="utf-8")), path
