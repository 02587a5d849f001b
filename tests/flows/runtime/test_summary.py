"""The last lines of `make train` say what to do next."""

from pathlib import Path

import pytest

from flows.runtime.dvc_graph import Stage
from flows.runtime.run_record import REGISTRATION, Record
from flows.runtime.run_stage import RAN, Outcome
from flows.runtime.summary import render
from ner.common.files import write_json

README = Path(__file__).resolve().parents[3] / "README.md"


@pytest.fixture
def ended(tmp_path):
    """ended(version) gives the last lines of a run that registered that version, or none."""

    def lines(version: str | None) -> str:
        write_json(tmp_path / REGISTRATION, {"model": "ner", "version": version, "alias": "challenger"})
        record = Record(flow_run_id="0", folder=tmp_path, started=0.0)
        record.stages = [Stage(name="register", description="", needs=(), deps=(), outs=(REGISTRATION,))]
        record.outcomes["register"] = Outcome(RAN, "")
        return render(record, tmp_path).partition("Next ")[2]

    return lines


def test_a_registered_model_is_promoted_served_and_asked_next_as_the_first_screen_shows(ended):
    said = ended("1")
    assert "alias champion" in said and "ner serve --model ner/1" in said and f"Next {said}" in README.read_text()
    first_screen = README.read_text().partition("make train ")[2][:900]
    assert all(command in first_screen for command in ("make up", "make serve", "/invocations"))


def test_without_a_version_there_is_nothing_to_promote(ended):
    assert "make up" in ended(None) and "make serve" not in ended(None)
