"""The simulation's noise and windows on small data, and the page that shows what it measured."""

import json
from pathlib import Path

import numpy as np
import pytest

from tasks.monitor_noise import KINDS, STRENGTHS, noisy
from tasks.monitor_simulation import MARKS, Tally
from tasks.monitor_simulation_report import markdown, write_picture

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "reports" / "drift.json"


@pytest.mark.parametrize("kind", KINDS)
def test_noise_changes_the_share_of_tokens_that_it_is_asked_for_and_loses_none(kind):
    assert set(KINDS) == set(STRENGTHS)
    tokens = ["Rotterdam", "Ajax", "Helvion", "Oslo", "a"] * 400
    changed = noisy(tokens, kind, 0.3, np.random.default_rng(0))
    assert len(changed) == len(tokens) and all(token.strip() for token in changed)
    assert 0.15 < np.mean([one != other for one, other in zip(tokens, changed, strict=True)]) < 0.35


def test_a_rate_has_an_interval_that_knows_of_halvings_that_differ():
    alike, apart = Tally("sentence", 100, "validation", 0.0), Tally("sentence", 100, "validation", 0.0)
    for split in range(10):
        for number in range(10):
            alike.add(split, ["capitals"] if number == 0 else [])
            apart.add(split, ["capitals"] if split == 0 else [])
    ours, theirs = alike.told(), apart.told()
    assert ours["rate"] == theirs["rate"] == 0.1 and ours["alarms"] == 10 and ours["moved"] == {"capitals": 0.1}
    assert theirs["interval"][1] - theirs["interval"][0] > ours["interval"][1] - ours["interval"][0]


def test_the_page_shows_what_was_measured(tmp_path):
    if not REPORT.exists():
        pytest.skip("not measured yet")
    found = json.loads(REPORT.read_text(encoding="utf-8"))
    (shown,) = MARKS.findall((ROOT / "docs" / "drift.md").read_text(encoding="utf-8"))
    assert shown == markdown(found)
    write_picture(found, tmp_path / "drift.png")
    assert (tmp_path / "drift.png").read_bytes() == (ROOT / "reports" / "drift.png").read_bytes()
