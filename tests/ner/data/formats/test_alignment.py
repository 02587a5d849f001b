"""Character spans to tokens: each is kept, or listed with its document, its text and why."""

import pytest

from ner.data.formats import CharSpan, Format, Report
from ner.data.formats.alignment import Where, document_of_text
from ner.data.formats.offsets import in_code_points

TEXT = "Marta Okafor left Rotterdam. She won in 1996-08-22.\n\nThe Bank of Lagos fell."


def aligned(text, *spans, form=None):
    report = Report()
    found = document_of_text(text, spans, Where("x.jsonl", "line 7", "d1"), form or Format("spans"), report)
    assert report.is_balanced()
    return found, report


def span(part, kind="X", text=TEXT):
    start = text.index(part)
    return CharSpan(start, start + len(part), kind)


def test_spans_become_tags_on_the_tokens_that_prediction_cuts():
    document, report = aligned(
        TEXT, span("Bank of Lagos", "ORG"), span("Marta Okafor", "PER"), span("1996-08-22", "DATE")
    )
    assert document.entities() == [
        CharSpan(0, 12, "PER", "Marta Okafor"),
        CharSpan(40, 50, "DATE", "1996-08-22"),
        CharSpan(57, 70, "ORG", "Bank of Lagos"),
    ]
    assert [s.tokens[-1] for s in document.sentences] == [".", ".", "."]
    assert {s.line for s in document.sentences} == {7}  # of the record in the file
    assert report.types == {"ORG": 1, "PER": 1, "DATE": 1} and not report.listed
    for sentence, places in zip(document.sentences, document.offsets, strict=True):
        assert [TEXT[a:b] for a, b in places] == sentence.tokens


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (span("arta"), "inside a token: begins in 'Marta'"),
        (span("Mart"), "inside a token: ends in 'Marta'"),
        (span("08"), "inside a token: begins in '1996-08-22'"),
        (CharSpan(-2, 3, "X"), "out of range: [-2, 3) of a text of 76 characters"),
        (CharSpan(70, 99, "X"), "out of range: [70, 99) of a text of 76 characters"),
        (CharSpan(3, 3, "X"), "empty: [3, 3)"),
        (CharSpan(5, 3, "X"), "empty: [5, 3)"),
        (CharSpan(5, 6, "X"), "white space alone: [5, 6)"),
        (span("Marta", ""), "no type"),
        (CharSpan(0, 5, "X", "Maria"), "wrong text: 'Marta' stands at [0, 5)"),
        (span("1996-08-22.\n\nThe"), "across a blank line: no predicted entity is"),
    ],
)
def test_a_span_that_cannot_be_aligned_is_listed_with_the_reason(one, reason):
    document, report = aligned(TEXT, one)
    (problem,) = report.listed
    assert (problem.kind, problem.file, problem.place, problem.document) == ("entity", "x.jsonl", "line 7", "d1")
    assert problem.reason == reason and problem.cause == reason.partition(":")[0]
    assert document.entities() == [] and (report.entities_in, report.entities) == (1, 0)


def test_of_overlapping_spans_the_longest_is_kept_of_equals_the_first_and_the_others_are_listed():
    spans = [
        span("Okafor left Rotterdam", "A"),
        span("Marta Okafor", "B"),
        span("Rotterdam", "C"),
        span("Okafor left Rotterdam", "D"),
        span("Okafor left Rotterdam", "A"),
        span("Marta", "E"),
    ]
    document, report = aligned(TEXT, *spans)
    assert [(s.type, s.text) for s in document.entities()] == [("E", "Marta"), ("A", "Okafor left Rotterdam")]
    winner = "'Okafor left Rotterdam' (A) at [6, 27)"
    assert [(p.type, p.reason) for p in report.listed] == [
        ("B", f"overlapping: with {winner}"),
        ("C", f"nested: in {winner}"),
        ("D", f"same place: as {winner}"),
        ("A", f"duplicate: of {winner}"),
    ]
    assert report.causes() == {("entity", cause): 1 for cause in ("overlapping", "nested", "same place", "duplicate")}


def test_a_span_that_cannot_be_kept_pushes_none_out():
    document, report = aligned(TEXT, span("Marta Okafor lef"), span("Marta"))
    assert [s.text for s in document.entities()] == ["Marta"] and len(report.listed) == 1


def test_white_space_at_the_edges_is_left_out_and_noted():
    document, report = aligned(TEXT, span(" Lagos "))
    assert [s.text for s in document.entities()] == ["Lagos"]
    assert report.notes == {"entity with white space at its edges, which is left out": 1}


def test_an_entity_over_a_guessed_sentence_end_makes_the_two_one():
    document, _ = aligned(TEXT, span("Rotterdam. She"))
    assert [s.text for s in document.entities()] == ["Rotterdam. She"]
    assert [len(s.tokens) for s in document.sentences][0] == 10


EMOJI = "😀 Ilse 👍🏽 Brandt\r\nin Ôslo"


@pytest.mark.parametrize(
    ("unit", "measure"),
    [
        ("code points", len),
        ("utf-16", lambda part: len(part.encode("utf-16-le")) // 2),
        ("utf-8", lambda part: len(part.encode())),
        ("no-cr", lambda part: len(part.replace("\r", ""))),
    ],
)
def test_what_offsets_count_is_told_by_the_annotations_own_texts_or_named(unit, measure):
    wanted = [span(part, text=EMOJI)._replace(text=part) for part in ("Ilse", "Brandt", "Ôslo")]
    given = [s._replace(start=measure(EMOJI[: s.start]), end=measure(EMOJI[: s.end])) for s in wanted]
    assert in_code_points(EMOJI, given) == (wanted, unit)
    silent = [s._replace(text=None) for s in given]
    assert in_code_points(EMOJI, silent, unit)[0] == [s._replace(text=None) for s in wanted]


def test_ends_that_stand_on_the_last_character_are_noticed():
    assert in_code_points("a Ilse b", [CharSpan(2, 5, "X", "Ilse")]) == ([CharSpan(2, 6, "X", "Ilse")], "inclusive")


def test_offsets_inside_a_character_are_listed():
    _, report = aligned("😀 Ilse", CharSpan(1, 7, "X"), form=Format("spans", offsets="utf-16"))
    assert report.listed[0].reason == "inside a character: [1, 7) in utf-16"


def test_right_to_left_text_aligns():
    hebrew = "אילזה ברנדט גרה באוסלו"
    document, report = aligned(hebrew, CharSpan(0, 11, "PER"))
    assert document.entities()[0].text == "אילזה ברנדט" and not report.listed
