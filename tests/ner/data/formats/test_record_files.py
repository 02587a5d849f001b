"""Tokens and tags, and texts and spans, in JSON lines, JSON, parquet, Arrow, CSV, BRAT and DocBin."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ner.data.formats import Format, Report, Unrecognised, read, recognise
from ner.data.formats.writers import write
from ner.errors import CorpusError, NerError

FORMATS = Path(__file__).parents[3] / "data" / "formats"
LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
ROWS = [(["Ilse", "Brandt", "left", "Oslo"], ["B-PER", "I-PER", "O", "B-LOC"]), (["Norvik", "fell"], ["B-ORG", "O"])]


def taken(path, format=None, **options):
    """Form, documents and report of a file, recognised and read."""
    found = recognise(path, format, **options)
    report = Report()
    documents = list(read(found.files["all"], found.format, report))
    assert report.is_balanced()
    return found.format, documents, report


def rows(documents):
    return [(s.tokens, s.tags) for document in documents for s in document.sentences]


def entities(documents):
    return [[(s.type, s.text) for s in document.entities()] for document in documents]


# tokens and tags


def test_json_lines_of_tokens_and_tags_are_told_from_parts_of_speech():
    form, documents, _ = taken(FORMATS / "tokens.jsonl")
    assert (form.name, form.tokens_field, form.tags_field, form.scheme) == ("tokens", "tokens", "ner_tags", "IOB2")
    assert rows(documents)[0] == (["Ilse", "Brandt", "left", "Oslo", "."], ["B-PER", "I-PER", "O", "B-LOC", "O"])
    assert [s.line for d in documents for s in d.sentences] == [1, 2]


def test_tag_ids_need_their_labels_and_neighbours_of_one_document_are_together():
    with pytest.raises(
        CorpusError, match=r"ids.jsonl, line 1: the tags in 'ner' are numbers \(1, 0, 3\): list what they"
    ):
        recognise(FORMATS / "ids.jsonl")
    form, documents, _ = taken(FORMATS / "ids.jsonl", labels=LABELS)
    assert [(d.name, len(d.sentences)) for d in documents] == [("a", 2), ("b", 1)]
    assert rows(documents)[0] == (["Ilse", "left", "Oslo"], ["B-PER", "O", "B-LOC"])
    with pytest.raises(CorpusError, match=r"line 1: tag 3 is no id of the 3 labels, 0 to 2"):
        recognise(FORMATS / "ids.jsonl", labels=LABELS[:3])


@pytest.mark.parametrize("layout", ["one line", "indented", "concatenated"])
def test_json_may_be_an_array_or_objects_over_many_lines(tmp_path, layout):
    records = [{"tokens": tokens, "tags": tags} for tokens, tags in ROWS] * 40
    text = {
        "one line": json.dumps(records),
        "indented": json.dumps(records, indent=1),
        "concatenated": "\n".join(json.dumps(r, indent=1) for r in records),
    }[layout]
    (tmp_path / "x.json").write_text(text)
    assert rows(taken(tmp_path / "x.json")[1]) == ROWS * 40


GOOD = '{"tokens": ["a"], "tags": ["B-X"]}'


def test_an_array_on_one_line_may_be_longer_than_a_line_may(tmp_path, monkeypatch):
    monkeypatch.setattr("ner.data.formats.text_files.LONGEST_LINE", 1_000)
    (tmp_path / "x.json").write_text(f"[{', '.join([GOOD] * 5_000)}]")
    assert sum(1 for _ in read(tmp_path / "x.json", recognise(tmp_path / "x.json").format)) == 5_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + '\n{"tokens": ["a"\n', r"x.json, line 2: no valid JSON"),
        (GOOD + '\n{"tokens": ["a", "b"], "tags": ["O"]}', r"x.json, line 2: 2 tokens in 'tokens', 1 tags in 'tags'"),
        (GOOD + '\n{"tokens": ["a"]}', r"line 2: no list in 'tags' \(it has tokens\)"),
        (GOOD + '\n{"tokens": [""], "tags": ["O"]}', r"line 2: token 1 is empty"),
        (GOOD + '\n{"tokens": ["a"], "tags": ["I-X"]}', r"no scheme clearly.*line 2, token 1: 'I-X' follows"),
        (GOOD + "\n[1]", r"line 2: '\[1\]' is no object with tokens"),
        (f"[{GOOD}", r"line 1: the file ends inside its array: it is cut short"),
        (f"[{GOOD} {{", r"line 1: '\{' where a comma or the end of the array should be"),
        (f"[{GOOD}]]", r"line 1: text after the end of the array"),
        ('{"tokens": ["a"], "tags": ["B-X"], "other": ["B-Y"]}', r"more than one field could hold the tags"),
        ('{"text": "a b", "label": ["good"]}', r"texts with label, which hold no spans \(\['good'\]\)"),
        ('{"text": "a", "label": [[0, 1, "X"]]}\n{"label": []}', r"line 2: no text in 'text' \(it has label\)"),
        ('{"text": "a", "label": [[0, 1, "X"]]}\n{"text": "a", "label": 3}', r"line 2: 'label' holds '3', no list"),
        ('{"a": 1}', r"records with a, none of them a text or tokens with tags"),
        ('"a"', r"records that are no objects, such as 'a'"),
        ("[" * 100_000, r"line 1: nested too deep"),
        ("", r"x.json is empty"),
    ],
)
def test_json_that_is_wrong_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(CorpusError, match=message):
        taken(tmp_path / "x.json")


def test_half_a_surrogate_pair_becomes_the_replacement_character(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "\\ud83d Ilse", "label": [[2, 6, "P\\udc00"]]}\n')
    assert entities(taken(tmp_path / "x.jsonl")[1]) == [[("P\ufffd", "Ilse")]]


def table(ids=False, names=True):
    tags = [[LABELS.index(t) for t in tags] if ids else tags for _, tags in ROWS]
    features = {"ner_tags": {"feature": {"names": LABELS, "_type": "ClassLabel"}, "_type": "List"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if names else {}
    return pa.table({"tokens": [tokens for tokens, _ in ROWS], "ner_tags": tags}).replace_schema_metadata(metadata)


def test_parquet_and_arrow_say_themselves_what_ids_stand_for(tmp_path):
    pq.write_table(table(ids=True), tmp_path / "x.parquet")
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table(ids=True).schema) as writer:
        writer.write_table(table(ids=True))
    for name in ("x.parquet", "x.arrow"):
        form, documents, _ = taken(tmp_path / name)
        assert rows(documents) == ROWS and form.labels == tuple(LABELS)


def test_parquet_without_names_of_labels_asks_for_them_and_tags_may_be_text(tmp_path):
    pq.write_table(table(ids=True, names=False), tmp_path / "ids.parquet")
    with pytest.raises(CorpusError, match=r"ids.parquet, row 1: the tags in 'ner_tags' are numbers"):
        recognise(tmp_path / "ids.parquet")
    assert rows(taken(tmp_path / "ids.parquet", labels=LABELS)[1]) == ROWS
    pq.write_table(table(ids=True), tmp_path / "named.parquet")
    with pytest.raises(CorpusError, match=r"named.parquet says that its labels are O, B-PER"):
        recognise(tmp_path / "named.parquet", labels=LABELS[::-1])
    pq.write_table(table(), tmp_path / "text.parquet")
    assert rows(taken(tmp_path / "text.parquet")[1]) == ROWS


def test_damaged_tables_raise_our_errors(tmp_path):
    """Arrow reads past its memory in a damaged stream that nobody validates."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table().schema) as writer:
        writer.write_table(table())
    pq.write_table(table(), tmp_path / "x.parquet")
    whole = {"x.arrow": sink.getvalue().to_pybytes(), "x.parquet": (tmp_path / "x.parquet").read_bytes()}
    chance = random.Random(0)
    for turn in range(200):
        name = ("x.arrow", "x.parquet")[turn % 2]
        content = bytearray(whole[name])
        content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / name).write_bytes(content[: chance.choice([None, None, chance.randrange(len(content))])])
        try:
            taken(tmp_path / name)
        except NerError:
            continue


