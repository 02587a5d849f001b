"""The benchmark of training on a tiny encoder: what is timed and counted, and that stage `train` itself takes part."""

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from ner.bench import training as bench_training
from ner.bench.training import NAMES, OURS, bench, main, markdown, measure
from ner.bench.training_contenders import Clock, labelled
from ner.common.files import read_params
from ner.data.conll import Sentence
from ner.data.prepared import read_manifest, read_split
from ner.data.sources.prepared_writer import to_table
from ner.data.subset import part_by_words
from ner.encoding.tokenizer import load_tokenizer
from ner.encoding.windows import IGNORED
from ner.errors import NerError
from typed import call

ROOT = Path(__file__).resolve().parents[3]
WORDS = 120


@pytest.fixture(scope="module")
def root(tmp_path_factory, trainable) -> Path:
    """A folder with what the benchmark reads: small batches, so that a few words are several steps."""
    return trainable(tmp_path_factory.mktemp("bench-training"), batch_size=32, dropped_layers=1, frozen_layers=0)


@pytest.fixture(scope="module")
def report(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_training, "WARM_UP", 0)
        patch.setattr(bench_training, "apart", measure)  # in this process: it would import everything anew each time
        return bench(root, NAMES, words=WORDS, rounds=2)


def test_every_contender_trains_on_the_same_words_and_has_a_ratio_to_the_plain_scripts(report):
    assert list(report["contenders"]) == list(NAMES)
    for entry in report["contenders"].values():
        assert entry["words_per_second"] > 0
        assert entry["ratio_to_batch_8"]["low"] <= entry["ratio_to_batch_8"]["median"]
    assert report["contenders"]["trainer, batch 8"]["ratio_to_batch_8"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert report["contenders"][OURS]["steps"] > 1 and report["words"] > 0


def test_the_table_has_a_row_for_each_and_says_on_what_it_was_measured(report):
    text = markdown(report)
    assert all(f"| {name} | " in text for name in NAMES) and report["machine"]["cpu"] in text
    loaded = {**report, "machine": {**report["machine"], "cores_busy_before": 99.0}}
    assert "idle machine" in markdown(loaded)


@pytest.mark.operations
def test_the_command_measures_each_in_a_process_of_its_own_and_writes_both_reports(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    # a model that another test has loaded brings its own `ner`, which the new process would find first
    monkeypatch.setattr("sys.path", [folder for folder in sys.path if "artifacts" not in folder])
    before = torch.get_num_threads()
    call(main, "--words", "1000", "--rounds", "1", "--contender", OURS)
    written = json.loads((root / "reports" / "bench" / "training.json").read_text())
    assert list(written["contenders"]) == [OURS] and torch.get_num_threads() == before
    assert (root / "reports" / "bench" / "training.md").read_text() in capsys.readouterr().out


def test_too_few_words_for_a_step_after_the_warm_up_are_refused(root, tmp_path):
    with pytest.raises(NerError, match="use more --words"):
        measure(root, root / "data" / "prepared", "trainer, batch 16", tmp_path / "work")


def test_a_part_has_about_so_many_words_of_whole_documents(root, tmp_path):
    whole = read_manifest(root / "data" / "prepared")["splits"]["train"]
    params = read_params(root / "params.yaml")
    part = part_by_words(root / "data" / "prepared", tmp_path / "part", {"train": whole["tokens"] // 2}, params, 42)
    assert 0 < read_manifest(part)["splits"]["train"]["documents"] < whole["documents"]
    assert read_split(part, "train").tokens


def test_a_plain_script_labels_the_first_subword_of_each_word(tiny_encoder, tmp_path):
    sentence = Sentence(0, ["Marta", "Okaforleft", "Okafor"], ["B-PER", "O", "I-PER"], 1)
    pq.write_table(to_table([sentence], ["O", "B-PER", "I-PER"]), tmp_path / "train.parquet")
    row = labelled(load_tokenizer(tiny_encoder), tmp_path / "train.parquet", tmp_path)[0]
    assert [label for label in row["labels"] if label != IGNORED] == [1, 0, 2]
    assert len(row["labels"]) == len(row["input_ids"]) > 5 and row["labels"][0] == row["labels"][-1] == IGNORED


def test_the_clock_counts_the_steps_after_the_warm_up():
    clock = Clock(warm_up=1)
    clock.on_train_begin(None, None, None)
    for _ in range(3):
        clock.on_step_end(None, None, Control())
    result = clock.result()
    assert result["steps"] == 2 and result["share_of_steps"] == pytest.approx(2 / 3) and result["seconds"] > 0


class Control:
    should_save = should_evaluate = True


def test_the_clock_lets_nothing_be_saved_or_evaluated_between_steps():
    clock, control = Clock(0), Control()
    clock.on_train_begin(None, None, None)
    clock.on_step_end(None, None, control)
    assert not control.should_save and not control.should_evaluate
