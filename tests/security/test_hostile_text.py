"""Text that means harm is harmless wherever people look: here what no other test has.

The pages have theirs: the report (tests/ner/report/test_report_page.py), comparisons
(tests/ner/registry/comparison/test_compare.py), Data
Docs (tests/tasks/test_validate.py), the served page (tests/ner/serving/test_page.py), the model card, which is
MLflow's description too (tests/ner/card/test_card.py).
"""

import csv
import io
import json
import subprocess
import sys
import tempfile

import pandas as pd
import pytest

from flows.runtime import artifacts
from flows.runtime.dvc_graph import Stage
from flows.runtime.run_record import GATE, METRICS, VALIDATION, Record
from flows.runtime.run_stage import RAN, Outcome
from ner.common.escaping import FORMULA, LONGEST_CELL, in_markdown, in_spreadsheet
from ner.common.process import LONGEST, read_lines
from ner.report.analysis import issues_csv
from ner.report.label_issues import COLUMNS, PLACE

HTML = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</td></tr></table>", "<!--", "]]>"]
FORMULAS = ['=HYPERLINK("http://example.org","x")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", "\r=1"]
MARKDOWN = ["[x](javascript:alert(1))", "![x](http://example.org/x.png)", "| a | b |", "`x`", "http://example.org"]
TERMINAL = ["\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]8;;http://example.org\x1b\\x", "\x07\x08\x00", "\x9b2J", "a\rb"]
DIRECTION = ["\u202egnp.exe", "\u2066a\u2069", "a\u200bb", "\ufeff"]
MEGABYTE = "a" * (1 << 20)
HOSTILE = [*HTML, *FORMULAS, *MARKDOWN, *TERMINAL, *DIRECTION]
ACTS = set("\x00\x07\x08\x1b\x9b\r\u202e\u2066\u2069\u200b\ufeff")  # on a terminal, or on what is read


@pytest.mark.parametrize("text", [*HOSTILE, MEGABYTE])
def test_no_cell_of_a_spreadsheet_is_a_formula_or_hides_anything(text):
    table = pd.DataFrame([{name: 0 for name in (*COLUMNS, *PLACE)} | {"text": text, "sentence": f"{text} Oslo"}])
    written = issues_csv(table)
    (row,) = csv.DictReader(io.StringIO(written))
    for cell in (row["text"], row["sentence"]):
        assert not cell.startswith(FORMULA) and not ACTS & set(cell) and len(cell) < 32_767
    assert in_spreadsheet("Oslo, U.S.") == "Oslo, U.S."
    assert len(in_spreadsheet(MEGABYTE)) < LONGEST_CELL + 50


def lines_of(text: str) -> list[str]:
    with tempfile.TemporaryFile() as file:
        file.write(text.encode())
        file.seek(0)
        return list(read_lines(file.fileno()))


@pytest.mark.parametrize("text", [*TERMINAL, *DIRECTION])
def test_a_line_of_a_stage_does_nothing_to_the_terminal_or_the_log(text):
    assert not ACTS & set("".join(lines_of(f"before {text} after\n")))


def test_a_line_of_a_megabyte_is_cut_and_says_so():
    (line,) = lines_of(MEGABYTE)
    assert len(line) < LONGEST + 50 and line.endswith("… (1,048,576 characters)")


def test_a_stages_own_sentence_does_nothing_to_the_terminal():
    code = "from ner.errors import NerError; from ner.common.cli import run_stage\n"
    code += (
        "def main(): raise NerError('train.txt:3: token \\x1b[2J\\x1b]0;x\\x07\\u202e')\nrun_stage('validate', main)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and not ACTS & set(done.stderr) and r"token \x1b[2J\x1b]0;x\x07\u202e" in done.stderr


@pytest.mark.parametrize("text", HOSTILE)
def test_prefect_shows_text_of_the_corpus_as_text(text, tmp_path, monkeypatch):
    """Every artifact of a run, with that text as a tag's type, a found value, a reason and the run's sentence."""
    told: list[str] = []
    for name in ("create_markdown_artifact", "create_table_artifact", "create_image_artifact"):
        monkeypatch.setattr(artifacts, name, lambda content, **about: told.append(json.dumps(content)))
    entry = {"name": f"tags {text}", "observed": text, "passed": False}
    split = {"passed": False, "file": text, "held": 1, "expectations": 2, "tables": {"tokens": [entry]}}
    scores = {"f1": 0.5, "per_type": {text: {"f1": 0.5, "support": 1}}}
    rule = {"rule": "min_f1", "threshold": 0.9, "value": 0.5, "passed": False, "reason": f"F1 of {text} is 0.5"}
    reports = {
        VALIDATION: {"passed": False, "splits": {"train": split}},
        METRICS: {"validation": scores, "test": scores},
        GATE: {"passed": False, "rules": [rule], "split": "validation"},
    }
    (tmp_path / "reports").mkdir()
    for path, content in reports.items():
        (tmp_path / path).write_text(json.dumps(content))
    stages = [Stage(str(path), str(path), (), (), (path,)) for path in reports]
    outcomes = {str(path): Outcome(RAN, "It ran.") for path in reports}
    record = Record("1", tmp_path, 0.0, stages=stages, outcomes=outcomes)
    record.sentence = f"validate: token {text} is in no set"
    artifacts.publish(record)
    contents = [json.loads(one) for one in told]
    shown = "\n".join(
        one if isinstance(one, str) else "\n".join(str(v) for row in one for v in row.values()) for one in contents
    )
    assert len(told) >= 5 and not ACTS & set(shown)
    if in_markdown(text) != text:
        assert in_markdown(text) in shown and text not in shown.replace(in_markdown(text), "")
