import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from ner.errors import TagError
from ner.tags import Span, first_orphan, label_names, spans_to_tags, split_tag, tags_to_spans

TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-X-Y", "I-X-Y"])


def test_single_token_entities_become_half_open_spans():
    tags = ["B-ORG", "O", "B-MISC", "O", "O", "O", "B-MISC", "O", "O"]
    assert tags_to_spans(tags) == [Span(0, 1, "ORG"), Span(2, 3, "MISC"), Span(6, 7, "MISC")]


def test_neighbours_of_one_type_are_two_entities():
    assert tags_to_spans(["B-PER", "I-PER", "B-PER"]) == [Span(0, 2, "PER"), Span(2, 3, "PER")]


def test_an_orphan_starts_an_entity_as_in_conlleval():
    assert tags_to_spans(["I-PER", "I-LOC", "O", "I-LOC"]) == [Span(0, 1, "PER"), Span(1, 2, "LOC"), Span(3, 4, "LOC")]


@given(st.lists(TAGS, max_size=12))
def test_spans_are_those_of_seqeval_in_its_default_mode(tags):
    assert [(s.type, s.start, s.end - 1) for s in tags_to_spans(tags)] == get_entities(tags)


@given(st.lists(TAGS, max_size=12))
def test_valid_iob2_survives_the_way_to_spans_and_back(tags):
    spans = tags_to_spans(tags)
    repaired = spans_to_tags(spans, len(tags))
    assert first_orphan(repaired) is None
    assert tags_to_spans(repaired) == spans
    assert (repaired == tags) == (first_orphan(tags) is None)


@pytest.mark.parametrize(
    ("tags", "index"),
    [
        ([], None),
        (["O", "B-PER", "I-PER"], None),
        (["I-PER"], 0),
        (["B-PER", "I-LOC"], 1),
        (["B-PER", "O", "I-PER"], 2),
    ],
)
def test_the_first_orphan_is_found(tags, index):
    assert first_orphan(tags) == index


@pytest.mark.parametrize(
    "tag", ["", "o", "B", "B-", "I-", "-PER", "PER", "b-PER", "S-PER", "E-PER", "U-PER", "OO", " O"]
)
def test_what_is_no_iob2_tag_is_quoted(tag):
    with pytest.raises(TagError, match="is not IOB2: expected 'O', 'B-TYPE' or 'I-TYPE'") as error:
        split_tag(tag)
    assert repr(tag) in str(error.value)


def test_a_type_may_hold_dashes():
    assert split_tag("B-GEO-POLITICAL") == ("B", "GEO-POLITICAL")


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([Span(0, 3, "PER")], "outside a sentence of 2"),
        ([Span(-1, 1, "PER")], "outside"),
        ([Span(1, 1, "PER")], "outside"),
        ([Span(0, 2, "PER"), Span(1, 2, "LOC")], "overlaps"),
    ],
)
def test_spans_that_do_not_fit_are_refused(spans, message):
    with pytest.raises(TagError, match=message):
        spans_to_tags(spans, 2)


def test_labels_are_the_same_whatever_order_the_corpus_has_them_in():
    assert (
        label_names(["PER", "LOC", "PER"]) == label_names(["LOC", "PER"]) == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    )
    assert label_names([]) == ["O"]
