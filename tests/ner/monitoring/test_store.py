"""What prediction keeps: whole lines, bounded, by several processes, once for a batch, and no text unless asked."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ner.batch.batch import Request, predict
from ner.batch.chunks import Settings
from ner.common.files import read_params
from ner.inference.observation import KEYS
from ner.monitoring.store import Store, folder, read_rows
from ner.params import MonitorParams

ROOT = Path(__file__).resolve().parents[3]
ROW = {"tokens": 3, "types": {"PER": 1}, "scores": [0.5]}


def total(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.jsonl"))


def monitor_params(**changes) -> MonitorParams:
    return read_params(ROOT / "tests/data/params.yaml").monitor.model_copy(update=changes)


def test_rows_come_back_by_version_and_time_and_half_a_line_is_not_read(tmp_path):
    store = Store(tmp_path, 1 << 20, "serve")
    for number in range(5):
        store.add(f"ner/{number % 2}", [ROW], ["Marta"])
    with (tmp_path / "killed.jsonl").open("w") as file:
        file.write('{"time":"2026-01-01T00:00:00.000+00:00","model":"ner/0","tok')
    rows = read_rows(tmp_path, "ner/0")
    assert len(rows) == 3 and rows == sorted(rows, key=lambda row: row["time"])
    assert "Marta" not in json.dumps(rows) and rows[0]["chars"] == 5
    assert read_rows(tmp_path, "ner/0", last=2) == rows[-2:]
    assert read_rows(tmp_path, "ner/0", after=rows[-1]["time"]) == []
    assert read_rows(tmp_path / "none", "ner/0") == []


def test_the_folder_stays_under_its_limit_and_the_newest_stay(tmp_path):
    store = Store(tmp_path, 64_000, "serve")
    for number in range(2000):
        store.add("ner/1", [ROW | {"number": number}], ["Marta"])
        assert number % 50 or total(tmp_path) <= 64_000 + 4_400
    rows = read_rows(tmp_path, "ner/1")
    assert rows[-1]["number"] == 1999 and 200 < len(rows) < 600


def test_rows_of_two_processes_in_one_millisecond_keep_their_order(tmp_path):
    stores = [Store(tmp_path, 1 << 20, source) for source in ("serve", "batch")]
    for number in range(200):
        stores[number % 2].add("ner/1", [ROW | {"number": number}], ["Marta"])
    assert [row["number"] for row in read_rows(tmp_path, "ner/1")] == list(range(200))


def test_a_file_that_another_process_removed_is_begun_anew(tmp_path):
    store = Store(tmp_path, 1 << 20, "serve")
    store.add("ner/1", [ROW], ["a"])
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    store.add("ner/1", [ROW], ["a"])
    assert len(read_rows(tmp_path, "ner/1")) == 1


def test_a_disk_that_refuses_costs_no_answer(tmp_path):
    (tmp_path / "file").write_text("")
    Store(tmp_path / "file" / "kept", 1 << 20, "serve").add("ner/1", [ROW], ["a"])


def test_several_servers_write_whole_lines_side_by_side(tmp_path):
    code = (
        "import sys; from pathlib import Path; from ner.monitoring.store import Store\n"
        "store = Store(Path(sys.argv[1]), 1 << 24, 'serve')\n"
        f"for _ in range(300): store.add('ner/1', [{ROW}], ['a' * 99])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert [one.wait() for one in [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]] == [0, 0]
    lines = [line for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) == 600 and len([json.loads(line) for line in lines]) == 600


def test_what_is_kept_is_a_parameter(tmp_path, monkeypatch):
    monkeypatch.setenv("NER_MONITOR_FOLDER", str(tmp_path))
    assert folder() == tmp_path
    assert Store.of(monitor_params(keep="nothing"), "serve") is None
    for keep, has_text in (("numbers", False), ("text", True)):
        store = Store.of(monitor_params(keep=keep), "serve")
        (line,) = store.lines("ner/1", [ROW], ["Marta"])
        assert ("Marta" in line) is has_text


def test_a_batch_keeps_a_row_for_each_text_once(tiny_model, tmp_path):
    texts = ["Marta Okafor joined Helvion Steel.", "", "Rain fell."]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    store = Store(tmp_path / "kept", 1 << 20, "batch")
    request = Request(str(tmp_path / "texts.jsonl"), tmp_path / "out.jsonl", str(tiny_model), Settings(chunk_rows=2))
    plain = predict(request, say=lambda line: None)
    before = (tmp_path / "out.jsonl").read_text()
    (tmp_path / "out.jsonl").unlink()
    summary = predict(replace(request, store=store), say=lambda line: None)
    assert (tmp_path / "out.jsonl").read_text() == before and summary["entities"] == plain["entities"]
    (path,) = (tmp_path / "kept").iterdir()
    assert path.name == f"batch-{summary['run']}.jsonl"
    rows = read_rows(tmp_path / "kept", f"{summary['model']['name']}/{summary['model']['version']}")
    assert [row["tokens"] for row in rows] == [6, 0, 3] and set(KEYS) <= rows[0].keys() and "text" not in rows[0]
    store.add_batch(summary["run"], path.read_text().splitlines(keepends=True))
    assert len(read_rows(tmp_path / "kept", rows[0]["model"])) == 3


@pytest.mark.parametrize(("number", "kept"), [(10, 10), (1000, range(100, 251))])
def test_a_large_batch_leaves_room_for_others(tmp_path, number, kept):
    store = Store(tmp_path, 100 * 1000, "batch")
    lines = [line for i in range(number) for line in store.lines("ner/1", [ROW | {"i": i}], ["a"])]
    store.add_batch("run", lines)
    rows = read_rows(tmp_path, "ner/1")
    assert len(rows) == kept if isinstance(kept, int) else len(rows) in kept
    assert rows[-1]["i"] >= 0.9 * (number - 1) and total(tmp_path) <= 25_500
