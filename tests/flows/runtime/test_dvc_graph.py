import shutil

import pytest

from flows.runtime.dvc_graph import maker_of, read_graph, why_changed
from ner.errors import NerError


def test_stages_and_their_needs_come_from_dvc_yaml_in_an_order_that_can_run(toy):
    stages = read_graph(toy)
    assert [stage.name for stage in stages] == ["ingest", "base", "train", "evaluate", "gate", "register"]
    by_name = {stage.name: stage for stage in stages}
    assert set(by_name["train"].needs) == {"ingest", "base"}
    assert by_name["train"].description == "A model from corpus and encoder"
    assert maker_of(stages, "reports/gate.json") == "gate"
    assert maker_of(stages, "nobody.txt") is None


def test_dvc_says_why_a_stage_is_to_run(toy):
    assert "corpus.txt deleted" in why_changed(toy, "ingest")


def test_a_checkout_without_git_is_told_how_to_get_one(toy):
    shutil.rmtree(toy / ".git")
    with pytest.raises(NerError, match="is not a git repository: clone it with git, or make it .*core.no_scm"):
        read_graph(toy)
