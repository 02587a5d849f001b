"""What new data would break: limits are raised to a ceiling, and beyond it a person accepts each by name."""

from pathlib import Path

import pytest

from ner.data.onboarding.limits import CEILINGS, raised_limits
from ner.data.onboarding.measures import Measures
from ner.data.onboarding.proposals import Fit
from ner.data.onboarding.warnings import warnings
from ner.params import ValidationParams, parse_params

ROOT = Path(__file__).resolve().parents[4]
PARAMS = parse_params((ROOT / "tests" / "data" / "params.yaml").read_text(encoding="utf-8"))
PROFILE = {
    "types": {"PER": {"share": 0.5}, "LOC": {"share": 0.5}},
    "entities_a_100_tokens": 10.0,
    "tokens_a_sentence": {"mean": 20.0},
    "sentences_without_entity": 0.4,
}
NO_FIT = Fit([], 1.5, 0.0, 512, False)


def split(**changes) -> Measures:
    usual = {
        "label_drift": 0.0, "drift_from_profile": 0.0, "entities_a_100_tokens": 10.0, "sentences_without_entity": 0.4,
        "letters_of_new_scripts": 0.0,
    }  # fmt: skip
    own = {name: changes.pop(name) for name in list(changes) if name in usual}
    longest = {"sentence_tokens": (30, "t.txt, line 1"), "token_chars": (9, "t.txt, line 2")}
    tags = {"O": 1800, "B-PER": 100, "B-LOC": 100}
    values = {"tokens": 2000, "sentences": 100, "tags": tags, "longest": longest, "split": usual | own, **changes}
    measures = Measures(**values)
    measures.tags = type(Measures().tags)(measures.tags)
    return measures


def raised(accepted=(), only_accepted=False, **changes):
    measures = {"train": split(), "validation": split(**changes), "test": split()}
    return raised_limits(measures, PROFILE, PARAMS, True, accepted, only_accepted)


def test_data_within_the_limits_changes_none():
    assert raised() == ([], [])
    assert set(CEILINGS) == set(ValidationParams.model_fields)


@pytest.mark.parametrize(
    ("limit", "little", "much"),
    [
        ("max_unreadable_tokens", {"unreadable": 20}, {"unreadable": 840}),
        ("max_shared_sentences", {"shared": {"train": 0.2}}, {"shared": {"train": 0.87}}),
        ("max_copied_documents", {"copied": 0.1}, {"copied": 0.9}),
        ("max_label_drift", {"label_drift": 0.2}, {"label_drift": 0.63}),
        ("max_sentence_tokens", {"longest": {"sentence_tokens": (700, "a"), "token_chars": (9, "b")}},
         {"longest": {"sentence_tokens": (9000, "a"), "token_chars": (9, "b")}}),
        ("max_token_chars", {"longest": {"sentence_tokens": (7, "a"), "token_chars": (200, "b")}},
         {"longest": {"sentence_tokens": (9, "a"), "token_chars": (2000, "b")}}),
        ("max_ratio_to_profile", {"entities_a_100_tokens": 25.0}, {"entities_a_100_tokens": 1.0}),
        ("max_change_without_entity", {"sentences_without_entity": 0.0}, {"sentences_without_entity": 1.0}),
        ("max_new_scripts", {"letters_of_new_scripts": 0.2}, {"letters_of_new_scripts": 0.8}),
    ],
)  # fmt: skip
def test_a_limit_is_raised_a_little_and_far_only_by_name(limit, little, much):
    if limit == "max_change_without_entity":
        much = {"sentences_without_entity": 1.0}
    changes, findings = raised(**little)
    assert [change.key for change in changes] == [f"validation.{limit}"] and not findings
    assert getattr(PARAMS.validation, limit) < changes[0].value <= CEILINGS[limit]
    if limit == "max_change_without_entity":
        return  # at most all of them, which is the ceiling here
    changes, findings = raised(**much)
    assert not changes and f"validation.{limit} would have to be" in findings[0] and f"--accept {limit}" in findings[0]
    changes, findings = raised(accepted=[limit], **much)
    assert changes[0].key == f"validation.{limit}" and changes[0].value > CEILINGS[limit] and not findings


def test_lost_entities_are_never_raised_unseen():
    changes, findings = raised(not_kept=0.05)
    assert not changes and "never raised unseen" in findings[0]
    assert raised(accepted=["max_entities_not_kept"], not_kept=0.05)[0][0].value == 0.05


def test_a_second_delivery_raises_only_what_is_accepted():
    assert raised(only_accepted=True, label_drift=0.2) == ([], [])
    assert [c.key for c in raised(["max_label_drift"], True, label_drift=0.2)[0]] == ["validation.max_label_drift"]


def test_few_entities_may_differ_by_chance():
    few = {"label_drift": 0.4, "tags": {"O": 100, "B-PER": 3, "B-LOC": 1}}
    assert raised(**few)[0] and not raised(**few)[1]
    assert raised(label_drift=0.4)[1]


def said(tags, scheme="IOB2", splits=("train", "validation", "test")) -> str:
    types = sorted({tag[2:] for tag in tags if tag != "O"})
    manifest = {"language": "de", "entity_types": types, "format": {"scheme": scheme}}
    measures = {name: split(tags=tags if name in splits else {"O": 10}) for name in ("train", "validation", "test")}
    return "\n".join(
        warnings(NO_FIT, manifest, measures, {split: own.entities() for split, own in measures.items()}, PARAMS)
    )


@pytest.mark.parametrize(
    ("tags", "scheme", "words"),
    [
        ({"B-PER": 100, "B-X": 100}, "PLAIN", "hardly a token is outside of entities (0 of 600): if 'PER' means"),
        ({"O": 100, "B-X": 100, "I-X": 90}, "IOB2", "'X' has most tokens (570 of 870): if 'X' means that a token"),
        ({"O": 900, "B-PER": 40, "B-per": 40}, "IOB2", "differ by prefix, case or punctuation alone: PER, per"),
        ({"O": 900, "B-b-PER": 40, "B-PER": 40}, "PLAIN", "differ by prefix, case or punctuation alone: PER, b-PER"),
        ({"O": 900, "B-PER": 40, "I-PER": 4}, "IO", "scheme IO marks no start of an entity"),
        ({"O": 900, "B-PER": 40, "I-PER": 4}, "PLAIN", "scheme PLAIN marks no start of an entity"),
    ],
)
def test_tags_that_say_something_else_are_warned_of(tags, scheme, words):
    assert words in said(tags, scheme)


def test_usual_tags_are_warned_of_in_no_way():
    warned = said({"O": 900, "B-PER": 40, "I-PER": 9, "B-LOC": 40})
    assert not any(word in warned for word in ("outside", "most tokens", "differ by", "marks no start", "has no"))


def test_a_type_that_training_lacks_is_told_with_where_it_is():
    assert "training has no PER (40 in validation, 40 in test), so the model cannot learn it" in said(
        {"O": 900, "B-PER": 40}, splits=("validation", "test")
    )
