"""Requests a second of `make serve`, against `mlflow models serve` and a plain FastAPI with transformers.pipeline.

Run     ner bench-serving [--seconds 6] [--rounds 2] [--contender "serve bf16" ...]       (make bench ONLY=serving)
Reads   models/release, data/prepared
Writes  reports/bench/serving.json, reports/bench/serving.md

The release is registered in a store of its own, all servers run, and one at a time gets a load (ner/bench/load.py) of
single sentences from 1, 4, 16 and 64 clients. Ratios are medians over the rounds. CPU time is that of the server's
processes: it tells apart what a server needs and what it waits for, on a machine that others use too.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from ner.bench.prediction import PREPARED, draw
from ner.bench.report import busy, check_names, machine, machine_line, publish, ratio, spread, turns
from ner.common.loopback import HOST, free_port
from ner.common.process import GUARD, stop_group
from ner.common.sqlite import sqlite_uri
from ner.common.tables import markdown_table
from ner.errors import NerError
from ner.registry.release import RELEASE

OURS, FP32, INT8 = "serve bf16", "serve fp32", "serve int8"
MLFLOW, PLAIN = "mlflow models serve", "FastAPI, pipeline"
NAMES = (OURS, FP32, INT8, MLFLOW, PLAIN)
CLIENTS = (1, 4, 16, 64)
START_WITHIN_S, WARM_UP_S = 300, 2
WORDS = range(10, 23)  # of a sentence: 16 on average
EFFECT = "what is waited for others counts too; hold the CPU time against each other"


def bench(root: Path, names: Sequence[str], seconds: float, rounds: int) -> dict[str, Any]:
    """Run it and return what serving.json holds. Raises NerError where a server does not come up."""
    about, (tokens, _) = machine(), draw(root / PREPARED, 1200)
    texts = [" ".join(words) for words in tokens if len(words) in WORDS]
    timed: dict[str, dict[int, list[dict[str, float]]]] = {name: {n: [] for n in CLIENTS} for name in names}
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as running:
        path = Path(scratch) / "texts.json"
        path.write_text(json.dumps(texts), encoding="utf-8")
        environment, versions = register(root, Path(scratch), names)
        servers = {}
        for name in names:
            servers[name] = running.enter_context(server(name, versions, environment, Path(scratch)))
        for number in range(rounds):
            for clients in CLIENTS:
                for name in turns(names, number):
                    measured = measure(*servers[name], path, clients, seconds)
                    timed[name][clients].append(measured)
                    print(f"round {number + 1} of {rounds}: {name}, {clients} clients, {told(measured)}", flush=True)
    base = MLFLOW if MLFLOW in names else names[0]
    return {
        "machine": about,
        "seconds": seconds,
        "rounds": rounds,
        "texts": len(texts),
        "words_per_text": round(sum(len(text.split()) for text in texts) / len(texts), 1),
        "base": base,
        "contenders": {name: {str(n): summary(timed[name][n], timed[base][n]) for n in CLIENTS} for name in names},
    }


def register(root: Path, home: Path, names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Put the release, and its int8 format where asked, into a store; returns its environment and the versions."""
    from ner.export.run import write_models
    from ner.registry.versions import add_version, content_digest
    from ner.tracking.live_run import LiveRun

    environment = os.environ | {"NER_HOME": str(home), "MLFLOW_TRACKING_URI": "", "NER_MONITOR_FOLDER": str(home)}
    os.environ.update(environment)  # the registry is asked in this process
    run = LiveRun.open("bench", "serving", {}, {})
    run.close("FINISHED")
    assert run.run_id
    versions = {}
    folders = {OURS: root / RELEASE}
    if INT8 in names:
        (home / "export").mkdir(parents=True)
        write_models(root, home / "export", ("onnx-int8",))
        folders[INT8] = home / "export" / "onnx-int8"
    for name, folder in folders.items():
        versions[name] = f"bench/{add_version('bench', run.run_id, folder, content_digest(folder)).version}"
    return environment, versions


