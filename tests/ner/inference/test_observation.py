"""What is kept of a text, by a tagger with random weights."""

import json

import pytest

from ner.inference.annotate import annotate
from ner.inference.observation import KEYS, REFERENCE, Reading, Vocabulary
from ner.inference.tagger import Tagger

TEXTS = ["Marta Okafor joined Helvion Steel in Rotterdam. Rain fell on 12.5 roofs.", "", " \n", "rain"]


@pytest.fixture(scope="module")
def tagger(tiny_model) -> Tagger:
    return Tagger.load(tiny_model)


def test_observing_changes_no_entity_and_keeps_a_row_for_each_input(tagger):
    reading = Reading(tagger, Vocabulary.of(["rain", "fell", "on", "."]))
    inputs = [*TEXTS, ["Marta", "Okafor"]]
    found = annotate(reading, inputs)
    assert found == annotate(tagger, inputs)
    rows = reading.observations(found)
    assert [tuple(row) for row in rows] == [KEYS] * 5
    assert [row["tokens"] for row in rows] == [14, 0, 0, 1, 2]
    assert rows[0]["sentences"] == 2 and rows[0]["capitals"] == 6 and rows[0]["subwords"] >= 14
    assert rows[0]["unseen"] == 14 - 4 and rows[3]["unseen"] == 0  # `fell on . .` are known, `Rain` is another word
    assert [sum(row["types"].values()) for row in rows] == [len(row["scores"]) for row in rows] == list(map(len, found))
    assert rows[1]["confidence"] is None and 0 < rows[0]["confidence"] <= 1


def test_no_word_of_the_text_is_in_what_is_kept(tagger):
    reading = Reading(tagger, None)
    kept = json.dumps(reading.observations(annotate(reading, TEXTS)))
    assert not [word for word in ("Marta", "Okafor", "Helvion", "Rotterdam", "roofs") if word in kept]
    assert json.loads(kept)[0]["unseen"] is None  # nobody knows without a vocabulary


def test_a_vocabulary_knows_its_words_any_number_of_their_form_and_hardly_any_other(tmp_path):
    words = {f"word{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(5000)} | {"12.5"}
    vocabulary = Vocabulary.from_text(Vocabulary.of(words).to_text())
    assert vocabulary.unseen(words) == 0 and vocabulary.unseen(["99.9", "99.99", "\ud800"]) == 2
    others = [f"other{i}x{chr(97 + i % 26)}{i % 7 * 'q'}{chr(97 + i // 26 % 26)}" for i in range(2000)]
    assert vocabulary.unseen(set(others)) > 0.93 * len(set(others))
    assert Vocabulary.read(tmp_path) is None
    (tmp_path / REFERENCE).write_text(json.dumps({"vocabulary": vocabulary.to_text()}))
    assert Vocabulary.read(tmp_path) == vocabulary
