"""Registration in a real MLflow on SQLite, of a tiny model with random weights, in a folder like a checkout."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.runtime.overrides import parse_settings
from ner.common.cli import run_stage
from ner.common.files import read_json, read_params
from ner.common.stages import shaping
from ner.errors import GateFailed, ModelError, RegistryError
from ner.params import check_params, flatten, override, read_blocks
from ner.registry.register import MARKER, register
from ner.registry.registration import is_registered
from ner.registry.release import package
from ner.registry.reproduce import recipe
from ner.registry.verify import version_digest
from ner.registry.versions import LAST_TAG, content_digest, find_version
from ner.tracking import mlflow_store as store
from ner.tracking.determined import registration_record, training_record, write_training
from ner.tracking.runs import log_analysis, log_evaluation, sync
from tasks.register import main

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
FULL = ROOT / "tests" / "data" / "params.yaml"
PARAMS = read_params(FULL)
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
FAILED = {
    **GATE, "passed": False, "rules": [{**GATE["rules"][0], "passed": False, "reason": "F1 is under 0.99"}],
}  # fmt: skip
MEASURED = {
    "mlflow_run_id": None,
    "flow_run_id": "flow-1",
    "git_commit": "c" * 40,
    "git_dirty": True,
    "started": "2026-01-02T03:04:05+00:00",
    "seconds": 100.0,
    "packages": {"torch": "2.13.0"},
}
TRAINING = {
    "device": "cpu",
    "precision": "fp32",
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
  register: {outs: [{path: reports/registration.json, md5: 0ld}]}
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
    reports = {"gate": GATE, "metrics": metrics}
    for name, report in reports.items():
        write(root / "reports" / f"{name}.json", report)
    write(root / "data" / "prepared" / "manifest.json", MANIFEST)
    (root / "reports" / "history.csv").write_text("epoch,step,f1\n1,5,0.9\n")
    (root / "reports" / "data_docs").mkdir()
    (root / "reports" / "data_docs" / "index.html").write_text("<p>docs</p>")
    (root / "dvc.lock").write_text(LOCK)
    shutil.copy(ROOT / "dvc.yaml", root)
    (root / "reports" / "slices.csv").write_text("split,slice,value,f1\n")
    (root / "reports" / "report.html").write_text("<p>report</p>")
    for folder, file in (("figures", "f1.png"), ("predictions", "test.parquet")):
        (root / "reports" / folder).mkdir()
        (root / "reports" / folder / file).write_bytes(b"x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(root))
        write_training(root / "reports", TRAINING, MEASURED)
        package(root, "ner")
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
    done = registration_record(look / "reports" / "registration.json")
    import mlflow

    client = store.client()
    version = client.get_model_version_by_alias("ner", "challenger")
    assert (done["model"], done["version"], done["alias"]) == ("ner", 1, "challenger")
    assert done["mlflow_run_id"] == version.run_id
    assert version.description.startswith("This model is a fine-tuned version of tiny on the mini dataset.")
    expected = {
        "git_commit": "c" * 40,
        "git_dirty": "true",
        "data_fingerprint": "ab" * 32,
        "flow_run_id": "flow-1",
        "dvc_lock": '{"models/ner": "f00.dir"}',
        "validation_f1": "0.9450",
        "validation_f1_interval": "0.9372 to 0.9489",
        "temperature": "1.2500",
        "gate": "passed, 1 of 1 rules: F1 0.945 is enough",
        "content": content_digest(look / "models" / "release"),
    }
    assert {name: version.tags.get(name) for name in expected} == expected
    assert len(version.tags) < 25  # two versions beside each other fit a screen
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
    card = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/reports/card.md")
    for told in ("| Model version | ner 1 |", "c" * 40, "- Pytorch 2.13.0", "**Wall time:** 1.7 minutes"):
        assert told in re.sub(" {2,}", " ", card)
    assert "champion" in client.get_registered_model("ner").description
    assert "champion" not in client.get_registered_model("ner").aliases


def test_what_is_committed_to_git_names_no_path_of_this_machine(look):
    written = [(look / "reports" / name).read_text() for name in ("card.md", "registration.json", "registered.json")]
    assert not any(str(look.parent) in text or "file://" in text for text in written)
    assert json.loads(written[2])["tracking_uri"] == "sqlite:///mlflow/data/mlflow.db"


def test_a_registration_says_the_same_whatever_the_registry_calls_its_version(root):
    register(PARAMS, root)
    first = (root / "reports" / "registration.json").read_bytes(), (root / MARKER).read_bytes()
    client = store.client()
    client.delete_model_version("ner", "1")  # the next one is version 2, of a run of its own
    assert register(PARAMS, root)["version"] == 2
    assert ((root / "reports" / "registration.json").read_bytes(), (root / MARKER).read_bytes()) == first
    assert registration_record(root / "reports" / "registration.json")["version"] == 2
    content = content_digest(root / "models" / "release")
    assert json.loads(first[0]) == {"model": "ner", "alias": "challenger", "content": content}
    write(root / "reports" / "registered.json", {"content": "0" * 64, "version": 9})  # of another model
    assert registration_record(root / "reports" / "registration.json")["version"] is None


def test_the_same_content_is_one_version_and_the_reports_do_not_change(root):
    register(PARAMS, root)
    before = {path: path.read_bytes() for path in (root / "reports").glob("*") if path.is_file()}
    assert register(PARAMS, root)["is_new"] is False
    assert versions() == [1]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_files_that_are_links_into_a_cache_are_registered_as_what_they_are(root, tmp_path, link):
    cache = tmp_path / "cache"
    cache.mkdir()
    for number, file in enumerate([path for part in ("models", "reports") for path in (root / part).rglob("*")]):
        if file.is_file():
            file.rename(cache / str(number))
            (cache / str(number)).chmod(0o444)
            link(cache / str(number), file)
    content = content_digest(root / "models" / "release")
    assert register(PARAMS, root)["version"] == 1 and is_registered(root)
    (stored,) = (root / "mlflow/data/artifacts").rglob("artifacts/release")
    assert not [path for path in stored.rglob("*") if path.is_symlink()]
    assert version_digest(stored.parents[1]) == content
    predictions = list((root / "mlflow/data/artifacts").rglob("predictions/*"))
    assert predictions and all(path.read_bytes() == b"x" for path in predictions if path.is_file())


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


def said_of(number: int) -> tuple:
    """All that MLflow shows of a version and of its run, but for the times."""
    client = store.client()
    version = client.get_model_version("ner", str(number))
    run = client.get_run(version.run_id)
    folder = Path("mlflow/data/artifacts") / version.run_id
    files = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return version.description, version.tags, run.data.to_dictionary(), run.info.status, files


@pytest.mark.parametrize("passed", [True, False])
def test_a_later_run_with_another_gate_changes_nothing_that_was_said_at_registration(root, passed):
    register(PARAMS, root)
    before, training = said_of(1), registration_record(root / "reports" / "registration.json")["mlflow_run_id"]
    rule = {**GATE["rules"][0], "threshold": 0.94, "passed": passed, "reason": "F1 against 0.94"}
    write(root / "reports" / "gate.json", {**GATE, "passed": passed, "rules": [rule]})
    metrics = json.loads((root / "reports" / "metrics.json").read_text())
    write(root / "reports" / "metrics.json", {**metrics, "validation": {**SCORES, "interval": {"f1": [0.9, 0.99]}}})
    (root / "reports" / "figures" / "f1.png").write_bytes(b"y")
    log_evaluation(training, *(read_json(root / "reports" / f"{name}.json") for name in ("metrics", "gate")))
    log_analysis(training, root / "reports")
    package(root, "ner")
    assert register(PARAMS, root).get("is_new", False) is False
    assert said_of(1) == before and versions() == [1]


def test_a_gate_that_failed_first_and_then_let_the_model_in_leaves_the_verdict_that_let_it_in(root):
    run_id = sync(training_record(root / "reports" / "training.json"), "ner")
    log_evaluation(run_id, {}, {**GATE, "passed": False})
    register(PARAMS, root)
    assert store.client().get_run(run_id).data.tags["gate"] == "passed"


def test_two_versions_of_one_training_have_a_run_each_and_the_first_keeps_what_it_says(root):
    register(PARAMS, root)
    before, first = said_of(1), store.client().get_model_version("ner", "1").run_id
    package(root, "ner", overlap=8)  # the same weights, read in another way
    write(root / "reports" / "predictions" / "test.parquet", "other")
    assert register(PARAMS, root)["version"] == 2
    own = store.client().get_run(store.client().get_model_version("ner", "2").run_id)
    assert own.info.run_id != first and own.data.tags["mlflow.parentRunId"] == first
    assert own.data.params["train.epochs"] == "2" and own.data.tags["model_version"] == "ner/2"
    assert own.data.metrics["test_f1"] == 0.945 and own.info.status == "FINISHED"
    assert said_of(1) == before


def test_a_registration_that_was_killed_midway_is_made_whole_by_the_next_run(root):
    register(PARAMS, root)
    whole, client = said_of(1), store.client()
    client.delete_model_version_tag("ner", "1", LAST_TAG)
    client.delete_model_version_tag("ner", "1", "dvc_lock")
    client.update_model_version("ner", "1", "")
    client.delete_tag(client.get_model_version("ner", "1").run_id, "model_version")
    register(PARAMS, root)
    assert said_of(1) == whole


def test_a_second_version_whose_registration_was_killed_midway_is_made_whole_in_its_own_run(root):
    register(PARAMS, root)
    package(root, "ner", overlap=8)
    register(PARAMS, root)
    client = store.client()
    own = client.get_model_version("ner", "2").run_id
    client.delete_tag(own, "model_version")
    client.delete_model_version_tag("ner", "2", LAST_TAG)
    assert register(PARAMS, root)["mlflow_run_id"] == own
    assert client.get_run(own).data.tags["model_version"] == "ner/2"
    assert client.get_model_version("ner", "2").tags["mlflow_run_id"] == own


def test_a_version_says_of_its_inputs_what_the_lock_file_has_before_it_and_nothing_of_later_stages(root):
    lock = yaml.safe_load((root / "dvc.lock").read_text())
    lock["stages"]["register_export"] = {"outs": [{"path": "reports/export_registration.json", "md5": "of before"}]}
    (root / "dvc.lock").write_text(yaml.safe_dump(lock))
    register(PARAMS, root)
    told = json.loads(store.client().get_model_version("ner", "1").tags["dvc_lock"])
    assert "models/ner" in told and "reports/export_registration.json" not in told


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
    assert again["is_new"] is (loss != "alias")
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
    assert done["is_new"]
    history = store.client().get_metric_history(done["mlflow_run_id"], "train/loss")
    assert [(point.step, point.value) for point in history] == [(5, 1.5)]


def test_a_failed_gate_registers_nothing_and_says_so_until_the_model_passes(root, monkeypatch, capsys):
    write(root / "params.yaml", PARAMS.model_dump(mode="json"))
    register(PARAMS, root)
    before = described()
    write(root / "reports" / "gate.json", FAILED)
    monkeypatch.setattr("sys.argv", ["register"])
    main()
    assert capsys.readouterr().out == "register: the gate failed, so nothing is registered: F1 is under 0.99.\n"
    registration = json.loads((root / "reports" / "registration.json").read_text())
    assert set(registration) == {"model", "reason"} and "F1 is under 0.99" in registration["reason"]
    assert described() == before  # what is said of the version that passed is not changed
    assert not is_registered(root)
    monkeypatch.setattr("sys.argv", ["register", "--check"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0  # nothing is lost that the registry should have
    write(root / "reports" / "gate.json", GATE)
    assert register(PARAMS, root)["version"] == 1 and is_registered(root)


def test_a_model_that_failed_its_gate_has_scores_verdict_and_reports_in_its_run(root):
    write(root / "reports" / "gate.json", FAILED)
    register(PARAMS, root)
    run = store.client().get_run(sync(training_record(root / "reports" / "training.json"), PARAMS.registry.experiment))
    assert (run.data.tags["gate"], run.data.metrics["test_f1"]) == ("failed", 0.945)
    logged = {file.path for file in store.client().list_artifacts(run.info.run_id, "reports")}
    assert {"reports/card.md", "reports/gate.json", "reports/report.html"} <= logged
    assert versions() == [] and "model_version" not in run.data.tags


def test_a_failed_gate_needs_no_registry(root, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    write(root / "reports" / "gate.json", FAILED)
    assert register(PARAMS, root)["version"] is None


def described() -> list[tuple]:
    """All that the registry says of its versions."""
    found = store.client().search_model_versions("name='ner'")
    return [(one.version, one.description, dict(one.tags), list(one.aliases)) for one in found]


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


def snippet(markdown: str, after: str) -> str:
    """The first Python code below a heading."""
    return re.search(r"```python\n(.*?)```", markdown[markdown.index(f"{after}\n") :], re.DOTALL)[1]


@pytest.mark.parametrize("of", ["README", "card", "release"])
def test_a_document_says_how_to_load_the_model_and_that_runs_as_it_stands(look, of):
    store.client().set_registered_model_alias("ner", "champion", "1")
    card = look / {"card": "reports/card.md", "release": "models/release/README.md"}.get(of, "")
    code = (
        snippet((ROOT / "README.md").read_text(), "## Promote in the MLflow UI")
        if of == "README"
        else snippet(card.read_text(), "## Intended uses & limitations")
    )
    assert "mlflow.pyfunc.load_model" in code
    seen = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "NER_"))}
    done = subprocess.run([sys.executable, "-c", code], cwd=look, env=seen, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (look / "mlflow.db").exists() and not (look / "mlruns").exists()


def repository(folder: Path, **changes: dict) -> str:
    """A git repository with our dvc.yaml and params.yaml; returns its commit. changes: of blocks of params.yaml."""
    tree = read_blocks(FULL.read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump({k: v | changes.get(k, {}) for k, v in tree.items()}))
    shutil.copy(ROOT / "dvc.yaml", folder)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "params.yaml", "dvc.yaml"], ["commit", "-qm", "full"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True).stdout.strip()


def commands(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def with_tags(number: str, **tags: str) -> str:
    for name, value in tags.items():
        store.client().set_model_version_tag("ner", number, name, value)
    return recipe(f"ner/{number}", Path())


def test_a_version_made_with_the_committed_parameters_is_made_again_without_options(root):
    commit = repository(root)
    register(read_params(root / "params.yaml"), root)
    text = recipe("ner@challenger", root)
    assert commands(text) == [f"git checkout {commit}", "dvc repro"]
    assert "f00.dir  models/ner" in text and content_digest(root / "models" / "release") in text
    assert recipe("models:/ner/1", root) == text
    # one that was registered before: a tag for each md5, all parameters flat, none of them of sweep or limits there
    flat = flatten(read_params(root / "params.yaml").model_dump())
    older = with_tags("1", params=json.dumps(flat), dvc_lock="{}", **{"dvc_lock.models/ner": "f00.dir"})
    assert commands(older) == commands(text) and "f00.dir  models/ner" in older


def test_the_printed_line_gives_the_parameters_that_the_version_was_made_with(root):
    made_with = {
        "data": {"source": 'local/it\'s "ours" \\ ${HOME} [1], {a: b}\\'},
        "train": {"seed": 7, "learning_rate": 1e-5, "dropout": "encoder"},
        "evaluation": {"corrected_test": "local/ñandú (1).txt"},
        "gate": {"min_f1_per_type": {"PER": 0.9, "Größe m": 0.5}},
        "seeds": {"extra": [43, 44]},
    }
    commit = repository(root, gate={"min_f1_per_type": {"MISC": 0.7}}, evaluation={"corrected_test": "local/old.txt"})
    committed = (root / "params.yaml").read_text()
    tree = {k: v | made_with.get(k, {}) for k, v in read_blocks(committed).items()}
    register(check_params(tree | {"sweep": {**tree["sweep"], "trials": 99}}), root)
    checkout, line = commands(recipe("ner/1", root))
    assert checkout == f"git checkout {commit}"
    arguments = shlex.split(line)
    assert arguments[:2] == ["ner", "train"] and not any("sweep" in argument for argument in arguments)
    changes = parse_settings([argument.removeprefix("--set=") for argument in arguments[2:]])
    assert override(read_blocks(committed), changes, "test") == {**read_blocks(committed), **tree}


@pytest.mark.parametrize(
    ("reference", "words"), [("ner", "names no model version"), ("ner@nobody", "nobody"), ("ner/9", "9")]
)
def test_a_version_that_does_not_exist_is_one_sentence(look, reference, words):
    with pytest.raises(RegistryError, match=words) as caught:
        recipe(reference, look)
    assert "\n" not in str(caught.value)


def test_what_shapes_a_version_are_the_parameters_of_the_stages_that_lead_to_it():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    tree = read_blocks(FULL.read_text())
    blocks = {"data", "split", "model", "encoding", "validation", "train", "prediction", "evaluation", "seeds", "gate"}
    assert set(shaping(tree, stages)) == blocks | {"registry"}
    assert set(shaping(tree, stages, "models/export")) == blocks | {"registry", "export"}
    of_weights = shaping(tree, stages, "models/ner")
    assert of_weights.pop("evaluation") == {
        "corrected_test": tree["evaluation"]["corrected_test"]
    }  # stage pin reads it
    assert set(of_weights) == {"data", "split", "model", "encoding", "validation", "train", "prediction"}
    assert shaping(
        {"registry": {"model": "ner", "experiment": "e"}}, {"gate": stages["gate"]}, "reports/gate.json"
    ) == {"registry": {"model": "ner"}}


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
