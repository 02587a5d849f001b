"""Ingestion reads a file in pieces: a larger corpus takes more time, not more memory."""

import subprocess
import sys
from pathlib import Path

from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[4]
TIMES = 100  # the mini corpus; the larger one is twice as large
INGEST = """
import sys, tracemalloc
from pathlib import Path
sys.path.append("tests/shared")
from ingestion import ingest_files
from ner.data.sources import prepared_writer
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


def test_ingestion_of_twice_as_much_takes_no_more_memory(mini_folder, tmp_path):
    """By Python's own count of what it holds: a sentence list of 40,000 tokens is some 5 MB."""
    peaks = []
    for times in (TIMES, 2 * TIMES):
        folder = tmp_path / str(times)
        folder.mkdir()
        for name in ("train.txt", "valid.txt", "test.txt"):
            (folder / name).write_text((mini_folder / name).read_text(encoding="utf-8") * times, encoding="utf-8")
        command = [sys.executable, "-c", INGEST, str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < 1.15 * peaks[0] + 500_000
