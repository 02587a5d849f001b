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