def command(name: str, versions: Mapping[str, str], port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command of a contender, and what it sees more."""
    version = versions.get(name, versions[OURS])
    if name == MLFLOW:
        options = ["--env-manager", "local", "--host", HOST, "--port", str(port)]
        return ["-m", "mlflow", "models", "serve", "--model-uri", f"models:/{version}", *options], {}
    if name == PLAIN:
        return ["-m", "ner.bench.plain_server", str(RELEASE), str(port)], {}
    precision = "fp32" if name == FP32 else "bf16"
    return ["-m", "ner", "serve", "--model", version], {"NER_SERVE_PORT": str(port), "NER_SERVE_PRECISION": precision}


@contextmanager
def server(
    name: str, versions: Mapping[str, str], environment: Mapping[str, str], scratch: Path
) -> Iterator[tuple[int, int]]:
    """Run a contender's server; gives its process and port once it has answered. Raises NerError."""
    port = free_port()
    arguments, more = command(name, versions, port)
    store = {"MLFLOW_TRACKING_URI": sqlite_uri(scratch / "mlflow/data/mlflow.db")} if name == MLFLOW else {}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    with (scratch / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", str(GUARD), sys.executable, *arguments],
            env={**environment, **store, **more, "PYTHONPATH": os.getcwd(), "PATH": path},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + START_WITHIN_S
        while not answers(port):
            if process.poll() is not None or time.monotonic() > until:
                last = (scratch / "server.log").read_text(errors="replace").splitlines()[-1:]
                raise NerError(f"{name} does not come up: {' '.join(last)}")
            time.sleep(0.5)
        yield process.pid, port
    finally:
        stop_group(process)


def answers(port: int) -> bool:
    """Return whether a server answers a text at that port."""
    request = urllib.request.Request(
        f"http://{HOST}:{port}/invocations",
        json.dumps({"inputs": {"text": ["Marta lives in Oslo."]}}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def measure(pid: int, port: int, texts: Path, clients: int, seconds: float) -> dict[str, float]:
    """Return what so many clients saw of a server."""
    url = f"http://{HOST}:{port}/invocations"
    line = [sys.executable, "-m", "ner.bench.load", url, str(texts), str(clients)]
    subprocess.run([*line, str(WARM_UP_S)], check=True, capture_output=True)
    before = cpu_s(pid)
    seen = json.loads(subprocess.run([*line, str(seconds)], check=True, capture_output=True).stdout)
    latencies = sorted(seen["latencies"]) or [float("nan")]
    return {
        "requests_per_second": len(seen["latencies"]) / seen["seconds"],
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[int(0.99 * len(latencies))],
        "errors": len(seen["errors"]),
        "cpu_ms": 1000 * (cpu_s(pid) - before) / len(latencies),
        "memory_mb": sum(process.memory_info().rss for process in family(pid)) / 1e6,
    }


def family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process and all that it started."""
    times = [process.cpu_times() for process in family(pid)]
    return sum(each.user + each.system for each in times)


def summary(own: Sequence[Mapping[str, float]], base: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return medians over the rounds, and the ratios to the base."""
    entry: dict[str, Any] = {key: statistics.median(round_[key] for round_ in own) for key in own[0]}
    entry["errors"] = sum(round_["errors"] for round_ in own)
    for key, measure, turned in (("ratio", "requests_per_second", False), ("ratio_of_cpu", "cpu_ms", True)):
        ours, theirs = [row[measure] for row in own], [row[measure] for row in base]
        entry[key] = spread(theirs, ours) if turned else spread(ours, theirs)
    return entry


def told(measured: Mapping[str, float]) -> str:
    return (
        f"{measured['requests_per_second']:.1f} requests/s, p50 {measured['p50_ms']:.0f} ms, "
        f"p99 {measured['p99_ms']:.0f} ms, {measured['errors']:.0f} errors, {measured['cpu_ms']:.1f} ms of CPU each"
    )


def markdown(report: Mapping[str, Any]) -> str:
    """Return serving.md: the table, and how it was measured."""
    base, about, rows = report["base"], report["machine"], []
    for name, loads in report["contenders"].items():
        for clients, entry in loads.items():
            speed, digits = entry["requests_per_second"], {"cpu_ms": 1}
            keys = ("p50_ms", "p99_ms", "errors", "cpu_ms", "memory_mb")
            numbers = [f"{entry[key]:.{digits.get(key, 0)}f}" for key in keys]
            ratios = [ratio(entry[key]) for key in ("ratio", "ratio_of_cpu")]
            rows.append([name, clients, f"{speed:.1f}", f"{speed * report['words_per_text']:.0f}", *numbers, *ratios])
    columns = ["", "clients", "requests/s", "words/s", "p50, ms", "p99, ms", "errors", "CPU, ms a request"]
    columns += ["memory, MB", f"x {base}", "the same in CPU time"]
    return (
        f"# Speed of serving\n\n{markdown_table(columns, rows)}\n\n"
        f"{report['texts']} sentences of validation, {report['words_per_text']} words on average, one a request; each "
        f"client sends the next once it has its answer. {report['rounds']} rounds of {report['seconds']:g} s in which "
        "the servers take turns; numbers are medians over the rounds, with the lowest and the highest of a ratio.\n\n"
        f"{machine_line(about)}{busy(about, EFFECT)}"
    )


def main(
    seconds: Annotated[float, typer.Option(help="Of each load.")] = 6,
    rounds: Annotated[int, typer.Option(help="In which the contenders take turns.")] = 2,
    contender: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
) -> None:
    """Measure serving, and write and print the table. Raises NerError."""
    check_names("contender", contender or (), NAMES)
    report = bench(Path(), contender or list(NAMES), seconds, rounds)
    publish("serving", report, markdown(report))
