"""Entity scores, default and strict side by side: where they agree, where they part, and that the reasons add up."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import classification_report, sequence_labeling, v1
from seqeval.scheme import IOB2

from ner.errors import CorpusError, TagError
from ner.evaluation.counts import Counts, count, read_entities
from ner.evaluation.scoring import WAYS, differences, micro_scores, score, ways_of
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


@given(st.one_of(corpora(FEW), corpora(DASHED), corpora(ANY)))
def test_listed_differences_add_up_to_the_difference_of_the_counts(corpus):
    found, counts = differences(*corpus, limit=None), count(*corpus)
    default, strict = (sum(types.values(), Counts()) for types in (counts.default, counts.strict))
    total = Counter()
    for item in found["listed"]:
        total.update(item["difference"])
    for name in ("gold", "predicted", "correct"):
        assert total[name] == getattr(default, name) - getattr(strict, name)
    assert len(found["listed"]) == found["sentences"]


@given(corpora(FEW))
def test_both_agree_on_valid_iob2(corpus):
    gold, predicted = ([spans_to_tags(tags_to_spans(tags), len(tags)) for tags in side] for side in corpus)
    ways = ways_in(gold, predicted)
    assert_same_scores(ways["default"], ways["strict"])
    assert differences(gold, predicted)["sentences"] == 0


@given(corpora(FEW))
def test_an_orphan_is_the_only_reason_where_types_have_no_outer_dash(corpus):
    found = differences(*corpus, limit=None)
    for item in found["listed"]:
        assert "start an entity, strict does not" in item["why"] and "dash" not in item["why"]
        assert min(item["difference"].values()) >= 0  # strict reads nothing that default does not


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
    first, second = differences(*one, limit=None), differences(*other, limit=None, first=len(one[0]))
    assert first["listed"] + second["listed"] == differences(*whole, limit=None)["listed"]


def test_both_results_fit_json():
    for result in (ways_in(GOLD, PREDICTED), differences(GOLD, PREDICTED)):
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
    assert differences(corpus, corpus)["sentences"] == 0
    assert not recwarn.list


def test_a_difference_says_what_each_reading_counts_and_why():
    tokens = words("Peter Blackburn said", "York is", "Bank of England", "he is", "")
    found = differences(GOLD, PREDICTED, tokens)
    assert found["sentences"] == 3
    first, second, third = found["listed"]
    assert first == {
        "sentence": 0,
        "tokens": ["Peter", "Blackburn", "said"],
        "gold": ["B-PER", "I-PER", "O"],
        "predicted": ["I-PER", "I-PER", "O"],
        "default": {
            "gold": 1,
            "predicted": 1,
            "correct": 1,
            "gold_spans": [{"start": 0, "end": 2, "type": "PER"}],
            "predicted_spans": [{"start": 0, "end": 2, "type": "PER"}],
        },
        "strict": {
            "gold": 1,
            "predicted": 0,
            "correct": 0,
            "gold_spans": [{"start": 0, "end": 2, "type": "PER"}],
            "predicted_spans": [],
        },
        "difference": {"gold": 0, "predicted": 1, "correct": 1},
        "why": 'In the prediction I-PER at token 0 ("Peter") opens the sentence: there default and conlleval start an '
        "entity, strict does not (in strict 1 predicted fewer, 1 correct fewer).",
    }
    assert second["sentence"] == 2 and 'I-LOC at token 1 ("of") follows B-ORG: there' in second["why"]
    assert third["sentence"] == 3 and third["difference"] == {"gold": 0, "predicted": 1, "correct": 0}


@pytest.mark.parametrize(
    ("gold", "predicted", "why"),
    [
        (
            "B-LOC O I-LOC",
            "I-PER O O",
            "In the gold tags I-LOC at token 2 follows O; in the prediction I-PER at token 0 opens the sentence: there "
            "default and conlleval start an entity, strict does not (in strict 1 gold fewer, 1 predicted fewer).",
        ),
        (
            "O O O",
            "B-A I-B I-A",
            "In the prediction I-B at token 1 follows B-A and I-A at token 2 follows I-B: there default and conlleval "
            "start an entity, strict does not (in strict 2 predicted fewer).",
        ),
        (
            "B-X- I-X",
            "B-X I-X",
            "Strict drops the dashes at the ends of a type, here of X- (in strict 1 gold fewer, 1 correct more).",
        ),
        ("B-X-", "O", "Strict drops the dashes at the ends of a type, here of X- (in strict the same counts)."),
    ],
)
def test_the_reason_names_every_cause(gold, predicted, why):
    (item,) = differences([gold.split()], [predicted.split()])["listed"]
    assert item["why"] == why
    assert "tokens" not in item


def test_the_limit_cuts_the_list_and_not_the_count():
    found = differences(GOLD, PREDICTED, limit=1)
    assert [item["sentence"] for item in found["listed"]] == [0]
    assert found["sentences"] == 3


def test_unequal_lengths_and_tags_of_another_scheme_are_refused():
    for call in (count, differences):
        with pytest.raises(CorpusError, match="sentence 0: 2 gold tags, 1 predicted tags"):
            call([["O", "O"]], [["O"]])
        with pytest.raises(TagError, match="'E-PER' is not IOB2"):
            call([["O"]], [["E-PER"]])
    with pytest.raises(CorpusError, match="1 gold tags, 2 tokens"):
        differences([["O"]], [["O"]], [["a", "b"]])


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
