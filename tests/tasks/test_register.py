"""Registration in a real MLflow on SQLite, of a tiny model with random weights, in a folder like a checkout."""

import json
import re
import shutil
import socket
from pathlib import Path

import pytest

from ner.errors import GateFailed, ModelError, RegistryError
from tasks import store
from tasks.cli import run_stage
from tasks.io import read_params
from tasks.package import package
from tasks.register import is_registered, main, register
from tasks.registry import content_digest, find_version
from tasks.reproduce import overrides, recipe

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
PARAMS = read_params(ROOT / "params.yaml")
ROW = {"precision": 0.9, "recall": 0.8, "f1": 0.85, "f1_strict": 0.84, "support": 7}
SCORES = {
    **ROW,
    "f1": 0.945,
    "loss": 0.05,
    "accuracy": 0.989,
    "words_without_prediction": 0,
    "per_type": {"LOC": ROW, "PER": ROW},
    "sentence": {"f1": 0.925},
    "interval": {"f1": [0.9372, 0.9489]},
}
GATE = {
    "passed": True,
    "split": "validation",
    "mode": "seqeval default (conlleval)",
    "rules": [{"rule": "min_f1", "threshold": 0.93, "value": 0.945, "passed": True, "reason": "F1 0.945 is enough"}],
}
TRAINING = {
    "mlflow_run_id": None,
    "flow_run_id": "flow-1",
    "git_commit": "c" * 40,
    "git_dirty": True,
    "started": "2026-01-02T03:04:05+00:00",
    "seconds": 100.0,
    "device": "cpu",
    "precision": "fp32",
    "packages": {"torch": "2.13.0"},
    "params": {"model.base": "tiny", "train.epochs": 2, "train.seed": 7},
    "base": {"name": "tiny", "origin": "a test", "license": "Apache-2.0", "sha256": "e" * 64},
    "data": {"source": "mini"},
    "log": [{"step": 5, "epoch": 1.0, "train/loss": 1.5}],
}
MANIFEST = {
    "source": "mini",
    "origin": "tests",
    "revision": None,
    "license": "Apache-2.0",
    "description": "Sentences written for tests",
    "language": "en",
    "fingerprint": "ab" * 32,
    "entity_types": ["LOC", "PER"],
    "splits": {"train": {"file": "train.txt", "documents": 1, "sentences": 2, "tokens": 9, "entities": {"LOC": 1}}},
}
LOCK = """stages:
  train: {outs: [{path: models/ner, md5: f00.dir}]}
  register: {outs: [{path: reports/card.md, md5: 0ld}]}
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory, tiny_encoder) -> Path:
    """A checkout after the gate, with an empty MLflow database."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    root = tmp_path_factory.mktemp("template")
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: i for i, label in enumerate(LABELS)}}
    model = AutoModelForTokenClassification.from_pretrained(tiny_encoder, num_labels=len(LABELS), **names)
    model.save_pretrained(root / "models" / "ner")
    AutoTokenizer.from_pretrained(tiny_encoder).save_pretrained(root / "models" / "ner")
    metrics = {"mode": GATE["mode"], "temperature": 1.25, "fingerprint": MANIFEST["fingerprint"]}
    metrics |= {"validation": SCORES, "test": SCORES}
    reports = {"training": TRAINING, "gate": GATE, "metrics": metrics}
    for name, report in reports.items():
        write(root / "reports" / f"{name}.json", report)
    write(root / "data" / "prepared" / "manifest.json", MANIFEST)
    (root / "reports" / "history.csv").write_text("epoch,step,f1\n1,5,0.9\n")
    (root / "reports" / "data_docs").mkdir()
    (root / "reports" / "data_docs" / "index.html").write_text("<p>docs</p>")
    (root / "dvc.lock").write_text(LOCK)
    (root / "reports" / "slices.csv").write_text("split,slice,value,f1\n")
    (root / "reports" / "report.html").write_text("<p>report</p>")
    for folder, file in (("figures", "f1.png"), ("predictions", "test.parquet")):
        (root / "reports" / folder).mkdir()
        (root / "reports" / folder / file).write_bytes(b"x")
    package(root, "ner")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(root))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        store.client().search_experiments()
    return root


@pytest.fixture
def root(tmp_path, monkeypatch, template) -> Path:
    folder = tmp_path / "checkout"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return folder


