"""A version whose files were changed after it was registered is used nowhere, and says so in a sentence."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ner.batch.model import choose, fetch
from ner.common.files import sha256_folder
from ner.errors import ModelError
from ner.inference.tagger import Tagger
from ner.registry.verify import fetch_verified, verify
from ner.registry.versions import CARD, add_version, content_digest, resolve
from ner.serving.backend import Version, command
from ner.tracking import mlflow_store as store
from ner.tracking.mlflow_store import client, experiment_id

ROOT = Path(__file__).resolve().parents[2]
REFUSED = "ner version 1 is refused: "
WEIGHTS = "artifacts/release/model.safetensors"


@pytest.fixture(scope="module")
def registered(tmp_path_factory, tiny_model):
    """A store with one version, to be copied."""
    folder = tmp_path_factory.mktemp("registered") / "home"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        mlflow = store.client()
        run = mlflow.create_run(experiment_id(mlflow, "ner")).info.run_id
        mlflow.set_terminated(run)
        add_version("ner", run, tiny_model, content_digest(tiny_model))
        patch.setenv("MLFLOW_REGISTRY_URI", "")
    return folder


@pytest.fixture
def files(registered, monkeypatch):
    """Where the version's files lie; whatever a test does to them is undone."""
    monkeypatch.setenv("NER_HOME", str(registered))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    (found,) = (registered / "mlflow" / "data" / "artifacts").rglob("MLmodel")
    kept = registered.parent / "kept"
    shutil.copytree(found.parent, kept)
    yield found.parent
    shutil.rmtree(found.parent)
    shutil.move(kept, found.parent)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_version_as_it_was_registered_is_found_so_where_it_lies(files, tmp_path):
    assert verify(resolve("ner/1")) == files
    assert fetch_verified(resolve("ner/1"), tmp_path).is_relative_to(tmp_path)
    (files / "artifacts" / "release" / CARD).write_text("other words")  # the card may be written anew
    verify(resolve("ner/1"))


@pytest.mark.parametrize(
    "what", [WEIGHTS, "artifacts/release/config.json", "code/ner/inference/text.py", "ner_model.py"]
)
def test_a_changed_file_is_refused_before_anything_is_loaded(files, tmp_path, what, monkeypatch):
    flip(files / what)
    monkeypatch.setattr(Tagger, "load", None)
    for use in (
        lambda: verify(resolve("ner/1")),
        lambda: fetch_verified(resolve("ner/1"), tmp_path),
        lambda: fetch(choose("ner/1"), tmp_path / "batch"),
    ):
        with pytest.raises(ModelError, match=REFUSED + r"its files are not those that were registered: sha256 \w{12}…"):
            use()


def test_a_pickle_and_a_version_that_the_pipeline_did_not_register_are_refused(files):
    (files / "artifacts" / "release" / "more.pkl").write_bytes(b"x")
    with pytest.raises(ModelError, match=REFUSED + "its model holds more.pkl"):
        verify(resolve("ner/1"))
    (files / "artifacts" / "release" / "more.pkl").unlink()
    (files / "sitecustomize.py").write_text("")
    with pytest.raises(ModelError, match=REFUSED + "sitecustomize.py lies among its files"):
        verify(resolve("ner/1"))
    (files / "sitecustomize.py").unlink()
    content = resolve("ner/1").tags["content"]
    client().delete_model_version_tag("ner", "1", "content")
    try:
        with pytest.raises(ModelError, match=REFUSED + "it has no tag 'content'"):
            verify(resolve("ner/1"))
    finally:
        client().set_model_version_tag("ner", "1", "content", content)


def test_a_batch_that_goes_on_looks_again_at_the_files_that_it_has(files, tmp_path):
    model = fetch(choose("ner/1"), tmp_path / "model")
    flip(Path(model.folder) / "model.safetensors")
    with pytest.raises(ModelError, match=REFUSED):
        fetch(choose("ner/1"), tmp_path / "model")


def test_mlflow_itself_loads_only_the_files_that_were_registered(files, monkeypatch):
    import mlflow

    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    mlflow.set_tracking_uri(store.tracking_uri())
    model = mlflow.pyfunc.load_model("models:/ner/1")
    told = model.predict({"text": ["Marta Okafor joined Helvion Steel."]})
    assert told[0]["entities"] is not None
    config = model.model_config["files"]
    assert config == sha256_folder(files / "artifacts" / "release", without=CARD)
    assert (files / "__pycache__").is_dir()  # which loading leaves in the store, and the version is still good
    verify(resolve("ner/1"))
    assert not (files / "__pycache__").exists()
    flip(files / WEIGHTS)
    with pytest.raises(mlflow.exceptions.MlflowException, match="not those that were registered, so it is not loaded"):
        mlflow.pyfunc.load_model("models:/ner/1")


def test_serving_looks_before_mlflow_starts(files, tmp_path):
    flip(files / WEIGHTS)
    line = command(Version("ner", 1))
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    (said,) = [line for line in done.stderr.splitlines() if "is refused" in line]
    assert done.returncode and said.startswith(f"digest: {REFUSED}its files are not those that were registered")
    assert not (done.stdout + done.stderr).count("Traceback")
