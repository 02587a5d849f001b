import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ner.common import process
from ner.common.process import read_lines, stream
from waiting import until

SLEEPS = "import subprocess, sys; print('begun', flush=True); subprocess.run(['sleep', '300.25'])"


def sleepers() -> list[str]:
    listing = subprocess.run(["pgrep", "-f", "^sleep 300.25$"], capture_output=True, text=True)
    return listing.stdout.split()


def lines_of(text: bytes) -> list[str]:
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    try:
        return list(read_lines(reading))
    finally:
        os.close(reading)


def test_lines_come_without_colours_and_without_blank_ones():
    assert lines_of(b"\x1b[32mgreen\x1b[0m\n\nwin\r\nlast") == ["green", "win", "last"]


def test_of_a_bar_that_redraws_itself_one_line_is_kept_in_a_while():
    bar = b"".join(b"\r%d%%" % step for step in range(100)) + b"\r100%\n"
    assert lines_of(bar) == ["0%", "100%"]


def test_bytes_that_are_no_utf8_do_not_stop_a_run():
    assert lines_of("naïve\n".encode("latin-1")) == ["na\ufffdve"]


def test_status_and_output_are_those_of_the_command(tmp_path: Path):
    said: list[str] = []
    command = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(4)"]
    assert stream(command, tmp_path, os.environ, said.append) == 4
    assert sorted(said) == ["err", "out"]


def test_an_error_while_waiting_stops_the_whole_group(tmp_path: Path):
    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream([sys.executable, "-c", SLEEPS], tmp_path, os.environ, stop)
    assert sleepers() == []


def test_a_group_that_ignores_the_request_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "STOP_WAIT_S", 0.5)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPS

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream([sys.executable, "-c", deaf], tmp_path, os.environ, stop)
    assert sleepers() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_when_the_waiting_process_is_gone_nothing_is_left_running(tmp_path: Path, number: int, outside: dict[str, str]):
    waits = (
        "import os, sys; from ner.common.process import stream; "
        f"stream([sys.executable, '-c', {SLEEPS!r}], '.', os.environ, print)"
    )
    waiting = subprocess.Popen([sys.executable, "-uc", waits], cwd=tmp_path, env=outside, stdout=subprocess.PIPE)
    assert waiting.stdout and waiting.stdout.readline() == b"begun\n"
    waiting.send_signal(number)
    waiting.wait()
    waiting.stdout.close()
    until(lambda: not sleepers())


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path):
    with pytest.raises(process.OutOfTime, match=r"took more than 3 s and was ended"):
        stream([sys.executable, "-c", SLEEPS], tmp_path, os.environ, lambda line: None, within_s=3)
    assert sleepers() == []