@pytest.fixture(scope="module")
def registered(tmp_path_factory, template) -> Path:
    """A checkout whose model was registered, for tests that only look."""
    folder = tmp_path_factory.mktemp("registered") / "checkout"
    shutil.copytree(template, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        register(PARAMS, folder)
    return folder


@pytest.fixture
def look(registered, monkeypatch) -> Path:
    """`registered`, made the place that everything looks at."""
    monkeypatch.chdir(registered)
    monkeypatch.setenv("NER_HOME", str(registered))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return registered


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def versions() -> list[int]:
    return sorted(int(version.version) for version in store.client().search_model_versions("name='ner'"))


def test_a_version_has_its_alias_card_trace_and_run(look):
    done = json.loads((look / "reports" / "registration.json").read_text())
    import mlflow

    client = store.client()
    version = client.get_model_version_by_alias("ner", "challenger")
    assert (done["model"], done["version"], done["alias"], done["registered"]) == ("ner", 1, "challenger", True)
    assert done["mlflow_run_id"] == version.run_id
    assert version.description.startswith("This model is a fine-tuned version of tiny on the mini dataset.")
    expected = {
        "git_commit": "c" * 40,
        "git_dirty": "true",
        "data_fingerprint": "ab" * 32,
        "flow_run_id": "flow-1",
        "dvc_lock.models/ner": "f00.dir",
        "validation_f1": "0.9450",
        "validation_f1_interval": "0.9372 to 0.9489",
        "temperature": "1.2500",
        "gate": "passed, 1 of 1 rules: F1 0.945 is enough",
        "content": content_digest(look / "models" / "release"),
    }
    assert {name: version.tags.get(name) for name in expected} == expected
    assert "dvc_lock.reports/card.md" not in version.tags
    run = client.get_run(version.run_id)
    assert run.data.tags["model_version"] == "ner/1"
    assert run.data.metrics["test_f1"] == 0.945
    assert run.info.end_time - run.info.start_time == 100_000
    logged = {file.path for file in client.list_artifacts(version.run_id, "reports")}
    names = ("card.md", "gate.json", "data_docs", "history.csv", "slices.csv", "report.html")
    assert {f"reports/{name}" for name in names} <= logged
    assert {"figures", "predictions"} <= {file.path for file in client.list_artifacts(version.run_id)}
    inside = mlflow.artifacts.list_artifacts(artifact_uri="models:/ner/1/artifacts/release")
    assert {"README.md", "config.json", "model.safetensors"} <= {Path(file.path).name for file in inside}
    assert "| Model version | ner 1 |" in re.sub(" {2,}", " ", (look / "reports" / "card.md").read_text())
    assert "champion" in client.get_registered_model("ner").description
    assert "champion" not in client.get_registered_model("ner").aliases


def test_what_is_committed_to_git_names_no_path_of_this_machine(look):
    written = [(look / "reports" / name).read_text() for name in ("card.md", "registration.json")]
    assert not any(str(look.parent) in text or "file://" in text for text in written)
    assert json.loads(written[1])["tracking_uri"] == "sqlite:///mlflow/data/mlflow.db"


def test_the_same_content_is_one_version_and_the_reports_do_not_change(root):
    register(PARAMS, root)
    before = {path: path.read_bytes() for path in (root / "reports").glob("*") if path.is_file()}
    assert register(PARAMS, root)["registered"] is False
    assert versions() == [1]
    assert {path: path.read_bytes() for path in before} == before


def test_other_weights_are_another_version_and_champion_stays_where_it_was(root):
    from safetensors.torch import load_file, save_file

    register(PARAMS, root)
    store.client().set_registered_model_alias("ner", "champion", "1")
    weights = root / "models" / "release" / "model.safetensors"
    tensors = load_file(weights)
    save_file({**tensors, "classifier.bias": tensors["classifier.bias"] + 1}, weights, metadata={"format": "pt"})
    write(root / "reports" / "gate.json", {**GATE, "champion": "ner version 1"})
    assert register(PARAMS, root)["version"] == 2
    aliases = store.client().get_registered_model("ner").aliases
    assert {name: int(version) for name, version in aliases.items()} == {"champion": 1, "challenger": 2}


def test_a_card_of_other_words_is_a_new_description_of_the_same_version(root):
    register(PARAMS, root)
    before = store.client().get_model_version("ner", "1").description
    write(root / "reports" / "training.json", {**TRAINING, "git_commit": "d" * 40})
    package(root, "ner")
    done = register(PARAMS, root)
    assert (versions(), done["registered"]) == ([1], False)
    after = store.client().get_model_version("ner", "1").description
    assert after != before and "d" * 40 in after
    assert "d" * 40 in (root / "reports" / "card.md").read_text()


@pytest.mark.parametrize("loss", ["version", "alias", "files"])
def test_what_the_registry_has_lost_is_noticed_and_made_again(root, loss):
    done = register(PARAMS, root)
    assert is_registered(root)
    client = store.client()
    if loss == "version":
        client.delete_model_version("ner", "1")
    elif loss == "alias":
        client.delete_registered_model_alias("ner", "challenger")
    else:
        shutil.rmtree(root / "mlflow" / "data" / "artifacts")
    assert not is_registered(root)
    again = register(PARAMS, root)
    assert is_registered(root)
    assert again["registered"] is (loss != "alias")
    assert again["content"] == done["content"]
    assert (
        find_version("ner", done["content"]).version == client.get_model_version_by_alias("ner", "challenger").version
    )


def test_a_lost_database_is_filled_again_from_the_reports(root, template, monkeypatch):
    register(PARAMS, root)
    shutil.rmtree(root / "mlflow")
    moved = root.rename(root.with_name("again"))  # another address: this process knows the first database
    monkeypatch.chdir(moved)
    monkeypatch.setenv("NER_HOME", str(moved))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    shutil.copytree(template / "mlflow", moved / "mlflow")
    assert not is_registered(moved)
    done = register(PARAMS, moved)
    assert done["registered"]
    history = store.client().get_metric_history(done["mlflow_run_id"], "train/loss")
    assert [(point.step, point.value) for point in history] == [(5, 1.5)]


def test_a_failed_gate_registers_nothing(root):
    failed = {**GATE, "passed": False, "rules": [{**GATE["rules"][0], "passed": False, "reason": "F1 is under 0.99"}]}
    write(root / "reports" / "gate.json", failed)
    with pytest.raises(GateFailed, match=r"F1 is under 0\.99"):
        register(PARAMS, root)
    assert versions() == []
    assert not (root / "reports" / "registration.json").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "optimizer.pt", "extra/state.pkl"])
