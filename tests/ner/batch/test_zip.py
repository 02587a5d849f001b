"""Zip archives as input of a batch: every member that can hold rows is read, and what is wrong is a sentence."""

import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.batch.chunks import Settings, chunks
from ner.batch.input import find_input
from ner.errors import NerError


def line(text: str) -> str:
    return json.dumps({"text": text}) + "\n"


def archive(path, members) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


def taken(path):
    """Source and text of each row, source and reason of each rejected one, and how many files were left alone."""
    found = find_input(str(path))
    every = list(chunks(found, Settings()))
    rows = [(row.source, row.text) for chunk in every for row in chunk.rows]
    return rows, [(bad.source, bad.reason) for chunk in every for bad in chunk.rejected], found.others


@pytest.mark.parametrize("name", ["two.zip", "two.jsonl.zip"])
def test_every_member_that_can_hold_rows_is_read_and_named(tmp_path, name):
    table = io.BytesIO()
    pq.write_table(pa.table({"text": ["from a table"]}), table)
    members = {"x/": "", "x/a.jsonl": line("from a") + line("again"), "b.csv": "text\nfrom b\n", "c.txt": "from c"}
    members |= {"d.parquet": table.getvalue(), "readme.md": "no rows", "__MACOSX/a.jsonl": "hidden"}
    archive(tmp_path / name, members)
    rows, rejected, others = taken(tmp_path / name)
    sources = ["x/a.jsonl", "x/a.jsonl", "b.csv", "c.txt", "d.parquet"]
    texts = ["from a", "again", "from b", "from c", "from a table"]
    assert rows == [(f"{name}/{source}", text) for source, text in zip(sources, texts, strict=True)]
    assert not rejected and others == 1


def test_a_member_without_an_ending_is_what_the_archive_says(tmp_path):
    archive(tmp_path / "x.jsonl.zip", {"data": line("from data")})
    assert taken(tmp_path / "x.jsonl.zip")[0] == [("x.jsonl.zip/data", "from data")]


def test_what_is_wrong_with_an_archive_is_a_rejected_row_with_its_reason(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    archive(folder / "cut.jsonl.zip", {"a.jsonl": line("a") * 9000})
    (folder / "cut.jsonl.zip").write_bytes((folder / "cut.jsonl.zip").read_bytes()[:-30])
    archive(folder / "empty.jsonl.zip", {})
    (folder / "fake.jsonl.zip").write_text("not a zip\n")
    archive(folder / "locked.jsonl.zip", {"a.jsonl": line("a"), "b.jsonl": line("b")})
    content = bytearray((folder / "locked.jsonl.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of encryption, in the directory of the archive
    (folder / "locked.jsonl.zip").write_bytes(content)
    archive(folder / "spoilt.jsonl.zip", {"a.jsonl": line("".join(map(chr, range(40, 120))))})
    spoilt = bytearray((folder / "spoilt.jsonl.zip").read_bytes())
    spoilt[60] ^= 0xFF
    (folder / "spoilt.jsonl.zip").write_bytes(spoilt)
    (folder / "z.jsonl").write_text(line("good"))
    rows, rejected, _ = taken(folder)
    assert rows == [("locked.jsonl.zip/b.jsonl", "b"), ("z.jsonl", "good")]
    reasons = dict(rejected)
    assert "no zip archive, or cut short" in reasons["cut.jsonl.zip"]
    assert "the archive holds no .jsonl" in reasons["empty.jsonl.zip"]
    assert "no zip archive, or cut short" in reasons["fake.jsonl.zip"]
    assert "encrypted" in reasons["locked.jsonl.zip/a.jsonl"]
    assert "damaged or cut short" in reasons["spoilt.jsonl.zip/a.jsonl"]


def test_an_archive_without_rows_is_refused_as_any_such_file_is(tmp_path):
    archive(tmp_path / "x.zip", {"readme.md": "no rows"})
    with pytest.raises(NerError, match=r"x.zip holds no .jsonl"):
        find_input(str(tmp_path / "x.zip"))


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("name", ["x.jsonl", "x.csv"])
def test_lines_may_end_in_cr_alone(tmp_path, name, mark):
    texts = ["Ilse 🎉 left", "", "Bo\ncame"] * 3
    rows = [json.dumps({"text": text}) for text in texts] if name == "x.jsonl" else ["text", *(f'"{t}"' for t in texts)]
    (tmp_path / name).write_bytes((mark + "".join(f"{row}\r" for row in rows)).encode())
    assert taken(tmp_path / name)[:2] == ([(name, text) for text in texts], [])
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.write(tmp_path / name, name)
    assert [text for _, text in taken(tmp_path / "x.zip")[0]] == texts
