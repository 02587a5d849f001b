"""The champion in a real MLflow on SQLite, a tiny model with random weights: checked, recorded, rolled back."""

import errno
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ner.common.files import read_params
from ner.data.predict_splits import predict_split
from ner.data.predictions import write_predictions
from ner.data.prepared import read_manifest, read_split
from ner.errors import NerError, RegistryError
from ner.inference.tagger import Tagger
from ner.registry.champion import find_champion, predictions_folder
from ner.registry.promotion import checks
from ner.registry.promotion.checks import CHECKS, check_version
from ner.registry.promotion.rules import PROMOTION, REMOVAL, RESTORE, ROLLBACK, Entry
from ner.registry.promotion.run import append, history, history_table, record, ref, rollback, who
from ner.registry.verify import fetch_verified, version_digest
from ner.registry.versions import add_version, content_digest, find_version, resolve
from ner.tracking.mlflow_store import client, experiment_id, upload

ROOT = Path(__file__).resolve().parents[4]
PARAMS = read_params(ROOT / "tests/data/params.yaml")
PASSED = "passed, 9 of 9 rules: validation F1 0.9432"


@pytest.fixture(scope="module")
def model(tmp_path_factory, untrained, prepared) -> Path:
    return untrained(tmp_path_factory.mktemp("model") / "release", read_manifest(prepared)["labels"])


@pytest.fixture(scope="module")
def predictions(model, prepared):
    """What the model said of test at its evaluation."""
    fingerprint = read_manifest(prepared)["fingerprint"]
    return predict_split(Tagger.load(model), read_split(prepared, "test"), PARAMS, "test", fingerprint)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch, database) -> Path:
    folder = shutil.copytree(database, tmp_path / "home")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return folder


def new_version(model: Path, stored=None, gate: str | None = PASSED, champion: bool = True):
    """A registered version; `stored`: the predictions that its run has."""
    mlflow = client()
    run = mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id
    mlflow.set_terminated(run)
    version = add_version("ner", run, model, content_digest(model))
    if gate:
        mlflow.set_model_version_tag("ner", version.version, "gate", gate)
    if stored:
        mlflow.set_model_version_tag("ner", version.version, "data_fingerprint", stored.fingerprint)
        write_predictions(Path("test.parquet"), stored)
        upload(mlflow, run, [Path("test.parquet")], predictions_folder(stored.fingerprint))
    if champion:
        crown(version)
    return mlflow.get_model_version("ner", version.version)


def bare_version(champion: bool = True):
    """A version that somebody made by hand in MLflow."""
    mlflow = client()
    if not mlflow.search_registered_models():
        mlflow.create_registered_model("ner")
    version = mlflow.create_model_version("ner", source="runs:/0/model")
    if champion:
        crown(version)
    return version


def crown(version) -> None:
    client().set_registered_model_alias("ner", "champion", version.version)


def champion() -> str | None:
    return client().get_registered_model("ner").aliases.get("champion")


def files_of(version) -> Path:
    """Where the artifact store has a version's files."""
    return Path(client().get_model_version_download_uri("ner", version.version).removeprefix("file://"))


def said(version) -> dict[str, tuple[bool | None, str]]:
    return {check.name: (check.passed, check.reason) for check in check_version(version)}


def seen_as_good(version, before=None) -> None:
    """An entry as `record` adds it for a version that passed every check."""
    new = ref(version)
    append("ner", Entry("2026-01-02T03:04:05+00:00", PROMOTION, before, new, new, True, (), PASSED, "x", "none", ""))


def test_a_good_promotion_is_checked_and_recorded_once(model, predictions, capsys):
    version = new_version(model, predictions)
    entry = record("ner")
    assert entry.passed and [check.name for check in entry.checks] == ["gate", "files", "loads", "predictions"]
    assert all(check.passed for check in entry.checks), entry.checks
    assert "the same tags as at evaluation" in entry.checks[-1].reason
    assert (entry.before, entry.after, entry.champion) == (None, ref(version), ref(version))
    assert "predictions: passed" in capsys.readouterr().out

    crown(version)  # set again on the same version
    assert record("ner") is None
    assert history("ner") == [entry]
    about = client().get_registered_model("ner")
    assert [name for name in about.tags if name.startswith("promotion.0001.")]
    assert "passed" in history_table("ner")


