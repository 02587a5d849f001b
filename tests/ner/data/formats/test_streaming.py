"""Files are read piece by piece: memory does not grow with them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import sys, tracemalloc
from pathlib import Path
from ner.data.formats import Report, read, recognise
path, steps = Path(sys.argv[1]), []
list(read(Path(sys.argv[2]), recognise(Path(sys.argv[2])).format))  # what is imported and cached is not the file's
tracemalloc.start()
found = recognise(path)
report = Report()
for _ in read(path, found.format, report, lambda done, total: steps.append((done, total))):
    pass
assert steps == sorted(steps) and steps[-1] == (path.stat().st_size,) * 2
print(report.documents, tracemalloc.get_traced_memory()[1])
"""
SENTENCE = ["Ilse", "Brandt", "left", "Oslo", "."] * 5
TAGS = ["B-PER", "I-PER", "O", "B-LOC", "O"] * 5


def content(kind: str) -> str:
    columns = "".join(f"{token} {tag}\n" for token, tag in zip(SENTENCE, TAGS, strict=True))
    record = json.dumps({"tokens": SENTENCE, "ner_tags": TAGS})
    return {
        "conll": columns + "\n",
        "jsonl": record + "\n",
        "json": record + ",\n",
    }[kind]


@pytest.mark.parametrize("kind", ["conll", "jsonl", "json"])
def test_memory_stays_far_below_the_size_of_the_file(tmp_path, kind):
    one = content(kind)
    count = 3_500_000 // len(one)
    small, large = tmp_path / f"small.{kind}", tmp_path / f"large.{kind}"
    for path, times in ((small, 2), (large, count)):
        text = one * times
        path.write_text(f"[{text.rstrip().rstrip(',')}]\n" if kind == "json" else text)
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, large, small],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4],
    )  # fmt: skip
    documents, peak = map(int, run.stdout.split())
    assert documents == count
    assert peak < large.stat().st_size / 2