def test_csv_with_a_token_a_row_and_the_sentence_named_once():
    form, documents, _ = taken(FORMATS / "token-rows.csv")
    assert (form.name, form.tokens_field, form.tags_field) == ("token-rows", "Word", "Tag")
    assert rows(documents) == [
        (["Ilse", "Brandt", "said", ",", '"', "no"], ["B-per", "I-per", "O", "O", "O", "O"]),
        (["Oslo", "10,000"], ["B-geo", "O"]),
    ]


def test_csv_with_a_sentence_a_row():
    form, documents, _ = taken(FORMATS / "sentences.csv")
    assert (form.name, form.separator) == ("tokens", "comma")
    assert rows(documents)[0] == (["Ilse", "left", "Oslo"], ["B-per", "O", "B-geo"])


def test_tabs_with_a_header_and_quotation_marks_that_are_tokens(tmp_path):
    (tmp_path / "x.tsv").write_text('doc\ttoken\tner_tag\na\t"\tO\na\tIlse\tB-PER\na\t"\tO\n\t\t\nb\tOslo\tB-LOC\n')
    form, documents, _ = taken(tmp_path / "x.tsv")
    assert (form.quotes, [d.name for d in documents]) == (False, ["a", "b"])
    assert rows(documents) == [(['"', "Ilse", '"'], ["O", "B-PER", "O"]), (["Oslo"], ["B-LOC"])]
    with pytest.raises(CorpusError, match=r"line 2: a line break inside .*say quotes: false"):
        recognise(tmp_path / "x.tsv", quotes=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("token,tag\na,O\nb,B-X,O\n", r"x.csv, line 3: 3 cells, but the header has 2 \(token, tag\)"),
        ("token,tag\na,O\n,B-X\n", r"line 3: an empty token"),
        ("token,tag\na,O\nb,\n", r"line 3: an empty tag"),
        ("token,token\na,O\n", r"line 1: two columns have one name"),
        ('token,tag\na,O\n"b,B-X\n', r"line 3: no valid CSV"),
    ],
)
def test_csv_that_is_wrong_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(CorpusError, match=message):
        taken(tmp_path / "x.csv")


