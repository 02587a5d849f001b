"""The flow of a toy pipeline: killed, stopped by an orchestrator, started twice, without its server, out of time."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.operations

FLOW = [sys.executable, "-m", "ner", "train"]
FAKETIME = (os.environ.get("NER_FAKETIME", ""), "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


def everything_gone(processes) -> bool:
    import psutil

    _, alive = psutil.wait_procs(processes, timeout=15)
    return alive == []


def test_prefects_server_killed_in_mid_run_ends_no_run(held, prefect_server, start, expected, results):
    toy, environment, go = held
    server, api = prefect_server
    run = start(FLOW, toy, environment | {"PREFECT_API_URL": api})
    run.until(lambda: run.stage("train"))
    server.kill()
    go.touch()
    assert run.wait() == 0, run.text
    assert results(toy) == expected, run.text
    assert "train: Prefect's server was gone when the run ended" in run.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_flow_that_is_killed_or_stopped_leaves_no_process_and_goes_on(held, start, expected, results, number):
    toy, environment, go = held
    run = start(FLOW, toy, environment)
    stage = run.until(lambda: run.stage("train"))
    family = run.descendants()
    at = run.kill(number)
    status = run.wait()
    assert everything_gone([stage, *family])
    assert status == (-9 if number == signal.SIGKILL else 143), run.text
    go.touch()
    again = start(FLOW, toy, environment)
    assert again.wait() == 0, again.text
    assert results(toy) == expected
    assert "didn't change" not in again.text and "toy.py ingest" not in again.text  # what was done is not done again
    if number == signal.SIGTERM:
        run.first("^train: stopped by SIGTERM", at)


def test_two_runs_at_once_on_one_checkout_the_second_is_told_who_works(held, start, expected, results):
    toy, environment, go = held
    first = start(FLOW, toy, environment)
    first.until(lambda: first.stage("train"))
    since = time.monotonic()
    second = start(FLOW, toy, environment)
    assert second.wait() == 1, second.text
    second.first("is at work on this checkout", since)
    go.touch()
    assert first.wait() == 0, first.text
    assert results(toy) == expected


def test_a_stage_that_takes_too_long_is_ended_with_a_sentence(held, start, set_params):
    toy, environment, _ = held
    set_params(limits={"stage_minutes": 20, "stage_minutes_of": {"train": 0.1}})
    run = start(FLOW, toy, environment)
    stage = run.until(lambda: run.stage("train"))
    began = time.monotonic()
    assert run.wait() == 1, run.text
    run.first("it took more than 0.1 min", began)
    assert everything_gone([stage]) and "Traceback" not in run.text


@pytest.mark.parametrize("jump", ["-1d", "+400d"])
def test_a_clock_that_jumps_changes_nothing(held, start, expected, results, tmp_path, jump):
    library = next((path for path in FAKETIME if Path(path).exists()), None)
    if library is None:
        pytest.skip("libfaketime is not installed: apt install libfaketime, or name it in NER_FAKETIME")
    toy, environment, go = held
    clock = tmp_path / "clock"
    clock.write_text("+0\n")
    environment |= {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    environment |= {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}  # it is monotonic by its promise
    run = start(FLOW, toy, environment)
    run.until(lambda: run.stage("train"))
    clock.write_text(f"{jump}\n")
    go.touch()
    assert run.wait() == 0, run.text
    assert results(toy) == expected and "Traceback" not in run.text
    again = start(FLOW, toy, environment)
    assert again.wait() == 0 and "Running stage" not in again.text, again.text
