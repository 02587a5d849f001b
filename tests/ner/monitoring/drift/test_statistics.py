"""Windows of made-up observations: quiet where they come from the same source, loud where they do not."""

from pathlib import Path

import numpy as np
import pytest

from ner.common.files import read_params
from ner.inference.observation import COUNTS, KEYS
from ner.monitoring.drift.sample import VALUES, Sample, nearer_unit
from ner.monitoring.drift.statistics import compare, is_drift, sentence

PARAMS = read_params(Path(__file__).resolve().parents[3] / "data" / "params.yaml").monitor
SETTINGS = PARAMS.model_copy(
    update={"block_tokens": 50, "false_alarms": 0.01, "min_effect": 0.1, "margin": 1.15, "resamples": 400, "seed": 1}
)
TYPES = ["LOC", "PER"]


def observations(
    documents: int, seed: int, sentences: int = 12, unseen: float = 0.05, people: float = 0.5, long: int = 1
):
    """Documents differ in their share of unseen words; sentences of one are alike."""
    random = np.random.default_rng(seed)
    columns = {key: [] for key in ("group", *KEYS)}
    for group in range(documents):
        rate = random.beta(2, 2 / unseen - 2)
        for _ in range(sentences):
            tokens = int(random.integers(5, 25)) * long
            scores = random.beta(20, 1, random.poisson(0.15 * tokens)).round(3).tolist()
            of_people = int(random.binomial(len(scores), people))
            row = {name: int(random.binomial(tokens, 0.2)) for name in COUNTS}
            row |= {
                "tokens": tokens,
                "unseen": int(random.binomial(tokens, rate)),
                "letters": 4 * tokens + row["unseen"],
            }
            row |= {"confidence": float(random.beta(50, 1)), "scores": scores, "group": group}
            row |= {"types": {"PER": of_people, "LOC": len(scores) - of_people}}
            for key, values in columns.items():
                values.append(row[key])
    return columns


@pytest.fixture(scope="module")
def reference() -> Sample:
    return Sample.of(observations(120, seed=0), TYPES)


def test_windows_from_the_same_source_are_quiet_though_sentences_of_a_document_are_alike(reference):
    alarms = [is_drift(compare(reference, Sample.of(observations(20, seed), TYPES), SETTINGS)) for seed in range(1, 41)]
    assert sum(alarms) <= 2


def test_it_says_what_moved_and_by_how_much(reference):
    moves = compare(reference, Sample.of(observations(25, 1, unseen=0.3), TYPES), SETTINGS)
    moved = {move.name: move for move in moves if move.moved}
    assert "unseen words" in moved and moved["unseen words"].distance > 0.5
    assert sentence(moves).startswith("unseen words from ") and "% to " in sentence(moves)
    (types,) = [
        one for one in compare(reference, Sample.of(observations(25, 2, people=0.9), TYPES), SETTINGS) if one.moved
    ]
    assert types.name == "entity types" and types.window > types.reference + 0.3


def test_a_trifle_does_not_alarm_in_a_window_of_any_size(reference):
    moves = compare(reference, Sample.of(observations(1500, 3, people=0.56), TYPES), SETTINGS)
    (types,) = [move for move in moves if move.name == "entity types"]
    assert types.p < 1e-6 and not types.moved


def test_a_type_that_the_model_does_not_know_and_a_text_without_words_are_no_obstacle(reference):
    columns = observations(20, 4)
    columns["types"] = [{"NEW": len(scores)} for scores in columns["scores"]]
    for key, empty in (("tokens", 0), ("scores", []), ("types", {}), ("confidence", None)):
        columns[key][0] = empty
    window = Sample.of(columns, TYPES)
    assert len(window) == 20 * 12 - 1
    (types,) = [move for move in compare(reference, window, SETTINGS) if move.name == "entity types"]
    assert types.moved and (types.which, types.reference, types.window) == ("other", 0.0, 1.0)


def test_without_a_vocabulary_the_other_values_are_compared(reference):
    columns = observations(20, 5)
    columns["unseen"] = [None] * len(columns["unseen"])
    assert "unseen words" not in {move.name for move in compare(reference, Sample.of(columns, TYPES), SETTINGS)}


def test_nothing_to_compare_is_an_error(reference):
    with pytest.raises(ValueError, match="nothing"):
        compare(reference, Sample.of(observations(0, 1), TYPES), SETTINGS)


def test_blocks_have_enough_tokens_whatever_the_texts_are(reference):
    blocks = reference.blocks(50)
    assert blocks.values.shape[1] == len(VALUES) and 40 < len(reference) / len(blocks.values) * 15 < 90
    whole = Sample.of(observations(1, 1, sentences=1), TYPES).blocks(50)
    assert len(whole.values) == 1


def test_the_reading_of_the_reference_is_the_one_whose_texts_are_as_long():
    units = {
        "sentence": Sample.of(observations(5, 0), TYPES),
        "document": Sample.of(observations(5, 0, long=12), TYPES),
    }
    assert nearer_unit(units, Sample.of(observations(3, 1), TYPES)) == "sentence"
    assert nearer_unit(units, Sample.of(observations(3, 1, long=9), TYPES)) == "document"
