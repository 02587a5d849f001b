"""Columns of tokens and tags in all their forms, and what is said about those that are wrong."""

from pathlib import Path

import pytest

from ner.data.formats import Format, Report, Unrecognised, read, recognise
from ner.errors import CorpusError, TagError

FORMATS = Path(__file__).parents[3] / "data" / "formats"
IOB1 = (FORMATS / "iob1.txt").read_bytes()
TAGS = [["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "O", "O"], ["O"] * 4, ["B-ORG", "I-ORG", "O", "O"]]


@pytest.fixture
def taken(tmp_path):
    """taken(b"...", name="x.txt", format=None, **options) recognises and reads a file: form, sentences, report."""

    def take(content, name="x.txt", format=None, **options):
        path = tmp_path / name
        path.write_bytes(content)
        found = recognise(path, format, **options)
        report = Report()
        documents = list(read(path, found.format, report))
        assert report.is_balanced()
        return found.format, documents, report

    return take


def tags(documents):
    return [sentence.tags for document in documents for sentence in document.sentences]


def test_four_columns_of_iob1_with_document_lines(taken):
    form, documents, report = taken(IOB1)
    assert (form.name, form.scheme, form.tag_column, form.documents) == ("conll", "IOB1", 4, "-DOCSTART-")
    assert tags(documents) == TAGS
    assert [(d.name, [s.line for s in d.sentences]) for d in documents] == [("1", [3, 11]), ("2", [18])]
    assert [s.document_id for d in documents for s in d.sentences] == [0, 0, 1]
    assert documents[0].sentences[1].tokens == ["#", "9", "leads", "."]  # a token, not a comment
    assert report.types == {"PER": 1, "LOC": 2, "ORG": 1}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"\n", b"\r"),
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: text.decode().encode("utf-16"),
        lambda text: text.replace(b" ", b"\t"),
        lambda text: text.replace(b" ", b"   "),
        lambda text: text.replace(b"NNP I-NP", b"NNP\t\tI-NP"),
        lambda text: text.replace(b" I-NP I-PER", b" I-NP I-PER "),
        lambda text: text.rstrip(b"\n"),
        lambda text: text.replace(b"\n\n", b"\n \t\n\n"),
    ],
    ids=["CRLF", "CR", "BOM", "UTF-16", "tabs", "runs", "mixed", "trailing", "no end", "blanks"],
)
def test_line_ends_marks_and_separators_change_nothing(taken, change):
    _, documents, _ = taken(change(IOB1))
    assert tags(documents) == TAGS


def test_other_encodings_are_read_where_they_are_named(taken):
    content = "Zürich B-LOC\nwächst O\n\n".encode("cp1252")
    with pytest.raises(CorpusError, match=r"x.txt, line 1: byte 0xfc is not utf-8.*cp1252 would read 'Zürich'"):
        taken(content)
    assert taken(content, encoding="cp1252")[1][0].sentences[0].tokens == ["Zürich", "wächst"]
    with pytest.raises(CorpusError, match=r"line 1: byte 0xfc is not utf-8.*encoding: utf-16-le"):
        taken(content.decode("cp1252").encode("utf-16-le"))
    assert taken(content.decode("cp1252").encode("utf-16-le"), encoding="utf-16-le")[2].tokens == 2
    with pytest.raises(CorpusError, match=r"line 1: a NUL character.*encoding: utf-16-be"):
        taken("a O\nb B-X\n".encode("utf-16-be"))
    with pytest.raises(CorpusError, match=r"'klingon' is no text encoding"):
        taken(content, encoding="klingon")


@pytest.mark.parametrize(
    ("name", "settings", "kept", "first"),
    [
        ("bioes.tsv", {"scheme": "BIOES", "separator": "tab"}, {"Person": 1, "Company": 1, "Place": 1}, "Dr."),
        ("comments.conll", {"tag_column": 4}, {"Artist": 1, "VisualWork": 1, "PublicCorp": 1}, "ilse"),
        ("wikiann.txt", {"prefix": "en:", "separator": "tab"}, {"LOC": 2, "ORG": 1}, "Port"),
        ("char.bmes", {"scheme": "BMES"}, {"NAME": 2, "LOC": 1}, "伊"),
        ("plain.txt", {"scheme": "PLAIN"}, {"PER": 1, "LOC": 2}, "Ilse"),
        ("ud.conllu", {"name": "conllu", "documents": "# newdoc"}, {"PER": 1, "ORG": 1, "LOC": 1}, "Ilse"),
    ],
)  # fmt: skip
def test_relatives_of_conll_are_recognised(name, settings, kept, first):
    found = recognise(FORMATS / name)
    assert found.format.settings() | settings == found.format.settings()
    report = Report()
    documents = list(read(found.files["all"], found.format, report))
    assert report.types == kept and report.is_balanced() and not report.listed
    assert documents[0].sentences[0].tokens[0] == first