@pytest.mark.parametrize(("to", "with_tags"), [("ner", True), ("other", False)])
def test_a_copy_is_recognised_and_checked_as_what_it_is_a_copy_of(model, predictions, to, with_tags):
    """MLflow's button "Promote model" makes one."""
    version, mlflow = new_version(model, predictions, champion=False), client()
    tagged = {"content": "", "gate": "passed, says who copied it"} if with_tags else {}
    if to == "other":
        mlflow.create_registered_model(to)
    source = f"models:/ner/{version.version}"
    copy = mlflow.create_model_version(to, source, run_id=version.run_id, tags=tagged)
    copy = mlflow.create_model_version(to, f"models:/{to}/{copy.version}", run_id=version.run_id)  # of the copy
    mlflow.set_registered_model_alias(to, "champion", copy.version)
    found = find_champion(to)
    assert (found.name, found.version) == (to, copy.version) and found.tags["content"] == content_digest(model)
    assert {name: passed for name, (passed, _) in said(found).items()} == dict.fromkeys(CHECKS, True)
    assert record(to).gate == PASSED
    assert fetch_verified(resolve(f"{to}@champion"), Path.cwd()).is_dir()
    assert find_version("ner", content_digest(model)).version == version.version  # no copy is what was registered


def test_what_a_copy_was_made_of_may_be_gone(model):
    version, mlflow = new_version(model, champion=False), client()
    tags = {**version.tags, "gate": PASSED}
    mlflow.create_registered_model("other")
    mlflow.create_model_version("other", "models:/ner/1", run_id=version.run_id, tags=tags)
    mlflow.delete_model_version("ner", version.version)
    assert resolve("other/1").tags["gate"] == PASSED


def test_other_predictions_than_at_evaluation_fail_the_check(model, predictions):
    other = replace(predictions, logits_document=-predictions.logits_document, logits_alone=-predictions.logits_alone)
    checks = said(new_version(model, other))
    assert checks["loads"][0] and checks["predictions"][0] is False
    assert "words get other tags than at evaluation" in checks["predictions"][1]


def test_without_stored_predictions_the_check_fails_and_says_so(model, predictions):
    version = new_version(model, predictions)
    client().set_model_version_tag("ner", version.version, "data_fingerprint", "cd" * 32)
    checks = said(client().get_model_version("ner", version.version))
    assert checks["loads"][0]
    assert checks["predictions"][0] is False
    assert "has no predictions for the test split" in checks["predictions"][1]


def test_a_version_that_was_never_gated_is_a_failure_that_stays_champion_unless_told(model):
    good = new_version(model, champion=False)
    seen_as_good(good)
    bad = bare_version()
    entry = record("ner")
    assert entry.passed is False and "it never passed a gate" in entry.reason
    assert [check.passed for check in entry.checks] == [False, None, None, None]
    assert champion() == bad.version and entry.champion == ref(bad)
    assert record("ner") is None


def test_a_failed_check_puts_the_alias_back_where_that_was_asked_for(model):
    good = new_version(model, champion=False)
    seen_as_good(good)
    bare_version()
    entry = record("ner", on_failure=RESTORE)
    assert champion() == good.version and entry.champion == ref(good)
    assert entry.action == f"the alias was put back on version {good.version}"
    assert record("ner") is None


def test_with_no_good_version_restoring_takes_the_alias_away():
    bare_version()
    entry = record("ner", on_failure=RESTORE)
    assert champion() is None and entry.champion is None and "no earlier version is good" in entry.action
    assert record("ner") is None


def test_files_that_were_changed_are_found_and_never_loaded(model, predictions):
    version = new_version(model, predictions)
    weights = files_of(version) / "artifacts" / "release" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\1\2\3")
    checks = said(version)
    assert checks["files"][0] is False and "are not those that were registered" in checks["files"][1]
    assert checks["loads"] == (None, "not run, since the check 'files' failed")


@pytest.mark.parametrize("change", ["code", "no code", "stray", "loader", "gone", "pickle"])
def test_what_loading_might_run_is_only_what_was_registered(model, change):
    version = new_version(model)
    folder = files_of(version)
    if change == "code":
        (folder / "code" / "ner" / "inference" / "text.py").write_text("print('mine')")
    elif change == "no code":
        shutil.rmtree(folder / "code")
    elif change == "stray":
        (folder / "code" / "torch.py").write_text("print('mine')")
    elif change == "pickle":
        (folder / "artifacts" / "release" / "more.pkl").write_bytes(b"x")
    elif change == "loader":
        told = yaml.safe_load((folder / "MLmodel").read_text())
        told["flavors"]["python_function"]["loader_module"] = "mine"
        (folder / "MLmodel").write_text(yaml.safe_dump(told))
    else:
        shutil.rmtree(folder)
    assert said(version)["files"][0] is False


