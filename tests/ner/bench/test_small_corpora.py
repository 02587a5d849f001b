"""The table of small corpora, on a tiny encoder: what is trained once, what is scored on test, and on which data."""

import csv
from pathlib import Path

import pytest

from ner.bench import small_corpora
from ner.bench.small_corpora import CHOSEN, HEAD, main
from ner.data.prepared import read_manifest, read_split
from ner.data.subset import first_of
from typed import call

CUT = {"train": 3, "validation": 2, "test": 2}
WRITTEN = [
    "--plain",
    "8,1",
    "--plain",
    "4,2",
    *(word for split, count in CUT.items() for word in (f"--{split}", str(count))),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory, trainable) -> Path:
    return trainable(tmp_path_factory.mktemp("small"), epochs=2.0, keep="auto")


@pytest.fixture(scope="module")
def rows(root):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        call(main, *WRITTEN)
        return read_rows(root)


def read_rows(root):
    with (root / small_corpora.CSV).open() as file:
        return list(csv.DictReader(file))


@pytest.mark.operations
def test_ours_and_the_best_plain_one_by_validation_are_scored_on_test_and_no_other_is(rows):
    assert [row["recipe"] for row in rows] and [*rows[0]] == HEAD
    assert {row["recipe"] for row in rows} == {
        CHOSEN,
        "plain Trainer, batch 8, 1 epochs",
        "plain Trainer, batch 4, 2 epochs",
    }
    plain = sorted((row for row in rows if row["recipe"] != CHOSEN), key=lambda row: float(row["validation F1"]))
    assert [bool(row["test F1"]) for row in plain].count(True) == 1
    scored = next(row for row in plain if row["test F1"])
    assert scored["validation F1"] == plain[-1]["validation F1"]
    ours = next(row for row in rows if row["recipe"] == CHOSEN)
    low, high = map(float, ours["95 % interval"].split(" to "))
    assert low <= float(ours["test F1"]) <= high and ours["epochs"] == "2" and int(ours["seconds"]) >= 0


@pytest.mark.operations
def test_what_has_a_row_is_not_trained_again_and_another_recipe_gets_a_row_without_test(root, rows, monkeypatch):
    monkeypatch.chdir(root)
    before = (root / small_corpora.CSV).read_bytes()
    with monkeypatch.context() as patch:
        for method in ("chosen", "plain"):
            patch.setattr(small_corpora.Cell, method, lambda *_: pytest.fail("trained again"))
        call(main, *WRITTEN)
    assert (root / small_corpora.CSV).read_bytes() == before
    call(main, *WRITTEN, "--but", "epochs=1.0", "--but", "case=as_encoder")
    added = read_rows(root)[-1]
    assert added["recipe"] == "chosen, but epochs=1.0, case=as_encoder" and added["epochs"] == "1"
    assert added["validation F1"] and not added["test F1"]


def test_the_first_documents_are_taken_and_the_first_sentences_where_none_is_known(prepared, tmp_path):
    part = first_of(prepared, tmp_path / "part", CUT)
    whole, first = read_split(prepared, "train"), read_split(part, "train")
    assert sorted({*first.document_ids}) == sorted({*whole.document_ids})[:3]
    assert (
        first.tokens == whole.tokens[: len(first.tokens)] and read_manifest(part)["splits"]["train"]["documents"] == 3
    )
    assert read_manifest(part)["fingerprint"] != read_manifest(prepared)["fingerprint"]
    assert read_split(first_of(prepared, tmp_path / "all", dict.fromkeys(CUT, 0)), "train") == whole
