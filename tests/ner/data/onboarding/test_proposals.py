"""What new-data says of parameters, and proposes."""

from pathlib import Path

import pytest

from ner.common.files import read_params
from ner.data.onboarding.proposals import FEW_ENTITIES, by_chance, floor_meaning, folds_change
from ner.data.prepared import Split

PARAMS = read_params(Path(__file__).resolve().parents[4] / "tests/data/params.yaml")
LABELS = ["O", "B-PER"]


@pytest.mark.parametrize(
    ("entities", "said"),
    [
        (5942, "scores 0.923 to 0.936 on 5,942 entities of validation."),
        (40, r"so these cannot tell 0.93 from 0.8\d or 0.98: more validation would."),
        (0, "validation has no entity, so no model reaches it."),
    ],
)
def test_the_gates_floor_is_told_with_what_chance_does_at_this_number_of_entities(entities, said):
    import re

    assert re.search(said + "$", floor_meaning(entities, PARAMS))
    assert floor_meaning(entities, PARAMS).startswith("gate.min_f1 0.93: ")


def pool(documents: int) -> Split:
    """So many documents of one sentence with two entities."""
    tokens = [[f"w{number}.{place}" for place in range(6)] for number in range(documents)]
    numbers = list(range(documents))
    return Split(numbers, numbers, numbers, tokens, [[1, 0, 0, 1, 0, 0]] * documents)


def with_folds(folds: int):
    return PARAMS.model_copy(update={"split": PARAMS.split.model_copy(update={"folds": folds})})


def test_folds_are_proposed_where_chance_alone_moves_f1_by_five_points():
    low, high = by_chance(0.8, FEW_ENTITIES, PARAMS)
    assert high - low == pytest.approx(0.1, abs=0.002)
    (change,) = folds_change(60, pool(100), LABELS, PARAMS)
    assert (change.key, change.value) == ("split.folds", 5)
    assert "60 entities, under 250: by chance alone an F1 of 0.8 comes out as 0.69 to 0.89" in change.reason
    assert "all 200 of training and validation (0.74 to 0.85), takes 6 trainings" in change.reason


@pytest.mark.parametrize(
    ("entities", "documents", "folds", "proposed"),
    [
        (60, 100, 3, [3]),  # a number that somebody wrote stays
        (FEW_ENTITIES, 100, 5, [0]),  # left from a smaller corpus
        (60, 100_000, 0, [0]),
        (4, 4, 0, []),  # fewer documents than folds
    ],
)
def test_folds_are_proposed_only_where_they_help_and_can_be_had(entities, documents, folds, proposed):
    changes = folds_change(entities, pool(documents), LABELS, with_folds(folds))
    assert [change.value for change in changes] == proposed


def test_the_floor_is_told_for_the_entities_that_are_judged():
    assert "entities of cross-validation" in floor_meaning(682, with_folds(5))
