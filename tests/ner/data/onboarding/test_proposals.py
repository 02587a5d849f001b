"""What new-data says of parameters that it does not change."""

from pathlib import Path

import pytest

from ner.common.files import read_params
from ner.data.onboarding.proposals import floor_meaning

PARAMS = read_params(Path(__file__).resolve().parents[4] / "tests/data/params.yaml")


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
