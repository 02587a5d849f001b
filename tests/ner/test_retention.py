"""Nothing that is needed, young, or not known for certain ever goes, whatever the things are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.retention import DAY_S, Thing, families, judge, keep_families

NAMES = st.text("abcdef", min_size=1, max_size=2)
THINGS = st.lists(
    st.builds(Thing, st.just("file"), NAMES, st.integers(0, 9), st.none() | st.floats(0, 9 * DAY_S)), max_size=20
)


@given(THINGS, st.none() | st.dictionaries(NAMES, st.just("ner/3 needs it")), st.none() | st.floats(1, 9))
def test_what_goes_is_needed_by_nothing_known_and_old(things, kept, days):
    for verdict in judge(things, kept, days, "the registry is down"):
        thing = verdict.thing
        may_go = kept is not None and days is not None and thing.name not in kept and thing.age_s is not None
        assert verdict.goes == (may_go and thing.age_s > days * DAY_S)
        assert verdict.why


@given(st.dictionaries(NAMES, st.none() | NAMES, max_size=12), st.sets(NAMES))
def test_a_run_that_is_needed_keeps_its_whole_family(parents, needed):
    kept = keep_families(dict.fromkeys(needed, "ner/3 needs it"), parents)
    assert needed <= set(kept)
    for child, parent in parents.items():
        if parent in parents:  # one that is not there any more is in nobody's family
            assert (child in kept) == (parent in kept) or {child, parent} & needed


def test_families_are_known_by_their_oldest():
    parents = {"trial": "sweep", "sweep": None, "seed": "trial", "lone": "lost"}
    assert families(parents) == {"trial": "sweep", "sweep": "sweep", "seed": "sweep", "lone": "lost"}
    assert set(keep_families({"seed": "ner/3 needs it"}, parents)) == {"trial", "sweep", "seed"}


@pytest.mark.parametrize("days, goes", [(7, True), (8.5, False), (None, False)])
def test_reasons_are_sentences(days, goes):
    (verdict,) = judge([Thing("file", "a", 1, 8 * DAY_S)], {}, days)
    assert verdict.goes is goes
