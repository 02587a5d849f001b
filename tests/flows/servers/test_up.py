import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.servers.settings import Ports, check_free, commands, read_ports
from ner.common.loopback import free_port
from ner.errors import BusyError, ParamsError
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
ODD = "feature%2Flogin #1, Länge's"
DEAD_PROXY = "http://127.0.0.1:9"


def test_a_port_in_use_is_named_with_the_way_to_choose_another():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BusyError, match=rf"port {port} .*MLflow.*NER_MLFLOW_PORT={port + 1} make up"):
            check_free(Ports(prefect=free_port(), mlflow=port))


def test_ports_come_from_the_environment():
    assert read_ports({}) == Ports(4200, 5000)
    assert read_ports({"NER_PREFECT_PORT": "4201"}) == Ports(4201, 5000)
    with pytest.raises(ParamsError, match="NER_MLFLOW_PORT is '0'"):
        read_ports({"NER_MLFLOW_PORT": "0"})


def test_servers_listen_on_loopback_only(tmp_path: Path):
    lines = commands(tmp_path, Ports(4200, 5000))
    assert all("--host 127.0.0.1" in lines[name] for name in ("prefect", "mlflow"))


@pytest.mark.operations
def test_make_up_deploys_runs_a_deployment_and_stops_without_a_trace(toy: Path, outside: dict[str, str]):
    """In a folder whose name addresses read otherwise, on a machine where http goes to a proxy that does not answer."""
    from mlflow import MlflowClient

    toy = toy.rename(toy.parent / ODD)
    for room in ("flows", "ner", "tasks"):  # prefect.yaml names flows/train.py of the checkout
        (toy / room).symlink_to(ROOT / room, target_is_directory=True)
    ports = {"NER_PREFECT_PORT": str(free_port()), "NER_MLFLOW_PORT": str(free_port())}
    seen = {**outside, **ports, "PWD": str(toy), "http_proxy": DEAD_PROXY, "no_proxy": "intranet"}
    log = toy / "up.out"
    with log.open("w") as out:
        up = subprocess.Popen([sys.executable, "-m", "ner", "up"], cwd=toy, env=seen, stdout=out, stderr=out)
    try:
        until = time.monotonic() + PATIENCE_S
        while "Ctrl-C stops all" not in log.read_text():
            assert up.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.5)
        family = psutil.Process(up.pid).children(recursive=True)
        seen["no_proxy"] = re.search(r"export no_proxy=(\S+)", log.read_text())[1]  # as the banner says
        mlflow = MlflowClient(f"http://127.0.0.1:{ports['NER_MLFLOW_PORT']}")
        assert mlflow.get_experiment("0").artifact_location.startswith((toy / "mlflow/data/artifacts").as_uri())
        assert prefect("deployment", "run", "ner/train", "--param", 'train={"epoch": 1}', toy=toy, env=seen).returncode
        done = prefect("deployment", "run", "ner/train", "--watch", toy=toy, env=seen)
        assert done.returncode == 0, done.stdout + done.stderr + log.read_text()
        assert (toy / "reports" / "registration.json").exists()

        prefect("deployment", "run", "ner/train", "--param", 'train={"epochs": 400}', toy=toy, env=seen)
        until = time.monotonic() + PATIENCE_S
        while not (stages := stages_at_work()):
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.5)
        family += stages
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(PATIENCE_S)
    assert [process for process in family if process.is_running() and process.status() != "zombie"] == []
    assert not (toy / ".ner" / "profiles.toml").exists()
    assert re.search(r"'train' - Finished in state Crashed", log.read_text())
    assert list((toy / ".ner" / "workspaces").iterdir()) == []
    assert set(toy.parent.rglob("*.db")) == {toy / "mlflow/data/mlflow.db", toy / ".ner/prefect.db"}
    assert list(toy.parent.iterdir()) == [toy]


def prefect(*arguments: str, toy: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prefect", *arguments]
    return subprocess.run(command, cwd=toy, env=env, capture_output=True, text=True, timeout=PATIENCE_S)


def stages_at_work() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if (
            process.info["cmdline"]
            and process.info["cmdline"][-2:] == ["toy.py", "train"]
            and process.pid != os.getpid()
        ):
            found.append(process)
    return found
