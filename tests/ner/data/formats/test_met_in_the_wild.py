"""Corpora and exports as they really look: what tools write that no documentation says."""

import json

import pytest

from ner.data.formats import Report, read, recognise
from ner.data.formats.writers import write
from ner.errors import CorpusError


def taken(path, format=None, **options):
    """Form, documents and report of a file or a folder, recognised and read."""
    found = recognise(path, format, **options)
    report = Report()
    documents = list(read(found.files["all"], found.format, report))
    assert report.is_balanced()
    return found, documents, report


def texts(documents):
    return [[(entity.type, entity.text) for entity in document.entities()] for document in documents]


def write_lines(path, records):
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_long_paragraph_without_spaces_keeps_every_entity(tmp_path, language):
    sentence = "王海平在北原港见到了卫江。"
    starts = range(0, 40 * len(sentence), len(sentence))
    labels = [[at + first, at + last, "PER"] for at in starts for first, last in ((0, 3), (10, 12))]
    path = write_lines(tmp_path / "x.jsonl", [{"text": sentence * 40, "label": labels}])
    _, documents, report = taken(path, language=language)
    assert not report.listed and texts(documents) == [[("PER", "王海平"), ("PER", "卫江")] * 40]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\u2028"])
def test_an_entity_may_go_over_a_line_end_of_any_kind_and_never_over_a_blank_line(tmp_path, end):
    text = f"It was Ilka{end}Brandt.{end}{end}Bo came."
    spans = [[text.index("Ilka"), text.index("."), "PER"], [text.index("Brandt"), text.index(" came"), "PER"]]
    _, documents, report = taken(write_lines(tmp_path / "x.jsonl", [{"text": text, "label": spans}]))
    assert texts(documents) == [[("PER", f"Ilka{end}Brandt")]]
    assert [problem.cause for problem in report.listed] == ["across a blank line"]


@pytest.mark.parametrize("counted", ["with CR", "without CR"])
def test_brat_with_cr_lf_keeps_entities_over_a_line_end(tmp_path, counted):
    text = "A letter\r\nof Ilka\r\nBrandt came.\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    measured = text if counted == "with CR" else text.replace("\r", "")
    first, second = measured.index("Ilka"), measured.index("Brandt")
    annotation = f"T1\tPER {first} {first + 4};{second} {second + 6}\tIlka Brandt\r\n"
    (tmp_path / "a.ann").write_bytes(annotation.encode())
    _, documents, report = taken(tmp_path)
    assert not report.listed and texts(documents) == [[("PER", "Ilka\r\nBrandt")]]
    assert documents[0].sentences[0].line == 1


NAMES = ["Ilse Brandt", "Bo Ek", "Mira Lund"]


def emoji_records(measure, texts):
    """Records whose offsets count what `measure` counts."""
    for text in texts:
        name = next(name for name in NAMES if name in text)
        at = text.index(name)
        yield {"text": text, "label": [[measure(text[:at]), measure(text[: at + len(name)]), "PER"]]}


def code_points(part):
    return len(part)


def utf_16(part):
    return len(part.encode("utf-16-le")) // 2


@pytest.mark.parametrize("measure", [code_points, utf_16])
def test_the_unit_of_offsets_is_told_by_the_ends_of_words(tmp_path, measure):
    records = emoji_records(measure, [f"😀 So {name} came." for name in NAMES])
    found, documents, report = taken(write_lines(tmp_path / "x.jsonl", records))
    assert found.format.offsets == ("utf-16" if measure is utf_16 else "code points")
    assert not report.listed and texts(documents) == [[("PER", name)] for name in NAMES]


@pytest.mark.parametrize("measure", [code_points, utf_16])
def test_the_unit_of_offsets_is_told_by_names_that_stand_elsewhere(tmp_path, measure):
    names = ["王小明", "李大伟"]
    place = [measure("🎉昨天"), measure("🎉昨天王小明")]
    rows = [{"text": f"昨天来了{name}吗", "label": [[4, 7, "PER"]]} for name in names]
    rows += [{"text": f"🎉昨天{name}来", "label": [[*place, "PER"]]} for name in names]
    _, documents, _ = taken(write_lines(tmp_path / "x.jsonl", rows))
    assert texts(documents) == [[("PER", name)] for name in names * 2]


def test_the_unit_of_offsets_is_asked_where_nothing_tells_it(tmp_path):
    path = write_lines(tmp_path / "x.jsonl", [{"text": "🎉昨天王小明来", "label": [[4, 7, "PER"]]}])
    with pytest.raises(
        CorpusError, match=r"x.jsonl, line 1: \[4, 7\) reads '小明来'.*'王小明' in UTF-16.*offsets=utf-16"
    ):
        recognise(path)
    assert texts(taken(path, offsets="utf-16")[1]) == [[("PER", "王小明")]]
    assert texts(taken(path, offsets="code points")[1]) == [[("PER", "小明来")]]


