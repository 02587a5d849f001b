import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.data.fingerprint import Fingerprint, label_drift

ROWS = [(["Rotterdam", "won"], ["B-LOC", "O"]), (["Marta"], ["B-PER"])]
COUNTS = st.dictionaries(st.sampled_from(["PER", "LOC", "ORG"]), st.integers(0, 50))


def content_fingerprint(splits: dict) -> str:
    fingerprint = Fingerprint()
    for split, sentences in splits.items():
        fingerprint.begin(split)
        for tokens, tags in sentences:
            fingerprint.add(tokens, tags)
    return fingerprint.hexdigest()


def test_the_fingerprint_is_the_sha256_of_the_canonical_text():
    text = "split train\nRotterdam\tB-LOC\nwon\tO\n\nMarta\tB-PER\n\n"
    assert content_fingerprint({"train": ROWS}) == hashlib.sha256(text.encode()).hexdigest()


def test_the_names_of_the_splits_matter():
    fingerprints = (content_fingerprint({"train": ROWS, name: ROWS[:1]}) for name in ("test", "validation"))
    assert len(set(fingerprints)) == 2


@pytest.mark.parametrize(
    "other",
    [
        ROWS[::-1],
        ROWS[:1],
        [(["Rotterdam", "won"], ["B-ORG", "O"]), ROWS[1]],
        [(["rotterdam", "won"], ["B-LOC", "O"]), ROWS[1]],
        [(["Rotterdam", "won", "Marta"], ["B-LOC", "O", "B-PER"])],
    ],
)
def test_any_change_of_tokens_tags_order_or_sentence_breaks_changes_the_fingerprint(other):
    assert content_fingerprint({"train": other}) != content_fingerprint({"train": ROWS})


def test_a_tag_too_few_is_an_error_and_not_another_fingerprint():
    with pytest.raises(ValueError):
        content_fingerprint({"train": [(["a", "b"], ["O"])]})


def test_drift_is_half_the_distance_of_the_shares():
    assert label_drift({"PER": 1, "LOC": 1}, {"PER": 10, "LOC": 10}) == 0
    assert label_drift({"PER": 1}, {"LOC": 5}) == 1
    assert label_drift({"PER": 3, "LOC": 1}, {"PER": 1, "LOC": 1}) == pytest.approx(0.25)
    assert label_drift({}, {}) == 0
    assert label_drift({}, {"PER": 1}) == 1


@given(COUNTS, COUNTS)
def test_drift_is_a_distance_between_nought_and_one(a, b):
    assert 0 <= label_drift(a, b) <= 1 + 1e-9
    assert label_drift(a, b) == pytest.approx(label_drift(b, a))
    assert label_drift(a, a) == 0


def test_drift_is_the_same_in_whatever_order_types_come():
    names = [f"T{number}" for number in range(12)]
    ours, theirs = {name: 7 + place for place, name in enumerate(names)}, {name: 3 for name in names}
    drifts = {
        label_drift({name: ours[name] for name in order}, theirs) for order in (names, names[::-1], sorted(names))
    }
    assert len(drifts) == 1
