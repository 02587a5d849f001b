"""Whatever bytes a file has, recognising and reading it works or raises an error of ours."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ner.data.formats import FORMATS, Report, read, recognise
from ner.errors import NerError

SAMPLES = Path(__file__).parents[3] / "data" / "formats"
SUFFIXES = (
    "",
    ".txt",
    ".tsv",
    ".csv",
    ".json",
    ".jsonl",
    ".parquet",
    ".arrow",
    ".spacy",
    ".ann",
    ".conllu",
    ".py",
    ".zip",
)
WHOLE = [path.read_bytes() for path in sorted(SAMPLES.rglob("*.*")) if path.is_file()]
EXAMPLES = settings(max_examples=60)

pieces = st.sampled_from(
    [b"\n", b"\n\n", b"\r\n", b"\t", b" ", b"O", b"B-PER", b"I-PER", b"-DOCSTART-", b"#", b'"', b"{", b"}", b"[", b"]",
     b'{"text": "a b", "spans": [', b'{"start": 0, "end": 1, "label": "X"}', b'"tokens": ["a"]', b'"tags": [1]', b",",
     b'{"data": {"text": "a"}, "annotations": [{"result": [{}]}]}', b"T1\tPER 0 1\ta\n", b"null", b"1e999", b"\\ud800",
     b"\xff", b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b"PAR1", b"ARROW1", b"\x78\x9c", b"PK\x03\x04", b"token,tag\n",
     b"'", b"9" * 5000, b"[" * 5000, "é日😀\u2028\u0085".encode()]
)  # fmt: skip
soup = st.lists(pieces, max_size=30).map(b"".join)


@st.composite
def damaged(draw):
    """A good file, cut, with a few bytes changed, or with a piece of another put in."""
    content = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        action = draw(st.sampled_from(["cut", "change", "insert", "delete"]))
        if action == "cut":
            content = content[:at]
        elif action == "change" and content:
            content[at] = draw(st.integers(0, 255))
        elif action == "insert":
            content[at:at] = draw(pieces)
        else:
            del content[at : at + draw(st.integers(1, 20))]
    return bytes(content)


def try_to_read(content: bytes, suffix: str, name: str | None = None) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        path = folder / f"x{suffix}"
        path.write_bytes(content)
        if suffix == ".ann":
            path.with_suffix(".txt").write_bytes(content)
        report = Report()
        try:
            found = recognise(path, name)
            for document in read(path, found.format, report):
                assert all(len(s.tokens) == len(s.tags) > 0 for s in document.sentences)
        except NerError as error:
            assert str(error).strip()
        else:
            assert report.is_balanced()
    finally:
        shutil.rmtree(folder)


@EXAMPLES
@given(st.one_of(st.binary(max_size=200), soup, damaged()), st.sampled_from(SUFFIXES))
@example(b"[" * 100_000, ".json")
@example(b'{"text": ' * 100_000, ".jsonl")
@example(b"PAR1" + b"\0" * 40 + b"PAR1", "")
@example(b"\x78\x9c" + b"\0" * 40, ".spacy")
def test_random_bytes_raise_nothing_but_our_errors(content, suffix):
    try_to_read(content, suffix)


@pytest.mark.parametrize("name", FORMATS)
@settings(EXAMPLES, max_examples=25)
@given(st.one_of(soup, damaged()), st.sampled_from([".txt", ".json", ".csv", ".ann"]))
def test_random_bytes_raise_nothing_but_our_errors_when_the_format_is_named(name, content, suffix):
    try_to_read(content, suffix, name)