def test_files_that_may_run_code_are_refused(root, name):
    path = root / "models" / "release" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    with pytest.raises(ModelError, match=f"{path.name}: only safetensors"):
        register(PARAMS, root)
    assert versions() == []


def test_a_server_that_is_down_is_one_sentence_and_leaves_nothing_behind(root, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(RegistryError, match=f"{address} cannot be reached"):
        register(PARAMS, root)
    assert not (root / "reports" / "registration.json").exists()


@pytest.mark.parametrize(
    ("uri", "report", "status", "said"),
    [
        ("", True, 0, r"^$"),
        ("", False, 5, r"^$"),
        ("http://127.0.0.1:9", True, 1, r"^register: MLflow at http://127.0.0.1:9 cannot be reached.*\n$"),
    ],
)
def test_check_ends_with_a_status_that_a_program_can_read(
    look, tmp_path, monkeypatch, capsys, uri, report, status, said
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr("sys.argv", ["register", "--check"])
    if not report:
        monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        run_stage("register", main)
    assert end.value.code == status
    assert re.search(said, capsys.readouterr().err)


def test_a_version_tells_how_to_make_it_again(look):
    text = recipe("ner@challenger", look)
    assert f"git checkout {'c' * 40}" in text
    assert "dvc exp run -S model.base=tiny -S train.epochs=2 -S train.seed=7" in text
    assert "f00.dir  models/ner" in text and "warning: the working tree" in text
    assert recipe("models:/ner/1", look) == text


@pytest.mark.parametrize(
    ("reference", "words"), [("ner", "names no model version"), ("ner@nobody", "nobody"), ("ner/9", "9")]
)
def test_a_version_that_does_not_exist_is_one_sentence(look, reference, words):
    with pytest.raises(RegistryError, match=words) as caught:
        recipe(reference, look)
    assert "\n" not in str(caught.value)


def test_only_parameters_that_differ_from_the_commit_become_overrides():
    used = {"train.seed": 7, "train.epochs": 2, "gate.min_f1": 0.5, "seeds.extra": [1], "prediction.overlap": 8}
    assert overrides(used, {"train": {"seed": 42, "epochs": 2}}) == ["-S train.seed=7"]


def test_a_new_version_is_not_registered_past_a_champion_that_the_gate_never_saw(root):
    register(PARAMS, root)
    store.client().set_registered_model_alias("ner", "champion", "1")
    assert register(PARAMS, root)["version"] == 1  # the same content again: nothing new comes in
    config = root / "models" / "release" / "config.json"
    config.write_text(config.read_text().replace("1.25", "1.5"))
    with pytest.raises(GateFailed, match="compared this model with no champion, and the champion is ner version 1 now"):
        register(PARAMS, root)
    write(root / "reports" / "gate.json", {**GATE, "champion": "ner version 1"})
    assert register(PARAMS, root)["version"] == 2
