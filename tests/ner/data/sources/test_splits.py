from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.data.conll import Sentence
from ner.data.fingerprint import label_drift
from ner.data.sources.splits import divide, divide_in_folds
from ner.errors import CorpusError

SHARES = {"validation": 0.1, "test": 0.1}
KINDS = ("person", "place", "firm", "law")


def document(number: int, *kinds: str, sentences: int = 2) -> list[Sentence]:
    """Words that no other document has; the entities in the first sentence."""
    tokens = [f"w{number}.{i}" for i in range(6)]
    rows = [Sentence(number, [*tokens, str(i)], ["O"] * 7, 1) for i in range(sentences)]
    rows[0] = rows[0]._replace(tokens=rows[0].tokens + list(kinds), tags=rows[0].tags + [f"B-{kind}" for kind in kinds])
    return rows


@pytest.fixture(scope="module")
def documents() -> list[list[Sentence]]:
    """300 documents, of very different length, `law` in one of ten."""
    found = []
    for i in range(300):
        kinds = [KINDS[i % 3]] * (1 + i % 7) + ["law"] * (i % 10 == 0)
        found.append(document(i, *kinds, sentences=1 + i % 5))
    return found


def test_every_document_is_in_one_split_of_about_its_share(documents):
    division = divide(documents, SHARES, seed=42)
    assert len(division.split) == 300 and division.cut_ties == 0
    counts = Counter(division.split)
    assert all(abs(counts[split] - 30) <= 2 for split in SHARES)


def test_entity_types_keep_their_proportions(documents):
    split = divide(documents, SHARES, seed=42).split
    tagged = [(s, tag[2:]) for d, s in zip(documents, split, strict=True) for r in d for tag in r.tags if tag != "O"]
    begun = Counter(tagged)
    counts = {name: {kind: n for (s, kind), n in begun.items() if s == name} for name in ("train", *SHARES)}
    for name in SHARES:
        assert label_drift(counts[name], counts["train"]) < 0.03
        assert counts[name]["law"] == 3


def test_the_same_seed_divides_alike_and_another_one_does_not(documents):
    assert divide(documents, SHARES, seed=1) == divide(documents, SHARES, seed=1)
    assert divide(documents, SHARES, seed=1) != divide(documents, SHARES, seed=2)


def test_equal_documents_and_those_that_share_a_sentence_stay_together(documents):
    shared = Sentence(0, "Reuters has not verified these stories .".split(), ["O"] * 7, 1)
    copies = [list(documents[0]) for _ in range(20)]  # the same text twenty times
    tied = [[*documents[i], shared] for i in range(1, 30)]
    split = divide([*copies, *tied, *documents[30:]], SHARES, seed=42).split
    assert len(set(split[:20])) == 1
    assert len(set(split[20:49])) == 1


def test_short_sentences_that_repeat_by_chance_tie_nothing(documents):
    dated = [[*rows, Sentence(0, ["Oslo", "1996-08-22"], ["B-place", "O"], 1)] for rows in documents]
    assert set(divide(dated, SHARES, seed=42).split) == {"train", "validation", "test"}


def test_a_sentence_in_every_document_is_let_go_and_counted(documents):
    notice = Sentence(0, "This report is not for redistribution .".split(), ["O"] * 7, 1)
    division = divide([[*rows, notice] for rows in documents], SHARES, seed=42)
    assert division.cut_ties == 1
    assert all(abs(Counter(division.split)[split] - 30) <= 2 for split in SHARES)


def test_a_rare_type_is_in_training_first_and_then_in_each_split(documents):
    rare = [document(1000 + i, "treaty") for i in range(3)]
    assert set(divide([*documents, *rare], SHARES, seed=42).split[300:]) == {"train", "validation", "test"}
    assert divide([*documents, rare[0]], SHARES, seed=42).split[300] == "train"


def test_a_few_documents_still_fill_every_split():
    few = [document(i, "person") for i in range(4)]
    assert sorted(Counter(divide(few, SHARES, seed=42).split)) == ["test", "train", "validation"]


def test_documents_that_all_have_one_text_cannot_be_divided():
    with pytest.raises(CorpusError, match=r"10 documents cannot be divided .* no sentence in common"):
        divide([document(0, "person")] * 10, SHARES, seed=42)


def test_only_what_is_missing_is_made(documents):
    assert set(divide(documents, {"test": 0.2}, seed=42).split) == {"train", "test"}


def test_training_has_every_type_where_that_can_be():
    kinds = [
        ("item", "person"),
        ("person",) * 16,
        ("firm", "law", "ship", "person"),
        ("item",) * 2 + ("firm",),
        ("law",),
    ]
    few = [document(i, *own, sentences=2 + i) for i, own in enumerate(kinds)]
    for seed in range(5):
        split = divide(few, SHARES, seed=seed).split
        assert set(split) == {"train", "validation", "test"}
        taught = {kind for own, name in zip(kinds, split, strict=True) if name == "train" for kind in own}
        assert taught == {"item", "person", "firm", "law", "ship"}


def test_where_it_cannot_be_the_splits_are_made_all_the_same():
    few = [document(i, kind) for i, kind in enumerate(("item", "ship", "firm"))]
    assert set(divide(few, SHARES, seed=1).split) == {"train", "validation", "test"}


def test_tokens_keep_their_proportions_too():
    annex = document(0, "law", sentences=250)
    rest = [document(i, *["person"] * 5, sentences=4) for i in range(1, 41)]
    split = divide([annex, *rest], SHARES, seed=42).split
    assert split[0] == "train" and all(abs(Counter(split)[name] - 4) <= 3 for name in SHARES)


@given(
    st.lists(st.lists(st.sampled_from([None, *"AAABBBCDEF"]), min_size=1, max_size=5), min_size=5, max_size=30),
    st.integers(2, 5),
)
def test_folds_are_all_filled_and_the_same_each_time(kinds, folds):
    made = [
        [Sentence(n, [f"{n}.{i}.{j}" for j in range(6)], [f"B-{kind}" if kind else "O", *["O"] * 5], 0)
         for i, kind in enumerate(own)]
        for n, own in enumerate(kinds)
    ]  # fmt: skip
    chosen = divide_in_folds(made, folds, 42)
    assert set(chosen) == set(range(folds)) and chosen == divide_in_folds(made, folds, 42)


def test_each_type_that_two_documents_have_is_in_what_each_fold_trains_on(documents):
    rare = [
        [Sentence(number, [f"rare{kind}{number}.{place}" for place in range(6)], [f"B-{kind}", *["O"] * 5], 0)]
        for kind in ("X", "Y")
        for number in range(2)
    ]
    made = [*documents, *rare]
    folds = divide_in_folds(made, 5, 42)
    types = Counter(
        (tag[2:], fold) for document, fold in zip(made, folds, strict=True) for row in document for tag in row.tags
    )
    for kind in {kind for kind, _ in types if kind}:
        assert sum(types[kind, fold] > 0 for fold in range(5)) > 1
    assert max(Counter(folds).values()) - min(Counter(folds).values()) <= 0.2 * len(made) / 5 + 1


def test_documents_that_share_a_sentence_are_in_one_fold_and_too_few_are_refused(documents):
    twice = [*documents[:10], *documents[:10]]
    folds = divide_in_folds(twice, 5, 42)
    assert folds[:10] == folds[10:]
    with pytest.raises(CorpusError, match=r"split\.folds: 20 documents cannot be divided into 11 folds"):
        divide_in_folds(twice, 11, 42)