def test_doccano_is_written_in_its_own_unit_and_says_so(tmp_path):
    path = write_lines(tmp_path / "x.jsonl", [{"text": "🎉昨天王小明来", "label": [[3, 6, "PER"]]}])
    _, documents, _ = taken(path, offsets="code points")
    form = write(tmp_path / "y.jsonl", documents, "doccano")
    record = json.loads((tmp_path / "y.jsonl").read_text())
    assert record["label"] == [[4, 7, "PER"]] and record["offsets"] == "utf-16"
    assert texts(read(tmp_path / "y.jsonl", form)) == texts(taken(tmp_path / "y.jsonl")[1]) == [[("PER", "王小明")]]


@pytest.mark.parametrize(
    "span",
    [
        [5, 11, "Brandt", "PER"],
        [5, 11, "PER", "Brandt"],
        ["Brandt", 5, 11, "PER"],
        {"start": 5, "end": 11, "label": "Brandt", "type": "PER"},
        {"start": 5, "end": 11, "text": "Brandt", "type": "PER"},
    ],
)
def test_the_text_of_a_span_is_not_taken_for_its_type(tmp_path, span):
    path = write_lines(tmp_path / "x.jsonl", [{"text": "Ilse Brandt left.", "entities": [span]}] * 3)
    assert texts(taken(path)[1]) == [[("PER", "Brandt")]] * 3


def test_a_field_with_a_value_for_each_entity_is_no_type(tmp_path):
    rows = [{"text": f"Ilse{i} left.", "entities": [[0, len(f"Ilse{i}"), f"Ilse{i}"]]} for i in range(50)]
    with pytest.raises(CorpusError, match=r"x.jsonl: 50 spans in 'entities' have 50 types, such as 'Ilse0'"):
        recognise(write_lines(tmp_path / "x.jsonl", rows))


def test_a_mark_in_the_middle_of_joined_files_is_no_token(tmp_path):
    part = "\ufeff-DOCSTART- O\n\nIlse B-PER\nleft O\n\n-DOCSTART- O\n\nBo B-PER\ncame O\n\n"
    (tmp_path / "x.conll").write_text(part * 2, encoding="utf-8")
    _, documents, report = taken(tmp_path / "x.conll")
    assert texts(documents) == [[("PER", "Ilse")], [("PER", "Bo")]] * 2 and report.tokens == 8


def test_surrogates_in_utf_8_are_named_and_read(tmp_path):
    content = "".join(f"a{n} O\n😀 O\nIlse B-PER\n\n" for n in range(9000))
    (tmp_path / "x.conll").write_bytes(content.encode("utf-16", "surrogatepass").decode("utf-16").encode())
    broken = content.replace("😀", "\ud83d\ude00").encode("utf-8", "surrogatepass")
    (tmp_path / "x.conll").write_bytes(broken)
    with pytest.raises(CorpusError, match=r"line 2: byte 0xed is not utf-8.*encoding: cesu-8; these are surrogates"):
        recognise(tmp_path / "x.conll")
    _, documents, _ = taken(tmp_path / "x.conll", encoding="cesu-8")
    assert {document.sentences[0].tokens[1] for document in documents} == {"😀"}


def test_tokens_of_a_docbin_that_nobody_annotated_are_noted(tmp_path):
    import spacy
    from spacy.tokens import DocBin, Span

    doc = spacy.blank("en")("Ilse Brandt left Oslo")
    doc.set_ents([Span(doc, 0, 2, "PER")], default="missing")
    DocBin(docs=[doc]).to_disk(tmp_path / "x.spacy")
    _, _, report = taken(tmp_path / "x.spacy")
    assert report.notes == {"token whose annotation is missing, read as outside of every entity": 2}


@pytest.mark.parametrize(
    "content", ["Ilse,B-PER\nleft,O\n", "0,Ilse,B-PER\n0,left,O\n", "\ntoken,tag\nIlse,B-PER\nleft,O\n"]
)
def test_csv_without_a_header_or_with_a_blank_first_line(tmp_path, content):
    (tmp_path / "x.csv").write_text(content)
    assert texts(taken(tmp_path / "x.csv")[1]) == [[("PER", "Ilse")]]


@pytest.mark.parametrize(
    "record",
    [
        {"id": 1, "data": "Ilse left.", "label": [[0, 4, "PER"]]},
        {"text": "Ilse left.", "entities": [{"name": "Ilse", "span": [0, 4], "type": "PER"}]},
        {
            "content": "Ilse left.",
            "annotation": [{"label": ["PER"], "points": [{"start": 0, "end": 3, "text": "Ilse"}]}],
        },
        {"classes": ["PER"], "annotations": [["Ilse left.", {"entities": [[0, 4, "PER"]]}], None]},
    ],
    ids=["doccano's data", "span lists", "DataTurks", "NER Annotator"],
)
def test_layouts_of_other_tools(tmp_path, record):
    (tmp_path / "x.json").write_text(json.dumps(record))
    _, documents, report = taken(tmp_path / "x.json")
    assert texts(documents) == [[("PER", "Ilse")]] and not report.listed


def test_a_folder_in_which_nothing_is_recognised_names_the_file_of_each_reason(tmp_path):
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(CorpusError, match="readme.md: its name says that it holds no annotated text"):
        recognise(tmp_path)