# texts and spans


def test_prodigy():
    form, documents, report = taken(FORMATS / "prodigy.jsonl")
    assert (form.name, form.spans_field) == ("prodigy", "spans")
    assert entities(documents) == [
        [("PERSON", "Ilse Brandt"), ("ORG", "Norvik AS"), ("GPE", "Oslo")],
        [("ORG", "Bank of Bergen"), ("PERSON", "Ilse")],
        [],
    ]
    assert (report.documents_in, report.documents, report.entities_in, report.entities) == (5, 3, 8, 5)
    assert report.causes() == {
        ("document", "rejected"): 2,
        ("entity", "nested"): 1,
        ("entity", "inside a token"): 1,
        ("entity", "rejected"): 1,
    }
    assert report.ignored == {"relations": 1}


def test_doccano_in_both_forms():
    form, documents, report = taken(FORMATS / "doccano.jsonl")
    assert (form.name, form.spans_field) == ("doccano", "label")
    assert [d.name for d in documents] == ["101", "102", "103"]
    assert entities(documents) == [[("Person", "Ilse Brandt"), ("Firma", "Norvik AS")], [("Person", "Ilse")], []]
    form, documents, report = taken(FORMATS / "doccano-entities.jsonl")
    assert (form.name, form.spans_field) == ("doccano", "entities")
    assert entities(documents) == [[("Person", "Ilse Brandt"), ("Firma", "Norvik AS")], []]
    assert report.ignored == {"relations": 1}
    assert [str(p) for p in report.listed] == [
        "doccano-entities.jsonl, line 2, document 6401: Ort 'Oslo sleeps.': out of range: [0, 40) of a text of 12 "
        "characters"
    ]


def test_label_studio_reads_one_annotation_and_lists_or_counts_all_else():
    form, documents, report = taken(FORMATS / "label-studio.json")
    assert (form.name, form.text_field) == ("label-studio", "text")
    assert entities(documents) == [
        [("PER", "Ilse Brandt"), ("ORG", "Norvik AS")],
        [("ORG", "Bank of Bergen"), ("PER", "Ilse")],  # after an emoji, with offsets that count UTF-16 units
    ]
    assert report.causes() == {
        ("entity", "another annotation"): 1,
        ("document", "rejected"): 1,
        ("document", "not annotated"): 1,
    }
    assert report.ignored == {"choices": 1, "relation": 1, "prediction": 1}
    assert report.notes["document whose offsets count utf-16"] == 1


