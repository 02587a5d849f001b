from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.data.formats import Report
from ner.data.formats.columns import read_strict
from ner.errors import CorpusError, TagError
from ner.tags import Span, spans_to_tags, tags_to_spans

# Our own sentences, in the four columns of CoNLL-2003.
GOOD = b"""-DOCSTART- -X- -X- O

Marta NNP B-NP B-PER
Okafor NNP B-NP I-PER
left VBD X O
. . O O

She X X O
won X X O

-DOCSTART- -X- -X- O

Rotterdam NNP X B-LOC
"""


def read(content: bytes):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        path.write_bytes(content)
        return list(read_strict(path))


def test_sentences_know_their_document_and_the_line_that_they_start_on():
    sentences = read(GOOD)
    assert [(s.document_id, s.line, len(s.tokens)) for s in sentences] == [(0, 3, 4), (0, 8, 2), (1, 13, 1)]
    assert sentences[0].tokens == ["Marta", "Okafor", "left", "."]
    assert sentences[0].tags == ["B-PER", "I-PER", "O", "O"]


def test_the_mini_corpus_reads_whole(mini_folder):
    for name in ("train.txt", "valid.txt", "test.txt"):
        sentences = list(read_strict(mini_folder / name))
        lines = [
            line
            for line in (mini_folder / name).read_text(encoding="utf-8").split("\n")
            if line and not line.startswith("-DOCSTART-")
        ]
        assert [token for s in sentences for token in s.tokens] == [line.split(" ")[0] for line in lines]
        assert [tag for s in sentences for tag in s.tags] == [line.split(" ")[-1] for line in lines]


def test_windows_line_ends_a_byte_order_mark_and_tabs_change_nothing():
    plain = read(GOOD)
    assert read(GOOD.replace(b"\n", b"\r\n")) == plain
    assert read(b"\xef\xbb\xbf" + GOOD) == plain
    assert read(GOOD.replace(b" ", b"\t")) == plain


def test_a_file_without_document_lines_is_one_document():
    assert [s.document_id for s in read(b"a O\n\nb O\n\n")] == [0, 0]


def test_sentences_before_the_first_document_line_are_a_document_of_their_own():
    assert [s.document_id for s in read(b"a O\n\n-DOCSTART- O\n\nb O\n")] == [0, 1]


def test_a_document_line_ends_a_sentence_even_without_a_blank_line():
    assert [(s.document_id, s.tokens) for s in read(b"a O\n-DOCSTART- O\nb O\n")] == [(0, ["a"]), (1, ["b"])]


def test_many_blank_lines_make_no_empty_sentences():
    assert [s.line for s in read(b"\n\n a O\n\n \n\nb O\n".replace(b" a", b"a"))] == [3, 7]


def test_an_empty_file_has_no_sentences():
    assert read(b"") == read(b"\n\n") == []


def test_a_token_may_hold_any_character_but_the_separator():
    text = "a\u00a0b O\n\u2028 O\nna\u00efve B-LOC\n\U0001f600 I-LOC\n"
    assert read(text.encode())[0].tokens == ["a\u00a0b", "\u2028", "na\u00efve", "\U0001f600"]


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        # a flipped tag: the B- of an entity became I-
        (
            GOOD.replace(b"B-NP B-PER", b"B-NP I-PER"),
            TagError,
            r"line 3, token 'Marta': 'I-PER' follows 'O' or a sentence's edge",
        ),
        (b"a B-PER\nb I-LOC\n", TagError, r"line 2, token 'b': 'I-LOC' follows 'B-PER'.*write 'B-LOC'"),
        (b"a B-PER\nb O\nc I-PER\n", TagError, r"line 3, token 'c': 'I-PER' follows 'O'"),
        (b"a B-PER\n\nb I-PER\n", TagError, r"line 3, token 'b': 'I-PER' follows 'O' or a sentence's edge"),
        (b"a O\nb PER\n", TagError, r"line 2, token 2: tag 'PER' is not IOB2"),
        (b"a O\nb B-\n", TagError, r"line 2, token 2: tag 'B-' is not IOB2"),
        (b"a O\nb b-PER\n", TagError, r"line 2, token 2: tag 'b-PER' is not IOB2"),
        (b"a O\nb E-PER\n", TagError, r"line 2, token 2: tag 'E-PER' is not IOB2"),
        # a lost or an added column
        (GOOD.replace(b"left VBD X O", b"left VBD O"), CorpusError, r"line 5: 3 columns in 'left VBD O', expected 4"),
        (GOOD.replace(b"left VBD X O", b"left VBD X X O"), CorpusError, r"line 5: 5 columns"),
        (GOOD.replace(b"left VBD", b"left  VBD"), CorpusError, r"line 5: 5 columns"),
        (b"a\nb\n", CorpusError, r"line 1: 1 columns in 'a', expected 2"),
        (b" O\n", CorpusError, r"line 1: an empty token in ' O'"),
        (b"a O\nb \n", CorpusError, r"line 2: an empty tag in 'b '"),
        # cut short
        (GOOD[:-1], CorpusError, r"line 13: the file ends inside the line of 'Rotterdam'"),
        # not text
        (b"a O\n\nb\0 O\n", CorpusError, r"line 3: a NUL character"),
        (
            "a O\nZ\u00fcrich B-LOC\n".encode("latin-1"),
            CorpusError,
            r"line 2: byte 0xfc is not utf-8.*cp1252 would read 'Z\u00fcrich'",
        ),
        ("a O\n".encode("utf-16-le"), CorpusError, r"line 1: a NUL character"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_line(content, error, message):
    with pytest.raises(error, match=r"train\.txt, " + message):
        read(content)


def test_a_file_cut_anywhere_inside_a_token_line_is_never_taken_for_a_whole_one():
    for end in range(1, len(GOOD)):
        last = GOOD[:end].split(b"\n")[-1]
        if last and not last.startswith(b"-DOCSTART-"):
            with pytest.raises(CorpusError, match=r"train\.txt, line \d+: "):
                read(GOOD[:end])


def test_a_file_that_ends_at_a_line_of_a_sentence_is_read_and_noted(tmp_path):
    """Many writers leave the last blank line out, so it is no error; a corpus with `expected` counts has one there."""
    path = tmp_path / "train.txt"
    for content, notes in ((GOOD + b"\n", 0), (GOOD, 1)):
        path.write_bytes(content)
        report = Report()
        assert list(read_strict(path, report)) == read(GOOD)
        assert sum("is it cut short?" in note for note in report.notes) == notes


word = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), blacklist_characters="\ufeff"), min_size=1
)


@st.composite
def sentences(draw):
    tokens = draw(st.lists(word.filter(lambda w: not w.startswith("-DOCSTART-")), min_size=1, max_size=8))
    cuts = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=6)))
    kinds = st.sampled_from(["PER", "LOC", "A-B"])
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return tokens, spans_to_tags([Span(a, b, draw(kinds)) for a, b in pairs], len(tokens))


@given(st.lists(sentences(), min_size=1, max_size=5))
def test_what_is_written_is_read_back(rows):
    text = "\n".join("".join(f"{t} X {g}\n" for t, g in zip(*row, strict=True)) for row in rows)
    back = read(text.encode())
    assert [(s.tokens, s.tags) for s in back] == [tuple(map(list, row)) for row in rows]
    assert [tags_to_spans(s.tags) for s in back] == [tags_to_spans(row[1]) for row in rows]
