"""Entity scores, default and strict side by side: where they agree, where they part, and that the reasons add up."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report, sequence_labeling, v1
from seqeval.scheme import IOB2

from ner.errors import CorpusError, TagError
from ner.evaluation.counts import count, read_entities
from ner.evaluation.scoring import WAYS, disagreements, micro_scores, score, ways_of
from ner.tags import spans_to_tags, tags_to_spans


def corpora(names):
    """Gold and predicted tags of a few sentences, in any order of O, B- and I-; half of the predictions are right."""
    tag = st.one_of(st.just("O"), st.builds("{}-{}".format, st.sampled_from("BI"), names))
    pair = st.one_of(tag.map(lambda t: (t, t)), st.tuples(tag, tag))
    sentences = st.lists(st.lists(pair, max_size=8), max_size=5)
    return sentences.map(lambda rows: tuple([[p[side] for p in row] for row in rows] for side in (0, 1)))


KEYS = ("precision", "recall", "f1", "support")
FEW = st.sampled_from(["PER", "LOC", "X-Y"])
DASHED = st.sampled_from(["X", "X-", "-X", "--X-", "-", "_", "0", "B", "O", "I"])
ANY = st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1, max_size=4)


def ways_in(gold, predicted):
    return ways_of(count(gold, predicted))


def words(*sentences):
    return [sentence.split() for sentence in sentences]


def assert_same_scores(a, b):
    assert a["per_type"].keys() == b["per_type"].keys()
    for one, other in [(a, b), *((a["per_type"][name], b["per_type"][name]) for name in a["per_type"])]:
        for key in ("precision", "recall", "f1", "support"):
            assert one[key] == pytest.approx(other[key], abs=1e-12)


@given(st.one_of(corpora(FEW), corpora(DASHED), corpora(ANY)))
def test_seqevals_default_reads_the_entities_that_all_other_code_reads(corpus):
    for tags in corpus[0]:
        assert list(read_entities(tuple(tags)).default) == tags_to_spans(tags)


@given(corpora(FEW))
def test_both_agree_on_valid_iob2(corpus):
    gold, predicted = ([spans_to_tags(tags_to_spans(tags), len(tags)) for tags in side] for side in corpus)
    ways = ways_in(gold, predicted)
    assert_same_scores(ways["default"], ways["strict"])
    assert disagreements(gold, predicted) == 0


GOLD = words("B-PER I-PER O", "B-LOC O", "B-ORG I-ORG I-ORG", "O O", "")
PREDICTED = words("I-PER I-PER O", "B-LOC O", "B-ORG I-LOC I-LOC", "I-PER O", "")


def test_the_ways_stand_side_by_side_with_every_type():
    ways = ways_in(GOLD, PREDICTED)
    assert tuple(ways) == WAYS
    for name, predicted, correct in (("default", 5, 2), ("strict", 2, 1)):
        way = ways[name]
        assert (way["precision"], way["support"]) == (pytest.approx(correct / predicted), 3)
        assert way["recall"] == pytest.approx(correct / 3)
        assert list(way["per_type"]) == ["LOC", "ORG", "PER"]
    assert ways["strict"]["per_type"]["PER"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert ways["default"]["per_type"]["PER"]["recall"] == 1


def test_default_and_strict_are_seqevals_own_reports():
    ways = ways_in(GOLD, PREDICTED)
    for name, mode in (("default", {}), ("strict", {"mode": "strict", "scheme": IOB2})):
        report = classification_report(GOLD, PREDICTED, output_dict=True, zero_division=0, **mode)
        way = ways[name]
        for row, values in [("micro avg", way), *way["per_type"].items()]:
            expected = report.get(row, dict.fromkeys(("precision", "recall", "f1-score", "support"), 0))
            assert [values[k] for k in ("precision", "recall", "f1", "support")] == list(expected.values())


@given(st.one_of(corpora(FEW), corpora(DASHED), corpora(ANY)))
def test_the_rates_are_to_the_last_digit_those_of_seqeval(corpus):
    gold, predicted = (side or [[]] for side in corpus)
    for name, module, scheme in (("default", sequence_labeling, {}), ("strict", v1, {"scheme": IOB2})):
        way, score = ways_in(*corpus)[name], module.precision_recall_fscore_support
        overall = score(gold, predicted, average="micro", zero_division=0, **scheme)
        by_type = score(gold, predicted, average=None, zero_division=0, **scheme)
        assert tuple(way[key] for key in KEYS) == overall
        found = [tuple(row[key] for key in KEYS) for row in way["per_type"].values() if any(row.values())]
        assert found == [row for row in zip(*by_type, strict=True) if any(row)]


@given(corpora(DASHED), corpora(DASHED))
def test_two_parts_add_up_to_the_whole(one, other):
    whole = [[*a, *b] for a, b in zip(one, other, strict=True)]
    assert count(*one) + count(*other) == count(*whole)
    assert disagreements(*one) + disagreements(*other) == disagreements(*whole)


def test_the_result_fits_json():
    result = ways_in(GOLD, PREDICTED)
    assert json.loads(json.dumps(result)) == result


def test_a_type_that_only_strict_sees_is_no_type_of_the_others():
    ways = ways_in([["B-X-"]], [["B-X-"]])
    assert {name: list(way["per_type"]) for name, way in ways.items()} == {
        "default": ["X-"],
        "strict": ["X", "X-"],
    }


@pytest.mark.parametrize("corpus", [[], [[]], [["O", "O"], []]])
def test_a_corpus_without_entities_scores_zero_without_a_warning(corpus, recwarn):
    empty = {"precision": 0, "recall": 0, "f1": 0, "support": 0, "per_type": {}}
    assert ways_in(corpus, corpus) == dict.fromkeys(WAYS, empty)
    assert disagreements(corpus, corpus) == 0
    assert not recwarn.list


@pytest.mark.parametrize(
    ("gold", "predicted", "number"),
    [
        (GOLD, PREDICTED, 3),
        (words("B-LOC O I-LOC"), words("I-PER O O"), 1),
        (words("O O O", "O"), words("B-A I-B I-A", "O"), 1),
        (words("B-X- I-X"), words("B-X I-X"), 1),
        (words("B-X-"), words("O"), 1),
    ],
)
def test_sentences_with_orphans_or_dashed_types_are_read_differently(gold, predicted, number):
    assert disagreements(gold, predicted) == number


def test_unequal_lengths_and_tags_of_another_scheme_are_refused():
    with pytest.raises(CorpusError, match="sentence 0: 2 gold tags, 1 predicted tags"):
        count([["O", "O"]], [["O"]])
    with pytest.raises(TagError, match="'E-PER' is not IOB2"):
        count([["O"]], [["E-PER"]])


def f1s(gold, predicted):
    result = score([gold.split()], [predicted.split()])
    return result["f1"], result["f1_strict"]


@pytest.mark.parametrize(
    ("gold", "predicted", "default", "strict"),
    [
        ("B-PER I-PER O", "B-PER I-PER O", 1.0, 1.0),
        ("B-PER I-PER O", "I-PER I-PER O", 1.0, 0.0),  # I- first: conlleval reads an entity, strict IOB2 does not
        ("B-PER I-PER O", "B-PER I-LOC O", 0.0, 0.0),
        ("B-PER I-PER O", "B-PER B-PER O", 0.0, 0.0),
    ],
)
def test_default_mode_is_conllevals_and_strict_stands_beside_it(gold, predicted, default, strict):
    assert f1s(gold, predicted) == (default, strict)


def test_scores_of_each_type_carry_their_support_and_missed_types_count():
    gold = [["B-PER", "O", "B-LOC"], ["B-LOC", "I-LOC", "O"]]
    predicted = [["B-PER", "O", "B-LOC"], ["B-LOC", "O", "O"]]
    result = score(gold, predicted)
    assert result["support"] == 3
    assert result["per_type"]["PER"] == {"precision": 1, "recall": 1, "f1": 1, "f1_strict": 1, "support": 1}
    assert result["per_type"]["LOC"]["f1"] == 0.5
    assert result["f1"] == pytest.approx(2 / 3) and result["f1_macro"] == pytest.approx(0.75)
    assert result["accuracy"] == pytest.approx(5 / 6)
    assert micro_scores(gold, predicted)["f1"] == pytest.approx(result["f1"])


def test_a_model_that_finds_nothing_scores_zero_without_a_warning(recwarn):
    result = score([["B-PER", "O"]], [["O", "O"]])
    assert (result["precision"], result["recall"], result["f1"]) == (0, 0, 0)
    assert not recwarn.list


def test_the_mean_over_types_is_the_same_in_every_python():
    """Ten times 0.1: `sum` gives 0.9999999999999999 before Python 3.12, and 1.0 since."""
    types = [f"T{number}" for number in range(10)]
    gold = [[f"B-{name}"] for name in types for _ in range(19)]
    predicted = [[f"B-{name}" if number == 0 else "O"] for name in types for number in range(19)]
    result = score(gold, predicted)
    assert {row["f1"] for row in result["per_type"].values()} == {0.1} and result["f1_macro"] == 0.1
