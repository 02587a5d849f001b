"""Batches by a tiny random model: every kind of input, bad rows, outputs, refusals, and a run that is killed."""

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.batch.batch import Request, main, predict, sentence
from ner.batch.chunks import Settings
from ner.batch.job import SCHEMA, only_run
from ner.batch.output import write_folder
from ner.errors import BusyError, ModelError, NerError
from typed import call
from waiting import until

TEXTS = ["Marta Okafor joined Helvion Steel in Rotterdam.", "", "Rain fell on Lisbon 🎉, again.\r\n\r\nNobody minded."]


@pytest.fixture
def run(tiny_model, tmp_path):
    """run("texts.jsonl", "out.jsonl", min_score=0.5) in tmp_path; returns the summary."""

    def start(address, output, cluster=None, max_rejected=None, overwrite=False, fresh=False, **settings):
        address = address if "://" in str(address) else str(tmp_path / address)
        settings = Settings(**settings)
        request = Request(
            address, tmp_path / output, str(tiny_model), settings, cluster, max_rejected, overwrite, fresh
        )
        return predict(request, say=lambda line: None)

    return start


def jsonl(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rejected(output: Path) -> dict[tuple[str, int], str]:
    rows = read(output.with_name(output.name + ".rejected.jsonl"))
    return {(row["source"], row["row"]): row["reason"] for row in rows}


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_row_goes_in_and_comes_out_with_entities_version_and_its_other_columns(run, tmp_path):
    rows = [{"text": text, "topic": "news"} for text in TEXTS] + [{"id": 7, "tokens": ["Marta", "Okafor"], "n": None}]
    jsonl(tmp_path / "texts.jsonl", rows)
    summary = run("texts.jsonl", "out.jsonl")
    out = read(tmp_path / "out.jsonl")
    assert [row["text"] for row in out] == [*TEXTS, "Marta Okafor"]
    assert [row["id"] for row in out] == ["texts.jsonl:1", "texts.jsonl:2", "texts.jsonl:3", "7"]
    assert [(row["source"], row["row"]) for row in out] == [("texts.jsonl", number) for number in (1, 2, 3, 4)]
    assert [row["extra"] for row in out] == [{"topic": "news"}] * 3 + [{"n": None}]
    found = [(row["text"], entity) for row in out for entity in row["entities"]]
    assert found, "a random model finds something"
    assert all(text[one["start"] : one["end"]] == one["text"] and 0 <= one["score"] <= 1 for text, one in found)
    assert out[3]["entities"] and all("token_start" in one for one in out[3]["entities"])
    assert {row["model_version"] for row in out} == {summary["model"]["content"][:12]}
    assert (summary["rows"], summary["done"], summary["rejected"]) == (4, 4, 0)
    assert sum(summary["entities"].values()) == len(found)
    assert "4 rows in, 4 done, none rejected" in sentence(summary)
    assert left(tmp_path) == {"texts.jsonl", "out.jsonl", "out.jsonl.summary.json"}


def test_the_same_texts_give_the_same_entities_in_every_format_and_from_every_place(run, tmp_path):
    folder = tmp_path / "in"
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(TEXTS)]
    jsonl(folder / "a.jsonl", rows)
    (folder / "b.jsonl.gz").write_bytes(gzip.compress((folder / "a.jsonl").read_bytes()))
    quoted = [f'{row["id"]},"{row["text"]}"\r\n' for row in rows]
    (folder / "c.csv").write_bytes(("\ufeffid,text\r\n" + "".join(quoted)).encode())
    (folder / "deep").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "deep" / "d.parquet")
    for row in rows:
        (folder / "deep" / f"{row['id']}.txt").write_bytes(row["text"].encode())
    (folder / "readme.md").write_text("left alone")
    (folder / ".hidden.jsonl").write_text("left alone too")
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/batch-in", recursive=True)

    assert run("in", "local.jsonl")["rows"] == 5 * len(rows)
    run("memory://batch-in", "memory.jsonl")
    run((folder / "c.csv").as_uri(), "csv.jsonl")
    assert (tmp_path / "local.jsonl").read_bytes() == (tmp_path / "memory.jsonl").read_bytes()
    out = read(tmp_path / "local.jsonl")
    assert [row["source"] for row in out[::3]] == ["a.jsonl", "b.jsonl.gz", "c.csv", "deep/d.parquet", "deep/r0.txt"]
    assert [row["row"] for row in out if row["source"] == "c.csv"] == [2, 3, 4]  # where each begins
    by_text: dict[str, list] = {}
    for row in out:
        by_text.setdefault(row["text"], []).append(json.dumps([e["start"] for e in row["entities"]]))
    assert list(by_text) == TEXTS
    assert all(len(found) == 5 and len(set(found)) == 1 for found in by_text.values())
    assert [row["text"] for row in read(tmp_path / "csv.jsonl")] == TEXTS
    memory.rm("/batch-in", recursive=True)


