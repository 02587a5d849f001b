"""What README and the site quote is what docs/results says, and the site can be built."""

import json
import os
import re
import subprocess
import sys

import pytest

from docs.checks.freeze import ANSWERS, ROOT, TEXT
from document_commands import PAGES, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
METRICS = json.loads((ROOT / "docs" / "results" / "metrics.json").read_text(encoding="utf-8"))
MEASURES = ("precision", "recall", "f1", "accuracy")
SPLITS = ("validation", "test")
TERMS = """  what a user searches for
early stopping, gradient accumulation, gradient clipping, mixed precision, canary, threshold, active learning,
model card, learning rate schedule, quantization, hyperparameter, data-parallel, bootstrap, calibration, leakage,
rollback, drift, retention, confidence interval, error analysis"""


@pytest.mark.parametrize("split", SPLITS)
def test_the_results_in_the_readme(split):
    scores = METRICS[split]
    for name, row in ((split, scores), (f"{split}, each sentence alone", scores["sentence"])):
        assert f"| {name} | {' | '.join(f'{row[measure]:.4f}' for measure in MEASURES)} |" in README


def test_the_last_lines_of_make_train():
    shown = re.search(r"<!-- make-train: .*?-->\n(.*?)<!-- /make-train -->", README, re.DOTALL)[1]
    for split in SPLITS:
        numbers = [f"{METRICS[split][measure]:.4f}" for measure in MEASURES]
        assert re.search(rf"^{split} +{' +'.join(numbers)}$", shown, re.MULTILINE)
    low, high = METRICS["validation"]["interval"]["f1"]
    assert f"validation F1 {METRICS['validation']['f1']:.4f}, 95 % interval {low:.4f} to {high:.4f}" in shown


def test_answers_are_those_of_the_model():
    answer = json.loads(ANSWERS.read_text(encoding="utf-8"))
    shown = [json.loads(block) for page in PAGES for block in blocks(page.read_text(encoding="utf-8"), "json")]
    assert answer["text"] == TEXT and len(shown) == 3
    for block in shown:
        (row,) = block.get("predictions", [block])
        assert row["text"] == TEXT and len(row["entities"]) == len(answer["entities"])
        for entity, expected in zip(row["entities"], answer["entities"], strict=True):
            assert entity == {**expected, "score": pytest.approx(expected["score"], abs=1e-4)}


def test_the_site_is_built_with_every_table_and_no_dead_link(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert "generated: " not in "".join(page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html"))
    searched = (tmp_path / "search" / "search_index.json").read_text(encoding="utf-8").lower()
    assert [term for term in re.split(r",\s+", TERMS.partition("\n")[2]) if term not in searched] == []
