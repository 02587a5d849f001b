"""The choice of documents that differ: no near-equal ones, no entity over and over, the same every time."""

import pytest

from ner.annotation.selection import Chosen, most_varied
from ner.data.conll import Sentence
from ner.data.formats import Document

ENGLISH = "The court of appeal in {} ruled on {} that the carrier owes the passengers damages for the delay".split()
CHINESE = [*"法院裁定承运人因航班延误应向", "{}", *"的旅客支付赔偿金并承担本案全部诉讼费用"]


def candidate(name, tokens, score, entity=None):
    """A document with one entity, its last token, or nothing that was found in it."""
    tags = ["O"] * (len(tokens) - 1) + ["O" if entity is None else "B-LOC"]
    document = Document(name, [Sentence(0, [*tokens[: len(tags) - 1], entity or tokens[-1]], tags, 1)], labelled=False)
    return Chosen(document, document, score, "")


def unlike(number, length=12):
    """Tokens that no other number's share."""
    return [f"{chr(97 + number % 26) * 4}{number}{i}" for i in range(length)]


def names(chosen):
    return [one.document.name for one in chosen]


@pytest.mark.parametrize("words", [ENGLISH, CHINESE])
def test_of_near_equal_documents_the_best_one_is_chosen_and_says_how_many_there_are(words):
    copies = [[word.format(f"{i}") for word in words] for i in range(10)]
    candidates = [candidate(f"copy-{i}", tokens, 10 + i) for i, tokens in enumerate(copies)]
    candidates.insert(4, candidate("other", unlike(1), 1.0))
    chosen = most_varied(iter(candidates), 5)
    assert names(chosen) == ["copy-9", "other"]
    assert [one.alike for one in chosen] == [9, 0]


def test_letter_case_and_white_space_make_no_other_document():
    shouted = [word.upper() for word in unlike(3)]
    assert names(most_varied([candidate("a", unlike(3), 2), candidate("b", shouted, 1)], 2)) == ["a"]


def test_long_documents_that_differ_in_a_sentence_are_nearly_equal_and_with_half_in_common_are_not():
    text = [word for number in range(40) for word in unlike(number)]
    candidates = [
        candidate("a", text, 3),
        candidate("b", [*text[:300], *unlike(77), *text[300:]], 2),
        candidate("c", [*text[:240], *(word for number in range(40, 60) for word in unlike(number))], 1),
    ]
    assert names(most_varied(candidates, 3)) == ["a", "c"]


def test_an_entity_over_and_over_gives_way_to_entities_that_are_new():
    same = [candidate(f"same-{i}", unlike(i), 8.0, "Germany" if i % 2 else "GERMANY") for i in range(10)]
    new = [candidate(f"new-{i}", unlike(20 + i), 3.0, f"Town{i}") for i in range(4)]
    chosen = names(most_varied([*same, *new], 6))
    assert sum(name.startswith("same") for name in chosen) == 2 and chosen[0] == "same-0"


def test_documents_in_which_nothing_was_found_go_by_their_score():
    candidates = [candidate(str(i), unlike(i), score) for i, score in enumerate((1.0, 3.0, 0.0, 2.0))]
    assert names(most_varied(candidates, 9)) == ["1", "3", "0", "2"]


def test_the_choice_is_the_same_every_time_and_nothing_is_chosen_of_nothing():
    candidates = [candidate(str(i), unlike(i % 40), 1.0, f"E{i % 7}") for i in range(200)]
    assert names(most_varied(candidates, 50)) == names(most_varied(iter(candidates), 50))
    assert len(most_varied(candidates, 50)) == 40
    assert most_varied([], 5) == []
