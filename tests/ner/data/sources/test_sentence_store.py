"""Sentences on the disk come back as they went in, as often as one asks."""

from itertools import islice

import pytest

from ner.data.conll import Sentence
from ner.data.sources import sentence_store as module
from ner.data.sources.sentence_store import DerivedRows, StoredRows

SENTENCES = [
    Sentence(
        number // 3, [f"w{number}", "Zürich", ""][: 1 + number % 3], ["O", "B-LOC", "I-LOC"][: 1 + number % 3], number
    )
    for number in range(50)
]


@pytest.fixture
def stored(tmp_path, monkeypatch) -> StoredRows:
    """In chunks of a few sentences."""
    monkeypatch.setattr(module, "CHUNK_TOKENS", 20)
    return StoredRows.of(SENTENCES, tmp_path)


def test_sentences_come_back_as_they_went_in_and_again(stored):
    assert list(stored) == list(stored) == SENTENCES
    assert len(stored) == 50 and stored.documents == 17
    assert stored.tag_names == ["B-LOC", "I-LOC"]
    assert stored.entities == sum(row.tags.count("B-LOC") for row in SENTENCES)


def test_two_readers_at_once_do_not_disturb_each_other(stored):
    assert [one for pair in zip(stored, stored, strict=True) for one in pair][::2] == SENTENCES
    half = iter(stored)
    assert list(islice(half, 25)) + list(half) == SENTENCES


def test_the_file_has_no_name_that_could_be_left_behind(stored, tmp_path):
    assert list(tmp_path.iterdir()) == []


def test_derived_rows_are_made_anew_each_time(stored):
    twice = DerivedRows(
        lambda: (row._replace(line=0) for part in (stored, stored) for row in part), [stored, stored], 17
    )
    assert len(twice) == 100 and len(list(twice)) == len(list(twice)) == 100
    assert twice.tag_names == stored.tag_names and not any(row.line for row in twice)
