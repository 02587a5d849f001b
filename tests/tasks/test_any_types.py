"""Entity types come from the data: one or hundreds of them, by any names, from the gate to the answer of the model."""

import numpy as np
import pytest

from ner.evaluation.gate import Champion, judge, summary
from ner.evaluation.scoring import score
from ner.inference.annotate import annotate
from ner.params import GateParams
from ner.tags import label_names, spans_to_tags, tags_to_spans

ODD = ["人物", "Straße/Ort", "O-like", "B-x", "I", "a b", "_", "<i>|x", "weighted", "per type"]
CASES = {"one": ["PER"], "odd": ODD, "many": [f"type-{number:03}" for number in range(150)]}
THRESHOLDS = GateParams(
    min_f1=0.5, min_f1_on="point", min_f1_each_type=0.5, min_f1_per_type={}, max_f1_loss_to_champion=0.01,
    champion_predicts=True, max_shared_sentences=0.1, max_words_without_prediction=0,
)  # fmt: skip


def sentences(types: list[str]) -> list[list[str]]:
    """Two sentences a type: the type alone, and beside the next one."""
    rows = []
    for name, other in zip(types, [*types[1:], types[0]], strict=True):
        rows += [[f"B-{name}", f"I-{name}", "O"], ["O", f"B-{name}", f"B-{other}", f"I-{other}"]]
    return rows


@pytest.mark.parametrize("types", CASES.values(), ids=CASES)
def test_tags_keep_the_names_of_types(types):
    for tags in sentences(types):
        assert spans_to_tags(tags_to_spans(tags), len(tags)) == tags
    assert len(label_names(types)) == 1 + 2 * len(types)


@pytest.mark.parametrize("types", CASES.values(), ids=CASES)
def test_every_type_is_scored_and_judged_by_its_own_rule(types):
    gold = sentences(types)
    found = [list(tags) for tags in gold]
    found[0] = ["O", "O", "O"]
    scores = score(gold, found) | {
        "interval": {"f1": [0.9, 1.0]},
        "shared_sentences": 0.0,
        "words_without_prediction": 0,
    }
    assert set(scores["per_type"]) == set(types)
    assert scores["per_type"][types[0]]["f1"] < 1 and all(scores["per_type"][name]["f1"] == 1 for name in types[1:])
    metrics = {"mode": "m", "validation": scores, "test": scores, "bootstrap": {"confidence": 0.95}}
    verdict = judge(metrics, THRESHOLDS, Champion(absent="there is no champion"))
    rules = {rule["rule"] for rule in verdict["rules"]}
    assert {f"min_f1_per_type.{name}" for name in types} <= rules and verdict["passed"]
    assert "\n" not in summary(verdict)


class EveryOther:
    """Stands for a trained model of these types."""

    def __init__(self, types):
        self.labels = label_names(types)

    def predict(self, sentences, document_ids=None, progress=None):
        return [
            np.eye(len(self.labels), dtype=np.float32)[
                [1 + 2 * (i % ((len(self.labels) - 1) // 2)) for i in range(len(s))]
            ]
            for s in sentences
        ]


@pytest.mark.parametrize("types", CASES.values(), ids=CASES)
def test_the_answer_has_the_types_by_their_names(types):
    words = ["word"] * len(types)
    (found,) = annotate(EveryOther(types), [words])
    assert [entity["type"] for entity in found] == sorted(types)


@pytest.mark.parametrize("types", CASES.values(), ids=CASES)
def test_a_model_of_these_types_is_written_and_loaded(types, untrained, tmp_path):
    from ner.inference.tagger import Tagger

    tagger = Tagger.load(untrained(tmp_path, label_names(types), max_length=128))
    assert tagger.labels == label_names(types)
    (found,) = annotate(tagger, ["Marta Okafor joined Helvion Steel in Rotterdam."])
    assert {entity["type"] for entity in found} <= set(types)