def test_conllu_reads_words_and_counts_what_is_none():
    report = Report()
    documents = list(read(FORMATS / "ud.conllu", recognise(FORMATS / "ud.conllu").format, report))
    assert [d.name for d in documents] == ["brief-1", "brief-2"]
    assert documents[0].sentences[0].tokens == ["Ilse", "Brandt", "fährt", "zu", "dem", "Norvik-Werk", "."]
    assert report.ignored == {"comment": 4, "multiword token or empty node (its words are read)": 1}


def test_a_tag_on_a_multiword_token_is_listed(taken):
    content = (
        (FORMATS / "ud.conllu")
        .read_text(encoding="utf-8")
        .replace("4-5\tzum" + "\t_" * 8, "4-5\tzum" + "\t_" * 7 + "\tNER=B-X")
    )
    _, _, report = taken(content.encode(), "x.conllu")
    assert [str(p) for p in report.listed] == [
        "x.conllu, line 7, document : B-X 'zum': multiword token or empty node: tag 'B-X' is on it, and only its words "
        "are read"
    ]  # fmt: skip


def test_two_columns_of_tags_are_an_error_that_names_them_until_one_is_named():
    with pytest.raises(CorpusError, match=r"name it\. --set tag_column=3: .*; --set tag_column=4: "):
        recognise(FORMATS / "nested.tsv")
    found = recognise(FORMATS / "nested.tsv", tag_column=4)
    assert (found.format.token_column, found.format.numbered) == (2, True)
    report = Report()
    documents = list(read(FORMATS / "nested.tsv", found.format, report))
    assert documents[0].sentences[0].tokens == ["Helvion", "Oslo", "fell"] and report.types == {"LOC": 1}


def test_any_column_may_hold_tokens_and_tags(taken):
    _, documents, _ = taken(b"x B-PER Ilse\ny I-PER Brandt\nz O won\n\n", token_column=3, tag_column=2)
    assert (documents[0].sentences[0].tokens, tags(documents)) == (["Ilse", "Brandt", "won"], [["B-PER", "I-PER", "O"]])


@pytest.mark.parametrize(
    ("content", "tokens", "types"),
    [
        (b"O\tany\nB-Rating\tfive\nI-Rating\tstar\nO\tplace\n\n", ["any", "five", "star", "place"], {"Rating": 1}),
        (b"0\tThe\tO\n1\tOslo\tB-LOC\n\n0\tIt\tO\n\n", ["The", "Oslo"], {"LOC": 1}),
        (b"The\tO\nOslo\tlocation-city\nnight\tO\nran\tO\n\n", ["The", "Oslo", "night", "ran"], {"location-city": 1}),
        (b"###MEDLINE:953\n\nIL-2\tB-DNA\ngene\tI-DNA\n\n###MEDLINE:954\n\nof\tO\n\n", ["IL-2", "gene"], {"DNA": 1}),
        (b"a\tO\tO\nb\tB-NP\tB-X\nc\tI-NP\tO\n\n", ["a", "b", "c"], {"X": 1}),
    ],
    ids=["tag first", "numbered from 0", "types with a dash", "comments alone", "chunks"],
)
def test_habits_of_public_corpora_are_recognised(taken, content, tokens, types):
    _, documents, report = taken(content)
    assert documents[0].sentences[0].tokens == tokens and report.types == types


def test_one_document_line_makes_no_document(taken):
    form, documents, _ = taken(b"-DOCSTART- O\n\na O\n\nb B-X\n\n")
    assert form.documents is None and [d.name for d in documents] == ["line 3", "line 5"]


def test_document_lines_may_name_documents(taken):
    _, documents, _ = taken(b"-DOCSTART- (1 EU)\n\na O\n\n-DOCSTART- (2 Oslo)\n\nb B-X\n\n")
    assert [d.name for d in documents] == ["1 EU", "2 Oslo"]


