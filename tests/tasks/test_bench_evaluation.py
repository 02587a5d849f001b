"""The benchmark of evaluation on a tiny model: both read the same words, and find the same."""

import json
import shutil
from pathlib import Path

import pytest

from ner.errors import NerError
from tasks.bench_evaluation import ALONE, DOCUMENTS, LOOP, bench, draw, load, main, markdown, part_of_round

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory, tiny_model, prepared) -> Path:
    folder = tmp_path_factory.mktemp("bench-evaluation")
    shutil.copytree(prepared, folder / "data" / "prepared")
    shutil.copytree(tiny_model, folder / "models" / "ner")
    text = (ROOT / "params.yaml").read_text().replace("max_length: 128", "max_length: 32")
    (folder / "params.yaml").write_text(text.replace("precision: auto", "precision: fp32"))
    return folder


def test_the_loop_and_stage_predict_read_the_same_words_and_are_compared(root):
    report = bench(root, words=10_000, rounds=2)
    assert list(report["contenders"]) == [LOOP, DOCUMENTS, ALONE]
    assert report["contenders"][LOOP]["ratio"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert all(entry["words_per_second"] > 0 for entry in report["contenders"].values())
    text = markdown(report)
    assert f"| {DOCUMENTS} | " in text and f"{report['words']:,} words" in text and report["machine"]["cpu"] in text


def test_the_loop_finds_what_stage_predict_finds_in_sentences_alone(root):
    split = draw(root, 10_000)
    short = [tokens for tokens in split.tokens if len(tokens) < 9]  # which fit into a window of this model
    contenders = load(root)
    assert contenders[LOOP](short, []) == contenders[ALONE](short, []) and len(short) > 2


def test_a_round_has_whole_documents_and_no_more_rounds_than_there_are(root):
    split = draw(root, 10_000)
    parts = [part_of_round(split, number, 2) for number in range(2)]
    assert set(parts[0].document_ids).isdisjoint(parts[1].document_ids)
    assert sum(len(part.tokens) for part in parts) == len(split.tokens)
    with pytest.raises(NerError, match="another --rounds"):
        part_of_round(split, 0, 1000)


def test_the_command_writes_both_reports(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.argv", ["bench_evaluation", "--words", "60", "--rounds", "1"])
    main()
    assert json.loads((root / "reports" / "bench" / "evaluation.json").read_text())["rounds"] == 1
    assert (root / "reports" / "bench" / "evaluation.md").read_text() in capsys.readouterr().out
