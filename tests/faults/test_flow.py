"""The flow of a toy pipeline: killed, stopped by an orchestrator, started twice, without its server, out of time."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.operations

FLOW = [sys.executable, "-m", "flows.train"]
FAKETIME = (os.environ.get("NER_FAKETIME", ""), "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


def everything_gone(processes) -> bool:
    import psutil

    _, alive = psutil.wait_procs(processes, timeout=15)
    return alive == []


def test_prefects_server_killed_in_mid_run_is_told_and_the_run_goes_on(
    held, prefect_server, start, tell, expected, results
):
    toy, environment, go = held
    server, api = prefect_server
    run = start(FLOW, toy, environment | {"PREFECT_API_URL": api})
    run.until(lambda: run.stage("train"))
    gone = server.kill()
    run.until(lambda: "does not answer: the stages go on" in run.text, within_s=600)
    go.touch()
    assert run.wait() == 0, run.text
    took = time.monotonic() - gone
    seconds, line = run.first("does not answer: the stages go on", gone)
    assert results(toy) == expected and "Traceback" not in run.text, run.text
    assert "train: Prefect's server was gone when the run ended" in run.text
    tell(
        fault="Prefect's server gone in mid-run",
        made="kill -9 of `prefect server` during stage train of `make train`",
        saw=line[line.index("Prefect's server") :],
        first_message_s=seconds,
        outcome=f"same bytes, exit status 0; the command ended {took:.0f} s after the server had gone",
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_flow_that_is_killed_or_stopped_leaves_no_process_and_goes_on(held, start, tell, expected, results, number):
    toy, environment, go = held
    run = start(FLOW, toy, environment)
    stage = run.until(lambda: run.stage("train"))
    family = run.descendants()
    at = run.kill(number)
    status = run.wait(120)
    assert everything_gone([stage, *family])
    assert status == (-9 if number == signal.SIGKILL else 143), run.text
    go.touch()
    again = start(FLOW, toy, environment)
    assert again.wait() == 0, again.text
    assert results(toy) == expected
    assert "didn't change" not in again.text and "toy.py ingest" not in again.text  # what was done is not done again
    if number == signal.SIGKILL:
        said, seconds = "the shell's `Killed`; the same command goes on", 0.0
    else:
        seconds, said = run.first("^train: stopped by SIGTERM", at)
    tell(
        fault="kill -9 of the whole flow" if number == signal.SIGKILL else "SIGTERM from an orchestrator",
        made="during stage train of `make train`; all its processes were gone within 15 s",
        saw=said,
        first_message_s=seconds,
        outcome="same bytes by the same command; the stages that were done were not run again",
    )


def test_two_runs_at_once_on_one_checkout_the_second_is_told_who_works(held, start, tell, expected, results):
    toy, environment, go = held
    first = start(FLOW, toy, environment)
    first.until(lambda: first.stage("train"))
    since = time.monotonic()
    second = start(FLOW, toy, environment)
    assert second.wait() == 1, second.text
    _, line = second.first("is at work on this checkout", since)
    go.touch()
    assert first.wait() == 0, first.text
    assert results(toy) == expected
    tell(
        fault="two runs at once on one checkout",
        made="`make train` while another one was at stage train",
        saw=line[line.index("flow run") :].removesuffix("')"),
        first_message_s=round(second.lines[-1][0] - since, 1),
        outcome="the second is refused with that sentence, status 1; the first ends with the same bytes",
    )


def test_a_stage_that_takes_too_long_is_ended_with_a_sentence(held, start, tell, set_params):
    toy, environment, _ = held
    set_params(limits={"stage_minutes": 20, "stage_minutes_of": {"train": 0.1}})
    run = start(FLOW, toy, environment)
    stage = run.until(lambda: run.stage("train"))
    began = time.monotonic()
    assert run.wait() == 1, run.text
    seconds, line = run.first("it took more than 0.1 min", began)
    assert everything_gone([stage]) and "Traceback" not in run.text
    tell(
        fault="a stage that hangs",
        made="stage train waits for ever, limits.stage_minutes_of: {train: 0.1}",
        saw=line[line.index("train: it took") :],
        first_message_s=seconds,
        outcome="refused with a sentence, status 1; no process is left",
    )


@pytest.mark.parametrize("jump", ["-1d", "+400d"])
def test_a_clock_that_jumps_changes_nothing(held, start, tell, expected, results, tmp_path, jump):
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
    tell(
        fault=f"a clock that jumps by {jump.replace('d', ' days')}",
        made="libfaketime under `make train` and its stages, during stage train",
        saw="nothing",
        first_message_s=0.0,
        outcome="same bytes; the next run finds every stage done",
    )
