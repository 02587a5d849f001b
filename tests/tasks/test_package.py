"""The folder that is handed out, packaged from a tiny model and the reports of a run."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from ner.common.files import sha256_folder
from ner.errors import ModelError, NerError
from ner.registry.release import count_issues, package
from ner.registry.versions import content_digest

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
SCORES = {
    "precision": 0.94, "recall": 0.95, "f1": 0.945, "accuracy": 0.989, "loss": 0.05, "support": 12,
    "words_without_prediction": 0, "per_type": {},
}  # fmt: skip
GATE = {
    "passed": True,
    "split": "validation",
    "mode": "seqeval default (conlleval)",
    "rules": [{"rule": "min_f1", "threshold": 0.93, "value": 0.945, "passed": True, "reason": "F1 is enough"}],
}
REPORTS = {
    "gate": GATE,
    "metrics": {"mode": GATE["mode"], "temperature": 1.25, "validation": SCORES, "test": SCORES},
    "training": {"params": {"train.seed": 7}, "base": {"name": "tiny"}},
}
MANIFEST = {"source": "mini", "fingerprint": "ab" * 32, "entity_types": ["LOC", "PER"], "splits": {"train": {}}}
LOCK = """stages:
  train: {outs: [{path: models/ner, md5: f00.dir}]}
  package: {outs: [{path: models/release, md5: 0ld}]}
  analyse: {outs: [{path: reports/figures, md5: abc.dir}]}
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory, tiny_encoder) -> Path:
    """A checkout after the gate."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    root = tmp_path_factory.mktemp("template")
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    model = AutoModelForTokenClassification.from_pretrained(tiny_encoder, initializer_range=1.0, **names)
    model.save_pretrained(root / "models" / "ner")
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(root / "models" / "ner")
    for name, report in REPORTS.items():
        write(root / "reports" / f"{name}.json", report)
    write(root / "data" / "prepared" / "manifest.json", MANIFEST)
    (root / "dvc.lock").write_text(LOCK)
    return root


@pytest.fixture
def root(tmp_path, template) -> Path:
    return shutil.copytree(template, tmp_path / "checkout")


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_anybodys_pipeline_loads_the_folder_and_nothing_but_the_folder(root):
    from transformers import pipeline

    package(root, "ner")
    alone = shutil.copytree(root / "models" / "release", root.parent / "elsewhere")
    find = pipeline("token-classification", model=str(alone), aggregation_strategy="first")
    assert find("Marta Okafor joined Helvion Steel in Rotterdam.")
    text = "Marta Okafor joined Helvion Steel in Rotterdam."
    assert {text[e["start"] : e["end"]].lower() for e in find(text)} == {e["word"] for e in find(text)}


def test_the_temperature_comes_with_the_folder_and_changes_scores_but_no_tag(root):
    from ner.inference import tagger as prediction

    package(root, "ner")
    packaged = prediction.Tagger.load(root / "models" / "release")
    trained = prediction.Tagger.load(root / "models" / "ner")
    (ours,), (theirs,) = packaged.predict([["Marta", "Okafor"]]), trained.predict([["Marta", "Okafor"]])
    assert (packaged.temperature, trained.temperature) == (1.25, 1.0)
    assert (ours.argmax(-1) == theirs.argmax(-1)).all()
    assert (ours.max(-1) < theirs.max(-1)).all()


@pytest.mark.parametrize(
    ("language", "loaded", "cut"),
    [
        ("pt", "pt", ["A", "lei", "nº", "8.112"]),
        ("zh", "zh", ["A", "lei", "nº", "8.112"]),
        ("unknown", "en", ["A", "lei", "nº", "8.112"]),
        (None, "en", ["A", "lei", "nº", "8.112"]),
    ],
)
def test_the_language_of_the_corpus_comes_with_the_folder(root, language, loaded, cut):
    from ner.inference.tagger import Tagger
    from ner.inference.text import tokenize

    write(root / "data" / "prepared" / "manifest.json", {**MANIFEST, **({"language": language} if language else {})})
    package(root, "ner")
    config = json.loads((root / "models" / "release" / "config.json").read_text())
    assert config.get("ner_language") == (language if language not in ("unknown", None) else None)
    tagger = Tagger.load(root / "models" / "release")
    assert tagger.language == loaded
    assert [token.text for token in tokenize("A lei nº 8.112", tagger.language)] == cut


def test_the_card_names_the_content_and_only_what_lies_before_it(root):
    content = package(root, "ner")
    card = ModelCard.load(root / "models" / "release" / "README.md")
    assert content == content_digest(root / "models" / "release")
    assert content in card.content and "1.2500" in card.content
    assert "f00.dir" in card.content and "0ld" not in card.content and "abc.dir" not in card.content
    assert card.data.eval_results
    assert (root / "reports" / "card.md").read_bytes() == (root / "models" / "release" / "README.md").read_bytes()


def test_a_second_run_writes_the_same_bytes(root):
    package(root, "ner")
    before = sha256_folder(root / "models" / "release")
    (root / "models" / "release" / "left over.txt").write_text("x")
    (root / "dvc.lock").write_text(LOCK.replace("0ld", "new"))
    package(root, "ner")
    assert sha256_folder(root / "models" / "release") == before


def test_other_words_in_the_card_are_the_same_content_and_another_temperature_is_not(root):
    content = package(root, "ner")
    write(root / "reports" / "training.json", {**REPORTS["training"], "base": {"name": "other"}})
    assert package(root, "ner") == content
    write(root / "reports" / "metrics.json", {**REPORTS["metrics"], "temperature": 1.26})
    assert package(root, "ner") != content


def test_a_card_that_lies_in_the_model_already_is_replaced(root):
    (root / "models" / "ner" / "README.md").write_text("old")
    package(root, "ner")
    assert (root / "models" / "release" / "README.md").read_text() != "old"


def test_read_only_files_of_a_cache_can_be_packaged_twice(root):
    for path in (root / "models" / "ner").iterdir():
        path.chmod(0o444)
    package(root, "ner")
    package(root, "ner")
    assert (root / "models" / "release" / "config.json").stat().st_mode & 0o200


def test_a_model_that_failed_its_gate_is_packaged_with_a_card_that_says_at_which_rule(root):
    rule = {**GATE["rules"][0], "passed": False, "reason": "F1 is under 0.99"}
    write(root / "reports" / "gate.json", {**GATE, "passed": False, "rules": [rule]})
    package(root, "ner")
    card = (root / "models" / "release" / "README.md").read_text()
    assert "**Failed**, judged on validation" in card and "| **failed** | F1 is under 0.99 |" in card


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.safetensors", None, "holds no model.safetensors"),
        ("pytorch_model.bin", b"x", "only safetensors"),
        ("config.json", b"{", r"config\.json cannot be read"),
        ("config.json", b"[]", "holds no configuration"),
        ("config.json", None, r"config\.json cannot be read"),
    ],
)
def test_a_model_folder_that_cannot_be_handed_out_is_one_sentence(root, name, content, words):
    path = root / "models" / "ner" / name
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=words) as caught:
        package(root, "ner")
    assert "\n" not in str(caught.value)
    assert not (root / "models" / "release").exists()


def test_a_missing_report_names_itself(root):
    (root / "reports" / "metrics.json").unlink()
    with pytest.raises(NerError, match=r"metrics\.json is missing"):
        package(root, "ner")


def test_reports_that_may_be_missing_are_told_where_they_are_there(root):
    (root / "reports" / "history.csv").write_text("epoch,step,f1\n1,5,0.9\n")
    (root / "reports" / "label_issues.csv").write_text('rank,split,text\n1,test,"a\nb"\n2,test,c\n')
    package(root, "ner")
    card = (root / "models" / "release" / "README.md").read_text()
    assert "reads them (2 in test)" in card and "0.9000" in card


def test_no_search_for_label_issues_is_not_the_same_as_none_found():
    assert (count_issues(None), count_issues([])) == (None, {})


def test_no_library_of_deep_learning_is_loaded():
    program = "import sys, tasks.package; print([n for n in ('torch', 'transformers', 'mlflow') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