def test_a_verdict_on_missing_files_names_no_folder_of_this_machine(model):
    version = new_version(model)
    (files_of(version) / "artifacts" / "release" / "model.safetensors").unlink()
    assert said(version)["files"] == (False, "its model holds no model.safetensors")
    shutil.rmtree(files_of(version))
    assert said(version)["files"] == (False, "its files are gone from the artifact store")


def test_the_digest_of_a_version_is_the_one_that_register_writes(model):
    version = new_version(model)
    assert version_digest(files_of(version)) == version.tags["content"] == content_digest(model)


def test_an_alias_that_was_removed_is_in_the_history(model):
    version = new_version(model)
    seen_as_good(version)
    client().delete_registered_model_alias("ner", "champion")
    entry = record("ner")
    assert (entry.kind, entry.before, entry.champion) == (REMOVAL, ref(version), None)
    assert record("ner") is None


def test_without_a_store_or_a_model_there_is_nothing_to_record(home, monkeypatch):
    assert record("ner") is None and "empty" in history_table("ner")
    monkeypatch.setenv("NER_HOME", str(home / "elsewhere"))
    assert record("ner") is None and not list((home / "elsewhere").rglob("*.db"))


def test_rollback_goes_back_one_good_version_with_the_reason(model):
    first, second = new_version(model), new_version(model)
    seen_as_good(first)
    seen_as_good(second, ref(first))
    entry = rollback("ner", "it misses every PER in the live texts")
    assert champion() == first.version
    assert (entry.kind, entry.before, entry.champion) == (ROLLBACK, ref(second), ref(first))
    assert history("ner")[-1] == entry and record("ner") is None
    assert "it misses every PER" in history_table("ner")


def test_rollback_with_nothing_to_go_back_to_changes_nothing(model):
    first, second = new_version(model), new_version(model)
    with pytest.raises(NerError, match="nothing to go back to, so nothing was changed: the champion is ner version 2"):
        rollback("ner", "no history")
    seen_as_good(first)
    seen_as_good(second, ref(first))
    before = client().get_registered_model("ner")
    with pytest.raises(NerError, match=r'ner rollback "why"'):
        rollback("ner", " ")
    client().delete_model_version("ner", first.version)
    with pytest.raises(NerError, match="still exists"):
        rollback("ner", "the first is gone")
    assert champion() == second.version and client().get_registered_model("ner").tags == before.tags


def test_a_registry_that_is_down_is_no_verdict(monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{probe.getsockname()[1]}")
    for call in (lambda: record("ner"), lambda: rollback("ner", "why"), lambda: history("ner")):
        with pytest.raises(RegistryError, match="cannot be reached"):
            call()


def no_room(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("place", ["download", "write", "load", "killed"])
def test_a_check_that_this_machine_could_not_make_moves_nothing(place, model, predictions, monkeypatch, tmp_path):
    version = new_version(model, predictions)
    if place == "download":
        monkeypatch.setattr(shutil, "copyfileobj", no_room)
        monkeypatch.setattr(shutil, "copy2", no_room)
        monkeypatch.setattr(shutil, "copyfile", no_room)
    elif place == "write":
        monkeypatch.setattr(checks, "write_json", no_room)
    else:
        dies = "import os; os.kill(os.getpid(), 9)" if place == "killed" else "raise OSError(28, os.strerror(28))"
        (tmp_path / "answer.py").write_text(f"import os\n{dies}\n")
        monkeypatch.setattr(checks, "ANSWER", tmp_path / "answer.py")
    with pytest.raises(RegistryError, match=r"of ner version 1 could not be made, so nothing was changed: .*again\.$"):
        record("ner", on_failure=RESTORE)
    assert champion() == version.version and history("ner") == []
    monkeypatch.undo()


def test_who_is_the_flow_run_where_there_is_one():
    assert who({"NER_FLOW_RUN_NAME": "brave-otter"}) == "flow run brave-otter"
    assert who({}).endswith("the command line")
