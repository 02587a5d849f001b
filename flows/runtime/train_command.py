"""The command behind `make train`: the flow in this process, its log on the terminal, a short table at the end."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from dotenv import dotenv_values

from flows.runtime import overrides
from flows.runtime.dvc_graph import has_changed, read_graph
from flows.runtime.prefect_api import answers, told_when_slow
from flows.runtime.run_record import Record
from flows.runtime.run_stage import CACHED, REGISTER, Outcome, has_failed, stage_environment
from flows.runtime.summary import ending, render
from flows.servers.mlflow_rest import running
from ner.common.lock import lock_checkout
from ner.common.loopback import socks_refusal
from ner.common.place import require_place, require_writable
from ner.common.stores import check_prefect_database
from ner.errors import BusyError, NerError

STARTUP_TIMEOUT_S = 300  # Prefect's own limit of 20 s is too short while its database is made, on a busy machine
QUICK = ("model.base=all-minilm-l6-v2",)
CARD = (
    "model.base=distilbert-base-uncased", "encoding.context=sentence", "encoding.max_length=512",
    "encoding.case=as_encoder", "train.epochs=3", "train.learning_rate=2.0e-5", "train.new_learning_rate=same",
    "train.batch_by=windows", "train.batch_size=16", "train.warmup=0.0", "train.weight_decay=0.0",
    "train.dropout=encoder", "train.frozen_embeddings=false", "train.precision=fp32",
)  # fmt: skip
GONE = (
    "Prefect's server cannot be reached any more ({error}), so the run has no end: run the same command again, which "
    "goes on, with a temporary server where none answers."
)
SLOW = (
    f"Prefect's temporary server did not answer within {STARTUP_TIMEOUT_S} s, so there was no run: the machine is busy "
    "or short of memory; run the same command again."
)
UNHEARD = (
    "Prefect's server was gone when the run ended, so it is shown there as running; what follows is its end, and what "
    "it made is in its place."
)


def main(
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="BLOCK.KEY=VALUE", help="A parameter of this run only.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="With a small encoder, in minutes.")] = False,
    card: Annotated[bool, typer.Option("--card", help="By the recipe of the public card, from the hub.")] = False,
) -> None:
    """Run the flow `ner`; the exit status is 3 where validation failed and 4 where the gate did. Raises NerError."""
    signal.signal(signal.SIGTERM, _end)  # Python's own handler would leave the temporary server behind
    require_writable(Path.cwd())
    if refusal := socks_refusal(os.environ):
        raise NerError(refusal)
    changes = overrides.parse_settings([*(QUICK if quick else ()), *(CARD if card else ()), *(settings or ())])
    overrides.apply(Path.cwd(), changes)
    if not changes and (record := nothing_to_do(Path.cwd())):
        print("\n".join(outcome.sentence for outcome in record.outcomes.values()))
        print(f"{ending(record)}\n\n{render(record, Path.cwd())}\n", flush=True)
        return
    from flows.train import ner  # Prefect takes seconds to import

    raise SystemExit(run_here(ner, changes))


def run_here(ner: Callable[..., Any], changes: overrides.Changes) -> int:
    """Run the flow in this process, print its summary, and return its exit status."""
    root = Path.cwd()
    Record.last = None
    try:
        with reachable_server():
            state = ner(**changes, return_state=True)
    except httpx.HTTPError as error:
        if Record.last is None:
            raise NerError(GONE.format(error=" ".join(str(error).split()) or type(error).__name__)) from None
        print(f"train: {UNHEARD}", file=sys.stderr, flush=True)
    record = Record.last
    if record is None:
        raise NerError(f"the flow run ended as {state.name}: {state.message}")
    if record.outcomes:
        print("\n" + render(record, root) + "\n", flush=True)
    if record.sentence:
        print(record.sentence, file=sys.stderr)
    return record.exit_status


@contextmanager
def reachable_server() -> Iterator[None]:
    """Ensure a Prefect server inside this context: the configured one if it answers, else a temporary one.

    Raises NerError where that does not start in time. prefect.toml lets nothing else start one.
    """
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
        get_current_settings,
        temporary_settings,
    )

    url = PREFECT_API_URL.value()
    if url and answers(url):
        yield
        return
    if url:
        print(f"train: no Prefect server answers at {url}; using a temporary one.", file=sys.stderr)
    limit = {
        PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: True,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: STARTUP_TIMEOUT_S,
    }
    from prefect.server.api.server import SubprocessASGIServer  # slow to import

    if database := get_current_settings().server.database.connection_url:
        check_prefect_database(database.get_secret_value())
    with temporary_settings(updates=limit, restore_defaults={PREFECT_API_URL}):
        server = SubprocessASGIServer()  # the one that Prefect's clients in this process use
        server.port = server.port or server.find_available_port()
        with told_when_slow(f"waiting for Prefect's temporary server to answer at {server.api_url}"):
            try:
                server.start()
            except RuntimeError:
                raise NerError(SLOW) from None
        yield


def _end(number: int, _frame: Any) -> None:
    print("train: stopped by SIGTERM; run the same command again to go on.", file=sys.stderr, flush=True)
    raise SystemExit(128 + number)


API = "PREFECT_API_URL"


def nothing_to_do(root: Path) -> Record | None:
    """Return a record in which every stage is cached; None where the flow has to run. Raises NerError."""
    api = named_server(root)
    if api and answers(api):
        return None
    require_place(root)
    try:
        with lock_checkout(root, "run", "ner train"), registry_check(root) as check:
            stages = read_graph(root)
            if has_changed(root) or has_failed(root) or (check and check.wait()):
                return None
    except BusyError:
        return None  # the flow waits for its turn, or says who is at work
    cached = {stage.name: f"{stage.name}: cached, nothing that it depends on has changed." for stage in stages}
    record = Record(flow_run_id="", folder=root, started=time.time(), stages=stages)
    record.outcomes = {name: Outcome(CACHED, sentence) for name, sentence in cached.items()}
    return None if record.refused() else record


def named_server(root: Path) -> str | None:
    """Return the Prefect server of the environment, of `make up` or of prefect.toml, without importing Prefect."""
    settings = root / "prefect.toml"
    own = tomllib.loads(settings.read_text(encoding="utf-8")) if settings.exists() else {}
    names = (os.environ.get(API), dotenv_values(root / ".env").get(API), running(root).get(API))
    return next(filter(None, names), own.get("api", {}).get("url"))


@contextmanager
def registry_check(root: Path) -> Iterator[subprocess.Popen[bytes] | None]:
    """Let the registry be asked for the version of this checkout meanwhile: status 0 where it has it."""
    if not (root / "tasks" / f"{REGISTER}.py").exists():
        yield None
        return
    command, quiet = [sys.executable, "-m", f"tasks.{REGISTER}", "--check"], subprocess.DEVNULL
    check = subprocess.Popen(command, cwd=root, env=stage_environment("", None), stdout=quiet, stderr=quiet)
    try:
        yield check
    finally:
        check.kill()
        check.wait()
