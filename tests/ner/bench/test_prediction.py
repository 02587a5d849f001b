"""The benchmark of prediction on a tiny model: who takes part, what is compared, what is written."""

import json
import shutil
from pathlib import Path

import pytest

from ner.bench.contenders import CORE, NAMES, PIPELINE, PIPELINE_32, gold, pipeline, places
from ner.bench.prediction import agreement, bench, draw, f1, main, markdown
from ner.common.files import read_params
from ner.data.prepared import read_manifest
from ner.errors import NerError
from ner.inference.tagger import Tagger
from typed import call

ROOT = Path(__file__).resolve().parents[3]
PARAMS = read_params(ROOT / "tests/data/params.yaml")
TOKENS, TAGS = ["Marta", "Okafor", "left", "U.S.", "."], ["B-PER", "I-PER", "O", "B-LOC", "O"]


@pytest.fixture(scope="module")
def root(tmp_path_factory, untrained, prepared) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    shutil.copytree(prepared, folder / "data" / "prepared")
    untrained(folder / "models" / "release", read_manifest(prepared)["labels"], max_length=64)
    return folder


@pytest.fixture(scope="module")
def report(root):
    return bench(root, NAMES, sentences=6, rounds=2)


def test_every_contender_reads_the_same_words_and_has_a_ratio_to_the_pipeline(report):
    assert list(report["contenders"]) == list(NAMES)
    for entry in report["contenders"].values():
        assert entry["words_per_second"] > 0
        low, median, high = (entry["ratio"][key] for key in ("low", "median", "high"))
        assert 0 < low <= median <= high
    assert report["contenders"][PIPELINE]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert report["subwords"] > report["words"] > report["sentences"] == 6


def test_batches_and_formats_change_no_entity(report):
    """The core and the pipeline differ where the best tags are no valid sequence, as often with random weights."""
    for names, key in (((PIPELINE, PIPELINE_32), "same_as_pipeline"), ((CORE, "core onnx"), "same_as_core")):
        for name in names:
            assert report["contenders"][name][key] == 1.0
            assert report["contenders"][name]["f1"] == report["contenders"][names[0]]["f1"]


def test_without_the_rule_of_valid_tags_the_core_finds_what_the_pipeline_finds(root):
    tagger = Tagger.load(root / "models" / "release")
    sentences, _ = draw(root / "data" / "prepared", 6)
    best = [[tagger.labels[tag] for tag in rows.argmax(-1)] for rows in tagger.logits(sentences)]
    greedy = [gold(tokens, tags) for tokens, tags in zip(sentences, best, strict=True)]
    assert pipeline(tagger)(sentences) == greedy and any(greedy)


def test_the_table_has_a_row_for_each_and_says_on_what_it_was_measured(report):
    text = markdown(report)
    assert all(f"| {name} | " in text for name in NAMES)
    assert report["machine"]["cpu"] in text and "2 rounds" in text and "torch" in text


def test_a_busy_machine_is_told(report):
    idle, loaded = ({**report, "machine": {**report["machine"], "cores_busy_before": load}} for load in (0.0, 99.0))
    assert "idle machine" not in markdown(idle) and "idle machine" in markdown(loaded)


def test_the_command_writes_both_reports(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    arguments = ["--sentences", "4", "--rounds", "1", "--contender", PIPELINE, "--contender", CORE]
    call(main, *arguments)
    written = json.loads((root / "reports" / "bench" / "prediction.json").read_text())
    assert list(written["contenders"]) == [PIPELINE, CORE]
    assert (root / "reports" / "bench" / "prediction.md").read_text() in capsys.readouterr().out


def test_more_rounds_than_sentences_are_refused(root):
    with pytest.raises(NerError, match="another --rounds"):
        bench(root, [CORE], sentences=3, rounds=4)


def test_entities_are_places_in_the_tokens_with_a_space_between():
    assert places(TOKENS) == [(0, 5), (6, 12), (13, 17), (18, 22), (23, 24)]
    assert gold(TOKENS, TAGS) == {(0, 12, "PER"), (18, 22, "LOC")}


def test_scores_are_of_place_and_type():
    one, other = {(0, 5, "PER"), (6, 9, "LOC")}, {(0, 5, "PER"), (6, 9, "ORG")}
    assert f1([one], [other]) == 0.5 and f1([one], [one]) == 1.0 and f1([set()], [set()]) == 0.0
    assert agreement([one], [other]) == pytest.approx(1 / 3) and agreement([set()], [set()]) == 1.0