def test_a_scheme_that_is_named_wins_and_mistakes_can_be_read_as_conlleval_does(taken):
    content = b"a B-X\nb I-X\nc O\n\n" * 20 + b"d O\ne I-Y\n\n"
    with pytest.raises(
        TagError, match=r"x.txt, line 82, token 'e': 'I-Y' follows .*repair: true.*Scheme IOB1 reads it"
    ):
        taken(content)
    assert tags(taken(content, scheme="IOB1")[1])[-1] == ["O", "B-Y"]
    _, documents, report = taken(content, repair=True)
    assert tags(documents)[-1] == ["O", "B-Y"]
    assert [(p.place, p.text) for p in report.repaired] == [("line 82", "e")]
    assert report.entities_in == report.entities == 21


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"a O\nb B-X\nc O O\nd O\n\n", {}, r"line 3: 3 columns in 'c O O', expected 2 separated by one space"),
        (b"a O\nb\nd B-X\n\n", {}, r"line 2: 1 columns in 'b'"),
        (b"a  O\nb O\nc B-X\nd O\n\n", {"separator": "space"}, r"line 1: 3 columns.*Name the separator blanks if"),
        (b"a\tO\n\tB-X\nb\tB-X\n\n", {}, r"line 2: an empty token in '\\tB-X'"),
        (b"en:a B-X\nb O\nen:c O\n\n", {"prefix": "en:"}, r"line 2: 'b' does not begin with 'en:' as the others do"),
        (b"1\ta\tB-X\n2\tb\tO\n1\tc\tO\n\n", {}, r"line 3: token number 1 follows 2, expected 3. Is the blank line"),
        (b"1\ta\tB-X\nx\tb\tO\n", {"token_column": 2, "numbered": True}, r"line 2: 'x' is no token number"),
        (b"a B\nb O\nc B\n\n", {}, r"line 1, token 1: tag 'B' has no type: name .* \(default_type\)"),
        (b"a O\nb B-X\n", {"tag_column": 5}, r"tag_column 5, but there are 2 columns"),
        (b"a O\nb B-X\n", {"tag_colum": 5}, r"no such option: tag_colum; there are columns, .*tag_column"),
        (b"a O\nb B-X\n", {"tag_column": "2"}, r"format, tag_column: got '2', need a number from 1 on"),
        (b"a O\nb B-X\n", {"separator": "dash"}, r"format, separator: got 'dash', need one of tab, space, .*, blanks"),
        (b"a O\nb B-X\n", {"labels": "O"}, r"format, labels: got 'O', need a list of names"),
        (b"a O\nb B-X\n", {"repair": "yes"}, r"format, repair: got 'yes', need true or false"),
        (b"a O\nb B-X\n", {"offsets": "bytes"}, r"format, offsets: got 'bytes', need one of code points, utf-16"),
        (b"a O\nb B-X\n", {"scheme": "BOI"}, r"'BOI' is no tag scheme known here"),
        (b"a O\nb X-X\nc O\nd O\n", {"tag_column": 2, "scheme": "IOB2"}, r"line 2, token 2: tag 'X-X' is not IOB2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line_and_what_to_do(taken, content, options, message):
    with pytest.raises(CorpusError, match=message):
        taken(content, **options)


def test_a_type_can_be_given_to_tags_that_have_none(taken):
    _, _, report = taken(b"a B\nb I\nc O\n\n", default_type="Disease")
    assert report.types == {"Disease": 1}


def test_a_sentence_that_never_ends_is_a_lost_blank_line_and_a_long_one_is_noted(taken):
    with pytest.raises(
        CorpusError, match=r"x.txt, line 1: over 50,000 tokens without a blank line: are the blank lines"
    ):
        taken(b"a O\nb B-X\n" * 25_001)
    assert list(taken(b"a O\nb B-X\n" * 600)[2].notes) == ["sentence of over 1,000 tokens (is a blank line lost?)"]


def test_a_file_of_prose_is_recognised_as_nothing_and_the_message_names_the_formats(taken):
    with pytest.raises(
        Unrecognised, match=r"no constant number of columns \(the first is 'It was.*known here are conll,"
    ):
        taken(b"It was a dark night.\nThe rain fell in torrents, except at intervals.\nSo.\n")


def test_a_format_without_settings_reads_what_the_catalogue_reads(tmp_path):
    (tmp_path / "x.txt").write_text("a O\nb B-X\n\n")
    assert tags(read(tmp_path / "x.txt", Format("conll"))) == [["O", "B-X"]]