def test_label_studio_min_and_spacy_2():
    form, documents, _ = taken(FORMATS / "label-studio-min.json")
    assert (form.name, entities(documents)) == ("label-studio", [[("PER", "Ilse Brandt")], []])
    form, documents, _ = taken(FORMATS / "spans.jsonl")
    assert (form.name, entities(documents)) == ("spans", [[("PERSON", "Ilse"), ("GPE", "Oslo")], []])


def test_what_is_no_span_is_listed(tmp_path):
    items = [[0, 4], ["a", "b", "X"], {"start": 0, "end": 4}, {"start": 0.5, "end": 4, "label": "X"}, None, [0, 4, "X"]]
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "Ilse won.", "label": items}))
    _, documents, report = taken(tmp_path / "x.jsonl")
    assert entities(documents) == [[("X", "Ilse")]] and report.entities_in == 6
    assert report.causes() == {("entity", "no span"): 4, ("entity", "no type"): 1}


def test_texts_that_nobody_annotated_are_read_as_such(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"text": "Ilse left Oslo."}\n{"text": "She won."}\n')
    form, documents, report = taken(tmp_path / "x.jsonl")
    assert form.name == "texts" and [d.labelled for d in documents] == [False, False] and report.entities_in == 0


def test_brat_joins_lines_lists_gaps_and_counts_the_rest():
    form, documents, report = taken(FORMATS / "brat")
    assert form.name == "brat" and [d.name for d in documents] == ["wire-1", "wire-2"]
    assert entities(documents) == [
        [("Person", "Ilse Brandt"), ("Org", "Norvik\nAS"), ("Place", "Bergen districts")],
        [],
    ]
    assert [p.reason for p in report.listed] == ["discontinuous: line 3 has the ranges 38 42;54 63"]
    assert report.ignored == {"relation": 1, "attribute": 1, "note": 1, "equivalence": 1}


def test_brat_without_a_text_lists_its_entities(tmp_path):
    (tmp_path / "a.ann").write_text("T1\tPER 0 4\tIlse\nT2 PER 0 4\tIlse\n")
    report = Report()
    assert list(read(tmp_path / "a.ann", Format("brat"), report)) == [] and report.is_balanced()
    assert report.causes() == {("entity", "no span"): 1, ("document", "no text"): 1, ("entity", "no text"): 1}
    with pytest.raises(Unrecognised, match=r"a.ann has no a.txt beside it"):
        recognise(tmp_path / "a.ann")


def test_docbin_keeps_spacys_tokens_and_sentences(tmp_path):
    import spacy
    from spacy.tokens import Doc, DocBin, Span

    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    doc = nlp("Ilse left the U.K.  for Oslo. She won.\n\nNorvik fell.")
    doc.set_ents([Span(doc, 0, 1, label="PER"), Span(doc, 3, 5, label="LOC")], default="outside")
    doc.spans["sc"] = [Span(doc, 0, 2, label="X")]
    bare = Doc(nlp.vocab, words=["Nobody", "knows"])
    DocBin(docs=[doc, bare]).to_disk(tmp_path / "x.spacy")
    form, documents, report = taken(tmp_path / "x.spacy")
    assert form.name == "docbin" and [len(s.tokens) for s in documents[0].sentences] == [7, 3, 3]
    assert entities(documents) == [[("PER", "Ilse"), ("LOC", "U.K.")]]  # without the white space that is a token there
    assert report.causes() == {("document", "not annotated"): 1} and report.documents_in == 2
    assert report.ignored == {"span of a span group": 1}


def test_a_damaged_docbin_is_our_error(tmp_path):
    (tmp_path / "x.spacy").write_bytes(b"\x78\x9c nothing")
    with pytest.raises(CorpusError, match=r"x.spacy is no readable DocBin"):
        recognise(tmp_path / "x.spacy")


# folders


