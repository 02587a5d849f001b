"""The command line: every command is there with its options; what goes wrong is one sentence and a status."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ner.__main__ import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
HEAVY = "torch transformers datasets mlflow great_expectations dask spacy matplotlib scipy.stats prefect.flows".split()


def ner(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    seen = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "ner", *arguments], cwd=cwd, env=seen, capture_output=True, text=True, timeout=300
    )


def test_help_lists_every_command_that_a_user_calls_and_loads_none():
    code = (
        "import sys\nfrom ner.__main__ import app\ntry: app(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert {name for name, program in PROGRAMS.items() if program.panel and f" {name} " not in done.stdout} == set()
    assert (
        set(done.stderr.split()) & {*HEAVY, "prefect", *(p.function.split(":")[0] for p in PROGRAMS.values())} == set()
    )


HELP = """\
import pytest

from ner.__main__ import PROGRAMS, app
for name in PROGRAMS:
    try:
        app([name, "--help"], prog_name="ner")
    except SystemExit as end:
        print(name, end.code)
"""


def test_every_command_says_what_it_takes():
    done = subprocess.run([sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [
        name for name in PROGRAMS if f"Usage: ner {name} " not in done.stdout or f"{name} 0\n" not in done.stdout
    ] == []


def test_a_wrong_command_or_option_is_answered_with_the_right_one_and_status_2(tmp_path):
    for arguments, said in (
        (["compar"], "Did you mean 'compare'?"),
        (["batch", "--max-char=3"], "Possible options: --max-chars"),
    ):
        done = ner(*arguments, cwd=tmp_path)
        assert done.returncode == 2 and said in " ".join(done.stderr.split())
    assert ner("batch", cwd=tmp_path).returncode == 2


def test_make_without_its_variable_says_which_is_missing(tmp_path):
    done = ner("new-data", "", cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.endswith("ner new-data PATH, or make new-data FROM=path.\n")


def test_an_error_is_one_sentence_with_its_status(tmp_path):
    done = ner("corrections", "export.json", "local/corrected", cwd=tmp_path)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == (
        "corrections: export.json is not here: export the annotated tasks from the tool, as JSON or JSONL.\n"
    )


def test_ctrl_c_ends_with_a_sentence_and_status_130(tmp_path):
    code = (
        "import signal, sys, time\nfrom ner.__main__ import PROGRAMS, Program, app\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "def wait() -> None:\n print('waiting', flush=True)\n time.sleep(600)\n"
        "PROGRAMS['compare'] = Program('', '__main__:wait', '')\napp(['compare'])"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=-1, stderr=-1, text=True)
    assert child.stdout.readline() == "waiting\n"
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=300)
    assert child.returncode == 130 and said == "compare: stopped by Ctrl-C; run the same command again to go on.\n"


@pytest.mark.parametrize(("stage", "old"), [("register", "--reproduce"), ("gate", "--explain")])
def test_a_stage_that_is_asked_as_in_an_older_card_does_nothing_and_names_the_command(tmp_path, stage, old):
    done = subprocess.run(
        [sys.executable, "-m", f"tasks.{stage}", old, "ner/1"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and done.stderr.startswith(f"{stage}: takes no {old}: `ner reproduce`")
    assert list(tmp_path.iterdir()) == []