def test_bad_rows_go_to_the_side_file_with_their_reason_and_the_rest_is_done(run, tmp_path):
    good = b'{"text": "Marta Okafor"}\n'
    bad = {
        b'{"text": "cut': "not JSON",
        b'{"text": "\xff"}': "not UTF-8",
        b'["Marta"]': "list instead of a JSON object",
        b'{"title": "Marta"}': "no column 'text' or 'tokens', only 'title'",
        b'{"text": null}': "'text' is null",
        b'{"text": 5}': "'text' is a number, not a string",
        b'{"tokens": ["a", 1]}': "'tokens' is not a list of strings",
        b'{"tokens": ["a", " "]}': "of which none is blank",
        b'{"text": "' + 101 * b"x" + b'"}': "101 characters, over the limit of 100",
        b'{"text": "\\ud83c"}': "half of a surrogate pair",
        b'{"text": "a", "id": []}': "'id' is a list",
        b"[" * 100_000: "not JSON",
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(good + b"\n" + b"".join(line + b"\n" + good for line in bad))
    (tmp_path / "in" / "b.csv").write_bytes(b'id,text\n1,ok\n2,a,b\n3\n4,"bro"ken\n5,\xff\n6,fine\n7,"never closed\n')
    (tmp_path / "in" / "c.jsonl.gz").write_bytes(gzip.compress(good * 9000)[:-20])
    (tmp_path / "in" / "d.parquet").write_bytes(b"PAR1 no")
    pq.write_table(pa.table({"text": pa.array([b"Marta", None])}), tmp_path / "in" / "e.parquet")
    (tmp_path / "in" / "f.txt").write_bytes(b"caf\xe9")
    (tmp_path / "in" / "g.txt").write_bytes(b"x" * 1000)
    broken = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    pq.write_table(pa.table({"text": broken}), tmp_path / "in" / "h.parquet")

    summary = run("in", "out.jsonl", max_chars=100)
    reasons = rejected(tmp_path / "out.jsonl")
    for number, reason in enumerate(bad.values()):
        assert reason in reasons["a.jsonl", 3 + 2 * number]
    assert reasons["b.csv", 3] == "3 fields, where the first line names 2 columns"
    assert reasons["b.csv", 4].startswith("1 fields")
    assert "not CSV" in reasons["b.csv", 5] and reasons["b.csv", 6] == "not UTF-8" and "not CSV" in reasons["b.csv", 8]
    (damaged,) = [reason for (source, _), reason in reasons.items() if source == "c.jsonl.gz"]
    assert "damaged or cut short" in damaged
    assert "damaged or cut short" in reasons["d.parquet", 1]
    assert reasons["e.parquet", 1].startswith("'text' is of type bytes") and reasons["e.parquet", 2] == "'text' is null"
    assert reasons["f.txt", 1] == "not UTF-8" and "over the limit" in reasons["g.txt", 1]
    assert reasons["h.parquet", 2] == "not UTF-8"
    out = read(tmp_path / "out.jsonl")
    assert summary["rows"] == summary["done"] + summary["rejected"]
    assert (summary["done"], summary["rejected"]) == (len(out), len(reasons))
    assert [row["row"] for row in out if row["source"] == "a.jsonl"] == [1, *range(4, 28, 2)]
    assert [row["text"] for row in out if row["source"] == "b.csv"] == ["ok", "fine"]


def test_more_bad_rows_than_allowed_end_the_run_and_a_higher_limit_goes_on(run, tmp_path):
    rows = [{"text": "Marta"}, {}, {}, {"text": "Okafor"}]
    jsonl(tmp_path / "texts.jsonl", rows)
    with pytest.raises(NerError, match="2 rejected, more than --max-rejected 1: see .*rejected.jsonl"):
        run("texts.jsonl", "out.jsonl", max_rejected=1, chunk_rows=3)
    assert not (tmp_path / "out.jsonl").exists() and len(rejected(tmp_path / "out.jsonl")) == 2
    summary = run("texts.jsonl", "out.jsonl", max_rejected=2, chunk_rows=3)
    assert (summary["done"], summary["rejected"], summary["rows_this_time"]) == (2, 2, 1)
    assert "2 rejected, with reasons in out.jsonl.rejected.jsonl;" in sentence(summary)


def test_an_input_of_which_nothing_can_be_read_is_a_failure(run, tmp_path):
    jsonl(tmp_path / "texts.jsonl", [{"body": "Marta"}] * 3)
    with pytest.raises(NerError, match="no row of the input can be read.*no column 'text' or 'tokens', only 'body'"):
        run("texts.jsonl", "out.jsonl")
    assert left(tmp_path) == {"texts.jsonl", "out.jsonl.rejected.jsonl"}
    assert run("texts.jsonl", "out.jsonl", text_column="body")["done"] == 3
    assert left(tmp_path) == {"texts.jsonl", "out.jsonl", "out.jsonl.summary.json"}


def test_one_parquet_file_and_a_folder_of_them_hold_the_same_rows_and_say_what_made_them(run, tmp_path):
    jsonl(tmp_path / "texts.jsonl", [{"text": text, "n": float("nan")} for text in TEXTS * 20])
    summary = run("texts.jsonl", "out.parquet", chunk_rows=7)
    run("texts.jsonl", "out", chunk_rows=7)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.equals(SCHEMA) and table.equals(pq.read_table(tmp_path / "out"))
    assert table["row"].to_pylist() == list(range(1, 61))
    assert table["extra"][0].as_py() == '{"n": null}'
    about = json.loads(table.schema.metadata[b"ner"])
    assert about["model"] == summary["model"] and about["settings"]["chunk_rows"] == 7
    run("texts.jsonl", "small.parquet", keep_text=False, keep_extra=False)
    assert {"text", "extra"} & set(pq.read_schema(tmp_path / "small.parquet").names) == set()


def test_a_folder_gets_another_file_after_so_many_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("ner.batch.output.FILE_ROWS", 5)
    monkeypatch.setattr("ner.batch.output.GROUP_ROWS", 2)
    schema = pa.schema({"n": pa.int64()})
    write_folder(tmp_path / "out", schema, iter([pa.table({"n": [n]}, schema) for n in range(12)]))
    assert left(tmp_path / "out") == {f"part-0000{number}.parquet" for number in range(3)}
    assert pq.read_table(tmp_path / "out")["n"].to_pylist() == list(range(12))


def test_what_cannot_be_done_is_refused_in_a_sentence(run, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    jsonl(tmp_path / "in" / "texts.jsonl", [{"text": "Marta"}])
    run("in", "out.parquet")
    with pytest.raises(NerError, match="out.parquet is there already: name another output, or replace it with --over"):
        run("in", "out.parquet")
    run("in", "out.parquet", overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    for address, output, message in (
        ("in", "mine", "was not written by a batch"),
        ("in", "out.csv", r"ends in \.csv: name it \*\.parquet or \*\.jsonl"),
        ("in", "in/out.jsonl", "lies in the input"),
        ("in/texts.jsonl", "in/texts.jsonl", "lies in the input"),
        ("nowhere", "new.jsonl", "there is nothing at .*nowhere"),
        ("mine", "new.jsonl", r"holds no \.jsonl, \.ndjson, \.csv, \.parquet, \.txt"),
        ("gs://bucket/key", "new.jsonl", "gs://bucket/key cannot be opened: Please install gcsfs"),
        ("s3://bucket/key", "new.jsonl", "s3://bucket/key cannot be opened: Unable to locate credentials"),
        ("gopher://bucket/key", "new.jsonl", "cannot be opened: Protocol not known: gopher"),
    ):
        with pytest.raises(NerError, match=message):
            run(address, output, overwrite=True)
    for cluster, message in (("local:none", "local: needs a number"), ("many", "write local:4")):
        with pytest.raises(NerError, match=message):
            run("in", "new.jsonl", cluster=cluster)
    assert (tmp_path / "mine" / "thesis.tex").exists() and (tmp_path / "in" / "texts.jsonl").stat().st_size


def test_no_model_and_no_registry_are_told_apart(run, tmp_path, monkeypatch):
    jsonl(tmp_path / "texts.jsonl", [{"text": "Marta"}])
    monkeypatch.setenv("NER_HOME", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ModelError, match="'ner' is no model: write ner@champion"):
        predict(Request(str(tmp_path / "texts.jsonl"), tmp_path / "out.jsonl", "ner"))
    with pytest.raises(ModelError, match="there is no registry here: run `make train`"):
        predict(Request(str(tmp_path / "texts.jsonl"), tmp_path / "out.jsonl", "ner@champion"))


def test_two_runs_on_one_output_at_once_are_refused(run, tmp_path):
    jsonl(tmp_path / "texts.jsonl", [{"text": "Marta"}])
    with only_run(tmp_path / "out.jsonl"):
        with pytest.raises(BusyError, match="another run is at work on .*out.jsonl"):
            run("texts.jsonl", "out.jsonl")
        run("texts.jsonl", "other.jsonl")
    run("texts.jsonl", "out.jsonl")


def test_the_command_line_asks_for_what_it_says(tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "a.jsonl", [{"text": TEXTS[0]}, {"id": "bad"}])
    call(main, "a.jsonl", "b.jsonl", f"--model={tiny_model}", "--no-text", "--max-rejected=1", "--cluster=")
    assert "2 rows in, 1 done, 1 rejected" in capsys.readouterr().out
    assert "text" not in json.loads((tmp_path / "b.jsonl").read_text().splitlines()[0])
    with pytest.raises(NerError, match="ner batch texts.jsonl entities.parquet"):
        call(main, "", "", f"--model={tiny_model}")
    with pytest.raises(NerError, match="s3://bucket/out.parquet is no path on this machine"):
        call(main, "a", "s3://bucket/out.parquet", f"--model={tiny_model}")


def killed(folder: Path, model: Path, after: int) -> int:
    """`ner batch` in a process of its own, killed -9 when so many parts are there; how many there are."""
    command = [sys.executable, "-m", "ner", "batch", str(folder / "texts.jsonl"), str(folder / "out.parquet")]
    command += ["--chunk-rows=2", f"--model={model}"]
    parts = folder / "out.parquet.parts"
    seen = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    child = subprocess.Popen(command, cwd=folder, env=seen, stderr=subprocess.PIPE)
    until(lambda: child.poll() is not None or len(list(parts.glob("[0-9]*.parquet"))) >= after, every_s=0.005)
    assert child.poll() is None, child.stderr.read().decode()
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    return len(list(parts.glob("[0-9]*.parquet")))


def test_a_killed_run_goes_on_writes_no_row_twice_and_loses_none(run, tiny_model, tmp_path):
    rows = [{"id": f"r{number}", "text": f"{TEXTS[number % 3]} {number}"} for number in range(150)]
    rows[5::25] = [{"id": "bad"}] * 6
    jsonl(tmp_path / "texts.jsonl", rows)
    run("texts.jsonl", "whole.parquet", chunk_rows=2)
    done = killed(tmp_path, tiny_model, after=3)
    assert 3 <= done < 75 and not (tmp_path / "out.parquet").exists()

    with pytest.raises(NerError, match="was stopped and had min_score 0.0, not 0.5: use the same options .*--fresh"):
        run("texts.jsonl", "out.parquet", chunk_rows=2, min_score=0.5)
    damaged = sorted((tmp_path / "out.parquet.parts").glob("[0-9]*.parquet"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-3])  # as a machine that lost its power may leave it

    summary = run("texts.jsonl", "out.parquet", chunk_rows=2)
    assert summary["continued"] == 1 and summary["rows_this_time"] == 150 - 2 * (done - 1)
    assert (summary["rows"], summary["done"], summary["rejected"]) == (150, 144, 6)
    out = pq.read_table(tmp_path / "out.parquet")
    assert out["id"].to_pylist() == [row["id"] for row in rows if "text" in row]
    assert out.drop_columns(["entities"]).equals(pq.read_table(tmp_path / "whole.parquet").drop_columns(["entities"]))
    assert len(read(tmp_path / "out.parquet.rejected.jsonl")) == 6
    assert not (tmp_path / "out.parquet.parts").exists()


def test_a_stopped_run_is_not_gone_on_with_another_input_or_model(run, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr("ner.batch.job.write_output", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    jsonl(tmp_path / "in" / "a.jsonl", [{"text": "Marta"}] * 5)
    with pytest.raises(KeyboardInterrupt):
        run("in", "out.jsonl", chunk_rows=2)
    monkeypatch.undo()
    before = set((tmp_path / "out.jsonl.parts").iterdir())
    jsonl(tmp_path / "in" / "b.jsonl", [{"text": "Okafor"}])
    with pytest.raises(
        NerError, match=r"was stopped and had another input \(b.jsonl\): use the same options .*--fresh"
    ):
        run("in", "out.jsonl", chunk_rows=2)
    (tmp_path / "in" / "b.jsonl").unlink()
    card = tiny_model / "generation_config.json"
    card.write_text("{}")
    try:
        with pytest.raises(NerError, match="was stopped and had the model .* version [0-9a-f]{12}: use"):
            run("in", "out.jsonl", chunk_rows=2)
    finally:
        card.unlink()
    assert set((tmp_path / "out.jsonl.parts").iterdir()) == before
    assert run("in", "out.jsonl", chunk_rows=3, fresh=True)["continued"] == 0


def test_an_output_that_is_replaced_stays_until_the_new_one_is_whole(run, tmp_path, monkeypatch):
    jsonl(tmp_path / "texts.jsonl", [{"text": "Marta"}])
    run("texts.jsonl", "out.jsonl")
    before = (tmp_path / "out.jsonl").read_bytes()
    monkeypatch.setattr("ner.batch.job.write_output", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    jsonl(tmp_path / "texts.jsonl", [{"text": "Okafor"}])
    with pytest.raises(KeyboardInterrupt):
        run("texts.jsonl", "out.jsonl", overwrite=True)
    assert (tmp_path / "out.jsonl").read_bytes() == before
    monkeypatch.undo()
    assert run("texts.jsonl", "out.jsonl", overwrite=True)["continued"] == 1
    assert read(tmp_path / "out.jsonl")[0]["text"] == "Okafor"
