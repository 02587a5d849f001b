"""The arithmetic of scale: what a ring sends, what workers take, and that the README has the present numbers."""

from pathlib import Path

import pytest

from ner.errors import NerError
from tasks.io import read_params
from tasks.scale import Run, compute_s, exchange_s, hiding_subwords, makespan_h, model_table, read_run, tables, written

ROOT = Path(__file__).resolve().parents[2]


def test_a_ring_sends_twice_the_gradients_but_for_its_own_share():
    assert exchange_s(1_000_000, 1, 4e6) == 0
    assert exchange_s(1_000_000, 2, 4e6) == pytest.approx(1.0)
    assert exchange_s(1_000_000, 8, 4e6) == pytest.approx(1.75)


def test_from_so_many_subwords_on_computing_takes_as_long_as_adding_up():
    enough = hiding_subwords(100_000_000, 8, 20e9, 1e14)
    exchange = exchange_s(100_000_000, 8, 20e9)
    assert compute_s(100_000_000, enough, 1e14) >= exchange > compute_s(100_000_000, enough - 1, 1e14)


def test_equal_trainings_end_in_waves_and_storage_grows_with_the_models():
    assert makespan_h(1000, 100, 30) == 5 and makespan_h(1001, 100, 30) == 5.5 and makespan_h(3, 100, 60) == 1
    run = Run(60, 1000, 1000, shared_size=10**9, own_size=10**8, registered_size=10**8, stages=13)
    assert model_table(run)[-1] == ["1,000", "1,000.0", "100.0", "10.0", "101.0 GB", "100.0 GB", "13,000"]


def test_the_tables_in_the_readme_are_those_of_the_committed_run():
    run = read_run(ROOT / "dvc.lock", ROOT / "reports/card.md")
    text = tables(run, read_params(ROOT / "params.yaml").train.batch_size)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert written(readme, text) == readme, "run `python -m tasks.scale --write`"


def test_a_card_without_its_numbers_is_said(tmp_path):
    (tmp_path / "card.md").write_text("nothing")
    with pytest.raises(NerError, match="no time or size of a training"):
        read_run(ROOT / "dvc.lock", tmp_path / "card.md")
