import pytest

from ner.data.formats import SCHEMES, from_iob2, to_iob2
from ner.data.formats.scheme_detection import Transitions, detect_scheme
from ner.errors import TagError

# Ilse Brandt flew from Oslo to Bergen, in a text that names the two places one after another.
IOB2 = ["B-PER", "I-PER", "I-PER", "O", "B-LOC", "B-LOC"]
OTHERS = {
    "IOB2": IOB2,
    "IOB1": ["I-PER", "I-PER", "I-PER", "O", "I-LOC", "B-LOC"],
    "BIOES": ["B-PER", "I-PER", "E-PER", "O", "S-LOC", "S-LOC"],
    "BILOU": ["B-PER", "I-PER", "L-PER", "O", "U-LOC", "U-LOC"],
    "BMES": ["B-PER", "M-PER", "E-PER", "O", "S-LOC", "S-LOC"],
    "BMEWO": ["B-PER", "M-PER", "E-PER", "O", "W-LOC", "W-LOC"],
    "IOE2": ["I-PER", "I-PER", "E-PER", "O", "E-LOC", "E-LOC"],
}


def detected(*sequences, default_type=None):
    seen = Transitions()
    for number, tags in enumerate(sequences, start=1):
        seen.add(tags, lambda i, n=number: f"x.txt, line {10 * n + i}")
    return detect_scheme(seen, default_type)


@pytest.mark.parametrize("scheme", OTHERS)
def test_each_scheme_is_written_and_read(scheme):
    assert from_iob2(IOB2, scheme) == OTHERS[scheme]
    assert to_iob2(OTHERS[scheme], scheme) == IOB2


@pytest.mark.parametrize("scheme", OTHERS)
def test_each_scheme_is_told_from_the_others(scheme):
    assert detected(OTHERS[scheme]).scheme == scheme


def test_schemes_without_a_start_join_what_adjoins_and_refuse_to_write_it():
    assert to_iob2(["PER", "PER", "O", "LOC"], "PLAIN") == ["B-PER", "I-PER", "O", "B-LOC"]
    assert to_iob2(["I-PER", "I-LOC", "O"], "IO") == ["B-PER", "B-LOC", "O"]
    assert from_iob2(["B-PER", "B-LOC"], "PLAIN") == ["PER", "LOC"]
    for scheme in ("IO", "PLAIN"):
        with pytest.raises(TagError, match=r"token 2: .* cannot tell adjoining entities of one type apart"):
            from_iob2(["B-PER", "B-PER"], scheme)


@pytest.mark.parametrize(
    ("scheme", "tags", "message"),
    [
        ("IOB2", ["O", "I-PER"], r"token 2: 'I-PER' follows 'O' or a sentence's edge.*write 'B-PER'"),
        ("IOB2", ["B-PER", "I-LOC"], r"token 2: 'I-LOC' follows 'B-PER'.*write 'B-LOC'"),
        ("BIOES", ["B-PER", "O"], r"token 1: 'B-PER' is not followed by the end of its entity: write 'S-PER'"),
        ("BIOES", ["B-PER", "I-PER"], r"token 2: 'I-PER' is not followed by the end.*write 'E-PER'"),
        ("BIOES", ["B-PER", "E-LOC"], r"token 1: 'B-PER' is not followed"),
        ("BIOES", ["E-PER"], r"token 1: 'E-PER' follows.*write 'S-PER'"),
        ("BIOES", ["S-PER", "I-PER", "E-PER"], r"token 2: 'I-PER' follows 'S-PER'.*write 'B-PER'"),
        ("BILOU", ["B-PER", "E-PER"], r"token 2: tag 'E-PER' is not BILOU: expected 'O' or 'B-TYPE', 'I-TYPE'"),
        ("IOE2", ["I-PER", "O"], r"token 1: 'I-PER' is not followed by the end.*write 'E-PER'"),
        ("IOB2", ["B"], r"token 1: tag 'B' has no type: name the type"),
        ("IOB2", ["PER"], r"token 1: tag 'PER' is not IOB2"),
        ("IOB2", [""], r"token 1: tag '' is not IOB2"),
        ("IOBX", ["O"], r"'IOBX' is no tag scheme known here: use IOB2, IOB1"),
    ],
)  # fmt: skip
def test_an_impossible_sequence_says_what_to_write(scheme, tags, message):
    with pytest.raises(TagError, match=message):
        to_iob2(tags, scheme)


def test_a_scheme_is_known_by_its_other_names():
    assert to_iob2(["U-PER"], "biluo") == to_iob2(["S-PER"], "IOBES") == to_iob2(["B-PER"], "BIO") == ["B-PER"]


def test_types_may_hold_dashes_and_any_script_and_the_prefix_may_end_in_an_underscore():
    assert to_iob2(["B-A-B", "I-A-B", "B_人 名"], "IOB2") == ["B-A-B", "I-A-B", "B-人 名"]


def test_tags_without_a_type_take_the_one_that_is_named():
    assert to_iob2(["B", "I", "O"], "IOB2", "Disease") == ["B-Disease", "I-Disease", "O"]
    assert detected(["B", "I", "O", "B"], default_type="Disease").scheme == "IOB2"


def test_no_entity_and_no_prefix_are_schemes_too():
    assert detected(["O", "O"]).scheme == "IOB2"
    assert detected(["PER", "O", "LOC"]).scheme == "PLAIN"
    assert detected(["I-PER", "O", "I-LOC"]).scheme == "IO"


def test_the_evidence_between_iob1_and_iob2_is_told():
    found = detected(["B-PER", "O"], ["O", "B-LOC", "I-LOC"])
    assert found.scheme == "IOB2"
    assert "none against IOB2; 2 against IOB1 (first x.txt, line 10: 'B-PER' starts an entity" in found.reason


def test_a_few_mistakes_do_not_hide_the_scheme_and_are_told():
    found = detected(*[["B-PER", "I-PER", "O"]] * 20, ["O", "I-LOC"])
    assert found.scheme == "IOB2"
    assert "1 against IOB2 (first x.txt, line 211: 'I-LOC' follows" in found.reason


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (["B-PER", "O", "I-LOC", "O"], r"fit no scheme clearly: 1 against IOB2 \(first x.txt, line 12.*against IOB1"),
        (["B-PER", "O", "LOC"], r"x.txt, line 12: tag 'LOC' \(1 times\) has no prefix, but 'B-PER' at x.txt, line 10"),
        (["B-PER", "M-PER", "L-PER"], r"prefixes B, L, M belong to no tag scheme.*line 12 \('L-PER'\)"),
    ],
)
def test_tags_that_fit_no_scheme_or_two_are_an_error_with_places(tags, message):
    with pytest.raises(TagError, match=message):
        detected(tags)


def test_every_scheme_can_be_named():
    assert set(OTHERS) | {"IO", "PLAIN"} == set(SCHEMES)
