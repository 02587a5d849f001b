import shutil

import pytest

from flows.runtime.dvc_graph import Stage, maker_of, read_graph, up_to, why_changed
from ner.errors import NerError, ParamsError


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


def test_a_run_may_end_with_a_stage_and_does_what_that_needs():
    stages = read_graph_of(
        {"ingest": (), "base": (), "train": ("base", "ingest"), "seeds": ("base",), "gate": ("train",)}
    )
    assert [stage.name for stage in up_to(stages, "train")] == ["ingest", "base", "train"]
    assert up_to(stages, None) == stages
    with pytest.raises(ParamsError, match="until is 'trian'.* it has ingest, base"):
        up_to(stages, "trian")


def read_graph_of(needs):
    return [Stage(name, name, of, (), ()) for name, of in needs.items()]
