import json
from dataclasses import replace

import pytest

from ner.errors import NerError
from ner.registry.promotion.rules import (
    PROMOTION,
    REMOVAL,
    ROLLBACK,
    TAG_LENGTH,
    Check,
    Entry,
    Ref,
    check_gate,
    check_golden,
    golden_size,
    is_recorded,
    last_good,
    new_key,
    read_history,
    rows,
    sentence,
    to_tag,
)

ONE, TWO, THREE = Ref(1, 100), Ref(2, 200), Ref(3, 300)
BAD = (Check("gate", False, "it never passed a gate"), Check("files", None, "not run"))


def promoted(after, before=None, passed=True, champion=None, checks=()):
    champion = champion or after
    return Entry(
        "2026-01-02T03:04:05+00:00", PROMOTION, before, after, champion, passed, checks, "passed", "x", "none", ""
    )


def rolled_back(before, after):
    return Entry(
        "2026-01-03T03:04:05+00:00", ROLLBACK, before, after, after, True, (), "passed", "x", "put", "it is slow"
    )


def there(*_):
    return True


def test_a_version_without_the_tag_never_passed_its_gate():
    assert check_gate(None).passed is False and "never passed a gate" in check_gate(None).reason
    assert check_gate("passed, 9 of 9 rules: F1 0.94").passed is True
    assert check_gate("failed, 1 of 9 rules: F1 0.90").passed is False


@pytest.mark.parametrize(
    ("documents", "size"),
    [([1] * 5, 5), ([1] * 12 + [2] * 12 + [3] * 9, 24), (list(range(50)), 20), ([1] * 20 + [2], 20), ([7] * 500, None)],
)
def test_the_golden_set_is_whole_documents_since_others_are_read_in_other_windows(documents, size):
    assert golden_size(documents) == size


def test_other_tags_are_counted_and_the_corpus_is_not_quoted():
    tokens, then = [["Marta", "Okafor"], ["Rotterdam"]], [["B-PER", "I-PER"], ["B-LOC"]]
    assert check_golden(tokens, then, then).passed
    check = check_golden(tokens, then, [["B-PER", "I-PER"], ["O"]])
    assert (
        not check.passed
        and check.reason == "1 of 3 words get other tags than at evaluation, the first O instead of B-LOC"
    )
    assert not check_golden(tokens, then, [["B-PER", "I-PER"], []]).passed


def test_the_alias_is_known_only_where_the_last_entry_says_so():
    assert is_recorded([], None) and not is_recorded([], ONE)
    entries = [promoted(ONE), promoted(TWO, ONE)]
    assert is_recorded(entries, TWO) and not is_recorded(entries, ONE) and not is_recorded(entries, None)
    assert not is_recorded(entries, TWO._replace(created=999))  # the number of a deleted version, given again
    assert is_recorded([promoted(TWO, ONE, passed=False, champion=ONE)], ONE)  # put back


def test_rolling_back_goes_down_the_versions_and_never_up_to_one_that_was_left():
    entries = [promoted(ONE), promoted(TWO, ONE), promoted(THREE, TWO)]
    assert last_good(entries, THREE, there) == TWO
    entries.append(rolled_back(THREE, TWO))
    assert last_good(entries, TWO, there) == ONE
    entries.append(rolled_back(TWO, ONE))
    assert last_good(entries, ONE, there) is None
    entries.append(promoted(TWO, ONE))
    assert last_good(entries, TWO, there) == ONE and last_good(entries, ONE, there) == TWO


def test_a_version_that_failed_or_is_gone_is_nothing_to_go_back_to():
    entries = [promoted(ONE), promoted(TWO, ONE, passed=False, checks=BAD), promoted(THREE, TWO)]
    assert last_good(entries, THREE, there) == ONE
    assert last_good(entries, THREE, lambda ref: ref != ONE) is None
    assert last_good([], None, there) is None


def test_entries_are_tags_that_come_back_in_their_order_and_leave_other_tags_alone():
    entries = [promoted(ONE), promoted(TWO, ONE, passed=False, champion=ONE, checks=BAD), rolled_back(TWO, ONE)]
    tags = {"team": "search", "promotion.note": "by hand"}
    for entry in entries:
        tags[new_key(tags, "c0ffee")] = to_tag(entry)
    assert list(tags)[2:] == ["promotion.0001.c0ffee", "promotion.0002.c0ffee", "promotion.0003.c0ffee"]
    assert read_history(dict(reversed(tags.items()))) == entries


def test_two_writers_of_the_same_number_both_stay():
    tags = {"promotion.0001.aa": to_tag(promoted(ONE)), "promotion.0001.bb": to_tag(promoted(TWO, ONE))}
    assert len(read_history(tags)) == 2


def test_an_entry_that_somebody_changed_is_named():
    with pytest.raises(NerError, match=r"the tag 'promotion.0001.aa' .*cannot be read"):
        read_history({"promotion.0001.aa": "{}"})


def test_a_long_reason_is_cut_to_what_a_tag_holds():
    entry = replace(rolled_back(TWO, ONE), reason="because " * 2000, checks=BAD * 6)
    text = to_tag(entry)
    assert len(text) <= TAG_LENGTH and json.loads(text)["reason"].endswith("…")


def test_a_sentence_says_what_happened():
    assert sentence("ner", promoted(ONE)) == "ner version 1 is champion and passed every check."
    assert sentence("ner", promoted(TWO, ONE)).startswith("ner version 2 is champion, after version 1,")
    failed = replace(promoted(TWO, ONE, passed=False, checks=BAD), action="it stays champion")
    assert sentence("ner", failed) == (
        "ner version 2 was made champion and failed its checks (gate: it never passed a gate); it stays champion."
    )
    assert sentence("ner", rolled_back(TWO, ONE)) == "ner version 1 is champion again, after version 2: it is slow."
    removal = replace(promoted(ONE, TWO, passed=None), kind=REMOVAL, after=None, champion=None)
    assert "taken from ner version 2" in sentence("ner", removal)


def test_the_table_has_the_newest_first():
    entries = [promoted(ONE), rolled_back(TWO, ONE)]
    assert [row[1] for row in rows(entries)] == ["what", ROLLBACK, PROMOTION]
