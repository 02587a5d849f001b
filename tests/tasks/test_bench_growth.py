"""The corpora that the benchmark of growth makes, its report, and that memory does not grow with them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ner.conll import parse_conll
from ner.corpus import distinct_sentences
from ner.errors import NerError
from tasks.bench_growth import STAGES, _with_ratios, bench, markdown, measured
from tasks.growth_corpus import letters, read_words, write_drawn, write_repeated

ROOT = Path(__file__).resolve().parents[2]
GROW = 40_000  # tokens; the larger one is twice as large


def read(folder: Path, name: str):
    return list(parse_conll((folder / name).read_bytes(), name))


def test_copies_have_the_tags_of_the_corpus_and_no_sentence_twice(prepared, mini_folder, tmp_path):
    write_repeated(read_words(prepared), tmp_path, 3)
    original, grown = read(mini_folder, "train.txt"), read(tmp_path, "train.txt")
    assert [row.tags for row in grown] == 3 * [row.tags for row in original]
    assert [row.tokens for row in grown[: len(original)]] == [row.tokens for row in original]
    first, second, third = (grown[i * len(original) : (i + 1) * len(original)] for i in range(3))
    assert distinct_sentences(row.tokens for row in second).isdisjoint(
        distinct_sentences(row.tokens for row in first + third)
    )
    assert grown[-1].document_id + 1 == 3 * (original[-1].document_id + 1)


def test_drawn_corpora_have_words_of_the_same_tags_and_the_size_that_was_asked_for(prepared, tmp_path):
    words = read_words(prepared)
    write_drawn(words, tmp_path, 3000)
    rows = {name: read(tmp_path, name) for name in ("train.txt", "valid.txt", "test.txt")}
    tokens = sum(len(row.tokens) for own in rows.values() for row in own)
    assert 3000 <= tokens < 3000 + sum(len(own.tokens) for own in words.values())
    known = {*zip(words["train"].tokens, words["train"].tags, strict=True)}
    drawn = ((token, " " + tag) for row in rows["train.txt"] for token, tag in zip(row.tokens, row.tags, strict=True))
    assert set(drawn) <= known


def test_every_copy_has_a_suffix_of_its_own():
    assert [letters(number) for number in (1, 25, 26, 27)] == ["b", "z", "ba", "bb"]
    assert len({letters(number) for number in range(1, 1000)}) == 999


def test_the_report_has_ratios_to_the_first_size():
    def one(size: int, seconds: float) -> dict:
        return {"size": size, "tokens": size * 100, "stages": {s: {"seconds": seconds, "peak_mb": 9} for s in STAGES}}

    first, second = _with_ratios([one(1, 10.0), one(4, 20.0)])
    assert first["stages"]["ingest"]["seconds_a_token_to_first"] == 1
    assert second["stages"]["ingest"]["seconds_a_token_to_first"] == 0.5
    machine = {"cpu": "c", "cores": 2, "threads": 2, "cores_busy_before": 0.0, "python": "3", "packages": {}}
    text = markdown({"machine": machine, "model": None, "sizes": [first, second]})
    assert "| 4 x | 400 | validate | 20.0 | 0.50 | 9 |" in text and "stand-in" in text


def test_the_peak_is_that_of_the_command_and_not_of_what_started_it(tmp_path):
    ours = bytearray(200 << 20)
    small = measured([sys.executable, "-c", "pass"], tmp_path, os.environ, "a command")
    large = measured([sys.executable, "-c", "bytearray(b'x' * (100 << 20))"], tmp_path, os.environ, "a command")
    assert len(ours) and small["peak_mb"] < 60 and large["peak_mb"] > 100
    with pytest.raises(NerError, match=r"a command failed .*status 3.*: out of luck"):
        measured([sys.executable, "-c", "print('out of luck'); exit(3)"], tmp_path, os.environ, "a command")


@pytest.mark.operations
@pytest.mark.slow
def test_the_benchmark_runs_every_stage_and_leaves_no_workspace(checkout, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout)
    params = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(params.replace("max_label_drift: 0.10", "max_label_drift: 0.9"))
    report = bench([1, 2], 3000, None, prepared, tmp_path / "scratch")
    assert [set(one["stages"]) for one in report["sizes"]] == [set(STAGES)] * 2
    assert report["sizes"][1]["tokens"] == 2 * report["sizes"][0]["tokens"]
    assert set(report["largest"]["stages"]) == {"ingest", "validate"} and report["largest"]["tokens"] >= 3000
    assert all(took["peak_mb"] > 10 for one in report["sizes"] for took in one["stages"].values())
    assert list((tmp_path / "scratch").iterdir()) == []


# ---- memory


INGEST = """
import sys, tracemalloc
from pathlib import Path
from ner import conll
from tasks import ingest, rows
from tasks.ingest import ingest_files
conll.BLOCK, rows.CHUNK_TOKENS, ingest.ROW_GROUP, ingest.PIECE = 1 << 14, 2000, 256, 64
folder = Path(sys.argv[1])
files = {"train": folder / "train.txt", "validation": folder / "valid.txt", "test": folder / "test.txt"}
tracemalloc.start()
ingest_files(files, folder / "prepared", source="grown")
print(tracemalloc.get_traced_memory()[1])
"""


def test_ingestion_of_twice_as_much_takes_no_more_memory(prepared, tmp_path):
    """By Python's own count of what it holds: a sentence list of 40,000 tokens is some 5 MB."""
    words, peaks = read_words(prepared), []
    for number in (1, 2):
        folder = tmp_path / str(number)
        write_drawn(words, folder, number * GROW)
        command = [sys.executable, "-c", INGEST, str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < 1.15 * peaks[0] + 500_000
