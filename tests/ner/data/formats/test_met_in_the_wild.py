"""Corpora and exports as they really look: what tools write that no documentation says."""

import json

import pytest

from ner.data.formats import Report, read, recognise


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
