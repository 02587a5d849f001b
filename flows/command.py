"""The command behind `make train`: the flow in this process, its log on the terminal, a short table at the end."""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, temporary_settings

from flows import json_log, overrides
from flows.record import Record, load_record
from flows.summary import render
from ner.errors import NerError

STARTUP_TIMEOUT_S = 120  # Prefect's own limit of 20 s is too short while its database is made
CTRL_C = 130
NO_SERVER = (
    "Prefect's server cannot be reached ({error}), so there was no run: start it with `make up`, or unset "
    "PREFECT_API_URL to have a temporary one, then run the same command again."
)
UNHEARD = (
    "Prefect's server was gone when the run ended, so it is shown there as running; what follows is its end, and what "
    "it made is in its place."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the flow `ner` and return the exit status: 0, 1, 3 (validation failed), 4 (gate failed) or 130 (Ctrl-C)."""
    parser = argparse.ArgumentParser(prog="python -m flows.train", description="Run every stage that has changed.")
    parser.add_argument("--set", action="append", default=[], metavar="BLOCK.KEY=VALUE", dest="settings",
                        help="a parameter of this run only, for example --set train.epochs=1")  # fmt: skip
    signal.signal(signal.SIGTERM, _end)  # Python's own handler would leave the temporary server behind
    try:
        json_log.use()
        changes = overrides.parse_settings(parser.parse_args(arguments).settings)
        overrides.apply(Path.cwd(), changes)
        return run_here(changes)
    except NerError as error:
        print(f"train: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("train: stopped; run the same command again to go on.", file=sys.stderr)
        return CTRL_C


def run_here(changes: overrides.Changes) -> int:
    """Run the flow in this process, print its summary, and return its exit status."""
    from flows.train import ner

    root = Path.cwd()
    Record.last = None
    try:
        with reachable_server():
            state = ner(**changes, return_state=True)
    except (httpx.HTTPError, RuntimeError) as error:  # the second is how Prefect says that its server did not start
        record = Record.last
        if record is None:
            raise NerError(NO_SERVER.format(error=" ".join(str(error).split()) or type(error).__name__)) from None
        print(f"train: {UNHEARD}", file=sys.stderr, flush=True)
    else:
        record = load_record(root, str(state.state_details.flow_run_id))
        if record is None:
            raise NerError(f"the flow run ended as {state.name}: {state.message}")
    if record.outcomes:
        print("\n" + render(record, root) + "\n", flush=True)
    if record.sentence:
        print(record.sentence, file=sys.stderr)
    return record.exit_status


def reachable_server() -> AbstractContextManager[Any]:
    """Settings under which there is a Prefect server: the configured one if it answers, else a temporary one."""
    url = PREFECT_API_URL.value()
    if url and _answers(url):
        return temporary_settings()
    if url:
        print(f"train: no Prefect server answers at {url}; using a temporary one.", file=sys.stderr)
    limit = {PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: STARTUP_TIMEOUT_S}
    return temporary_settings(updates=limit, restore_defaults={PREFECT_API_URL})


def _end(number: int, _frame: Any) -> None:
    print("train: stopped by SIGTERM; run the same command again to go on.", file=sys.stderr, flush=True)
    raise SystemExit(128 + number)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).is_success
    except httpx.HTTPError:
        return False