def test_a_folder_gives_splits_by_the_names_of_files_and_folders(tmp_path):
    content = (FORMATS / "iob1.txt").read_bytes()
    for name in ("eng.train", "eng.testa", "eng.testb", "notes/README.md", ".hidden", "figure.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    found = recognise(tmp_path)
    assert {split: [p.name for p in paths] for split, paths in found.files.items()} == {
        "train": ["eng.train"], "validation": ["eng.testa"], "test": ["eng.testb"],
    }  # fmt: skip
    assert sorted(path.name for path, _ in found.skipped) == [".hidden", "README.md", "figure.png"]
    assert found.format.scheme == "IOB1"


def test_the_scheme_of_a_folder_is_told_from_all_its_files(tmp_path):
    (tmp_path / "train.txt").write_text("a I-X\nb B-X\nc O\n\n")
    (tmp_path / "test.txt").write_text("a I-X\nb I-X\nc O\n\n")  # alone, this would be IO
    found = recognise(tmp_path)
    assert found.format.scheme == "IOB1"
    with pytest.raises(CorpusError, match=r"train.txt is conll .*, but test.txt is conll"):
        (tmp_path / "test.txt").write_text("a x I-X\nb x I-X\nc x O\n\n")
        recognise(tmp_path)


def test_unlabelled_texts_in_a_folder_stand_apart(tmp_path):
    write(
        tmp_path / "train.jsonl",
        read(FORMATS / "doccano.jsonl", recognise(FORMATS / "doccano.jsonl").format),
        "doccano",
    )
    (tmp_path / "extra.jsonl").write_text('{"text": "Ilse left Oslo."}\n')
    found = recognise(tmp_path)
    assert {s: [p.name for p in ps] for s, ps in found.files.items()} == {
        "train": ["train.jsonl"],
        "unlabelled": ["extra.jsonl"],
    }
    assert (found.format.name, found.unlabelled.name) == ("doccano", "texts")


def test_a_split_that_is_not_recognised_is_an_error_another_file_is_left_out(tmp_path):
    (tmp_path / "train.txt").write_text("a B-X\nb O\n\n")
    (tmp_path / "notes.txt").write_text("It was a dark night.\nThe rain fell.\n")
    assert [(p.name, "no constant number of columns" in why) for p, why in recognise(tmp_path).skipped] == [
        ("notes.txt", True)
    ]
    (tmp_path / "test.txt").write_text("It was a dark night.\nThe rain fell.\n")
    with pytest.raises(
        Unrecognised, match=r"test.txt have no constant number of columns.*formats known here are conll"
    ):
        recognise(tmp_path)


def test_what_cannot_be_annotated_text_is_told(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(NerError, match=r"x.zip is no readable zip archive"):
        recognise(tmp_path / "x.zip")
    (tmp_path / "x.gz").write_bytes(b"\x1f\x8brest")
    with pytest.raises(CorpusError, match=r"x.gz is gzip: unpack it first"):
        recognise(tmp_path / "x.gz")
    with pytest.raises(CorpusError, match=r"nowhere cannot be read \(No such file"):
        recognise(tmp_path / "nowhere")
    with pytest.raises(Unrecognised, match=r"nothing in it is recognised"):
        recognise(tmp_path)
    with pytest.raises(CorpusError, match=r"'connl' is no format known here: use one of conll, conllu"):
        recognise(FORMATS / "iob1.txt", "connl")
    with pytest.raises(CorpusError, match=r"doccano.jsonl is no tokens .*: it reads as doccano"):
        recognise(FORMATS / "doccano.jsonl", "tokens")


def test_settings_are_plain_values_that_make_the_format_again():
    for path in ("ids.jsonl", "iob1.txt", "token-rows.csv"):
        form = recognise(FORMATS / path, labels=LABELS if path == "ids.jsonl" else None).format
        settings = json.loads(json.dumps(form.settings()))
        assert Format(**settings | ({"labels": tuple(settings["labels"])} if "labels" in settings else {})) == form


@pytest.mark.parametrize(
    ("name", "tokens", "message"),
    [
        ("conll", ["a b"], r"'a b' cannot stand in a column .*the separator ' '"),
        ("conll", ["a\nb"], r"cannot stand in a column"),
        ("conll", ["-DOCSTART-x"], r"a token begins with -DOCSTART-"),
        ("doccano", ["\ud800"], r"half a surrogate pair"),
        ("nothing", ["a"], r"'nothing' cannot be written: use one of conll, prodigy"),
    ],
)
def test_what_a_form_cannot_express_is_refused_and_leaves_no_file(tmp_path, name, tokens, message):
    from ner.data.conll import Sentence
    from ner.data.formats import Document

    with pytest.raises(CorpusError, match=message):
        write(tmp_path / "x", [Document("d", [Sentence(0, tokens, ["B-X"] * len(tokens), 1)])], name)
    assert list(tmp_path.iterdir()) == []
