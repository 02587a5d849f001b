"""A run is called by what it is of, unless somebody has called it otherwise."""

import re

import pytest

from flows.runtime.names import LONGEST, dated, run_name

RUNTIME_NAME = "PREFECT__RUNTIME__FLOW_RUN__NAME"  # by which Prefect lets a test say what the run is called


@pytest.mark.parametrize("made_up", ["brave-otter", "theta5-corvi-h", "rho4-barazinbar"])
def test_a_name_that_prefect_made_up_gives_way(monkeypatch, made_up):
    monkeypatch.setenv(RUNTIME_NAME, made_up)
    assert re.fullmatch(r"conll2003, mpnet, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", run_name("conll2003, mpnet"))


@pytest.mark.parametrize("chosen", ["Weekly", "three epochs", "try_2", "conll2003, mpnet, 2026-11-30 21:03:35"])
def test_a_name_that_somebody_chose_stays(monkeypatch, chosen):
    monkeypatch.setenv(RUNTIME_NAME, chosen)
    assert run_name("conll2003, mpnet") == chosen


def test_many_changes_make_no_endless_name():
    assert len(dated("x" * 1000)) < LONGEST + 30
