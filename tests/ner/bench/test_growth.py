"""The corpora that the benchmark of growth makes, its report, and that memory does not grow with them."""

import subprocess
import sys
from pathlib import Path

import pytest

from ner.bench.growth import STAGES, _with_ratios, bench, markdown, measured, write_repeated
from ner.data.fingerprint import distinct_sentences
from ner.data.formats.columns import read_strict
from ner.errors import NerError
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[3]
TIMES = 100  # the mini corpus; the larger one is twice as large


def read(folder: Path, name: str):
    return list(read_strict(folder / name))


def test_copies_have_the_tags_of_the_corpus_and_no_sentence_twice(prepared, mini_folder, tmp_path):
    write_repeated(prepared, tmp_path, 3)
    original, grown = read(mini_folder, "train.txt"), read(tmp_path, "train.txt")
    assert [row.tags for row in grown] == 3 * [row.tags for row in original]
    assert [row.tokens for row in grown[: len(original)]] == [row.tokens for row in original]
    first, second, third = (grown[i * len(original) : (i + 1) * len(original)] for i in range(3))
    assert distinct_sentences(row.tokens for row in second).isdisjoint(
        distinct_sentences(row.tokens for row in first + third)
    )
    assert grown[-1].document_id + 1 == 3 * (original[-1].document_id + 1)


def test_the_report_has_ratios_to_the_first_size():
    def one(size: int, seconds: float) -> dict:
        return {"size": size, "tokens": size * 100, "stages": {s: {"seconds": seconds, "peak_mb": 9} for s in STAGES}}

    first, second = _with_ratios([one(1, 10.0), one(4, 20.0)])
    assert first["stages"]["ingest"]["seconds_a_token_to_first"] == 1
    assert second["stages"]["ingest"]["seconds_a_token_to_first"] == 0.5
    machine = {"cpu": "c", "cores": 2, "threads": 2, "cores_busy_before": 0.0, "python": "3", "packages": {}}
    text = markdown({"machine": machine, "model": None, "sizes": [first, second]})
    assert "| 4 x | 400 | validate | 20.0 | 0.50 | 9 |" in text and "stand-in" in text


def test_a_stage_that_fails_is_named_with_its_last_words(tmp_path):
    with pytest.raises(NerError, match=r"stage ingest failed on the grown corpus \(status 1\): ingest: .*params.yaml"):
        measured("ingest", tmp_path)


@pytest.mark.operations
@pytest.mark.slow
def test_the_benchmark_runs_every_stage_and_leaves_no_workspace(checkout, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(checkout)
    params = (checkout / "params.yaml").read_text()
    (checkout / "params.yaml").write_text(params.replace("max_label_drift: 0.10", "max_label_drift: 0.9"))
    report = bench([1, 2], None, prepared, tmp_path / "scratch")
    assert [set(one["stages"]) for one in report["sizes"]] == [set(STAGES)] * 2
    assert report["sizes"][1]["tokens"] == 2 * report["sizes"][0]["tokens"]
    assert all(took["peak_mb"] > 10 for one in report["sizes"] for took in one["stages"].values())
    assert list((tmp_path / "scratch").iterdir()) == []


# ---- memory


INGEST = """
import sys, tracemalloc
from pathlib import Path
from ner.data.sources import prepared_writer
from ner.data.sources.prepared_writer import ingest_files
from ner.data.formats import text_files as lines
from ner.data.sources import sentence_store as rows
lines.PIECE, rows.CHUNK_TOKENS = 1 << 14, 2000
prepared_writer.ROW_GROUP, prepared_writer.PIECE = 256, 64
folder = Path(sys.argv[1])
files = {"train": folder / "train.txt", "validation": folder / "valid.txt", "test": folder / "test.txt"}
tracemalloc.start()
ingest_files(files, folder / "prepared", source="grown")
print(tracemalloc.get_traced_memory()[1])
"""


def test_ingestion_of_twice_as_much_takes_no_more_memory(prepared, tmp_path):
    """By Python's own count of what it holds: a sentence list of 40,000 tokens is some 5 MB."""
    peaks = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        write_repeated(prepared, folder, number * TIMES)
        command = [sys.executable, "-c", INGEST, str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < 1.15 * peaks[0] + 500_000
