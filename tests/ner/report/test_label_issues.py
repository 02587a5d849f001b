"""Wrong annotations are found, joined to spans and placed; a right one that the model only spells otherwise is not."""

import numpy as np
import pytest

from ner.data.predictions import Predictions
from ner.report.label_issues import COLUMNS, find_label_issues

LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
SENTENCE = ["Anna", "Meier", "lives", "in", "New", "York", "."]
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "O"]


def predictions(
    gold: list[list[str]], read: list[list[str]], lines: list[int] | None = None, sure: float = 9.0
) -> Predictions:
    """As many copies of SENTENCE as there are gold tags; the model is `sure` (a logit) of the tags in `read`."""
    logits = np.zeros((sum(map(len, read)), len(LABELS)), np.float32)
    logits[np.arange(len(logits)), [LABELS.index(tag) for tags in read for tag in tags]] = sure
    count = len(gold)
    return Predictions(
        document_ids=[0] * count,
        sentence_ids=list(range(count)),
        lines=lines or [1 + 8 * index for index in range(count)],
        tokens=[SENTENCE] * count,
        gold=gold,
        logits_document=logits,
        logits_alone=logits,
        labels=LABELS,
        context="document",
        fingerprint="ab" * 32,
    )


def replaced(tags: list[str], changes: dict[int, str]) -> list[str]:
    return [changes.get(index, tag) for index, tag in enumerate(tags)]


def test_adjacent_wrong_annotations_are_one_span_with_its_line_and_both_readings():
    wrong = replaced(TAGS, {4: "O", 5: "O"})
    table = find_label_issues("test", predictions([TAGS] * 20 + [wrong], [TAGS] * 21), 1.0)
    assert len(table) == 1
    row = table.iloc[0]
    assert list(table.columns[: len(COLUMNS)]) == COLUMNS
    assert (row["rank"], row["split"], row["document_id"], row["sentence_id"]) == (1, "test", 0, 20)
    assert row["line"] == 1 + 8 * 20 + 4
    assert (row["text"], row["annotated"], row["suggested"]) == ("New York", "O O", "B-LOC I-LOC")
    assert row["sentence"] == " ".join(SENTENCE)
    assert 0.99 < row["confidence"] < 1


def test_the_most_confidently_contradicted_annotation_is_first():
    wrong = [replaced(TAGS, {0: "O", 1: "O"}), replaced(TAGS, {4: "O", 5: "O"})]
    found = predictions([TAGS] * 20 + wrong, [TAGS] * 22)
    found.logits_document[: 10 * 7] *= 0.6
    found.logits_document[20 * 7 : 21 * 7] *= 0.8  # of the first of both the model is less sure
    table = find_label_issues("validation", found, 1.0)
    assert table["sentence_id"].to_list() == [21, 20]
    assert table["rank"].to_list() == [1, 2]
    assert table["confidence"].is_monotonic_decreasing


def test_an_inside_tag_where_an_entity_begins_contradicts_nothing():
    orphan = replaced(TAGS, {4: "I-LOC"})
    table = find_label_issues("test", predictions([TAGS] * 20, [TAGS] * 15 + [orphan] * 5), 1.0)
    assert table.empty


def test_what_is_suggested_is_valid_iob2_though_the_model_begins_with_an_inside_tag():
    wrong, orphan = replaced(TAGS, {4: "O", 5: "O"}), replaced(TAGS, {4: "I-LOC"})
    table = find_label_issues("test", predictions([TAGS] * 20 + [wrong], [TAGS] * 20 + [orphan]), 1.0)
    assert table["suggested"].to_list() == ["B-LOC I-LOC"]


def test_a_corpus_without_lines_has_none():
    wrong = replaced(TAGS, {4: "O", 5: "O"})
    table = find_label_issues("test", predictions([TAGS] * 20 + [wrong], [TAGS] * 21, lines=[0] * 21), 1.0)
    assert table["line"].to_list() == [0]


@pytest.mark.parametrize("gold", [[TAGS] * 5, [["O"] * 7] * 5, []], ids=["all right", "no entities", "no sentences"])
def test_where_there_is_nothing_to_suspect_the_table_is_empty(gold):
    table = find_label_issues("test", predictions(gold, gold), 1.0)
    assert table.empty and list(table.columns[: len(COLUMNS)]) == COLUMNS
