import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ner.common.files import sha256_file
from ner.data.sources.base_encoder import fetch_base
from ner.errors import CatalogError, ModelError, SourceError
from ner.training.recipe_facts import encoder_facts
from waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder with a catalogue."""
    folder = tmp_path / "here"
    (folder / "local").mkdir(parents=True)
    (folder / "catalog.yaml").write_bytes((ROOT / "tests/data/catalog.yaml").read_bytes())
    monkeypatch.chdir(folder)
    return folder


def put(encoder: Path, folder: Path, *leave_out: str) -> Path:
    folder.mkdir(parents=True)
    for path in encoder.iterdir():
        if path.name not in leave_out:
            (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_local_encoder_is_copied_without_pickles_or_code(here, tiny_encoder):
    folder = put(tiny_encoder, here / "local" / "mine")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling.py").write_text("print('never')")
    about = fetch_base("local/mine", Path("models/base"))
    assert {p.name for p in Path("models/base").iterdir()} == {p.name for p in tiny_encoder.iterdir()}
    assert (about["kind"], about["origin"], about["revision"], about["hub_id"]) == ("local", "local/mine", None, None)
    assert json.loads(Path("models/base.json").read_text()) == about
    assert sorted(p.name for p in Path("models").iterdir()) == ["base", "base.json"]


def test_transformers_loads_what_was_written(here, tiny_encoder):
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    put(tiny_encoder, here / "local" / "mine")
    fetch_base("local/mine", Path("models/base"))
    assert AutoTokenizer.from_pretrained("models/base").is_fast
    AutoModelForTokenClassification.from_pretrained("models/base", num_labels=3)


def test_pickled_weights_are_refused_with_the_way_to_convert_them(here, tiny_encoder):
    folder = put(tiny_encoder, here / "local" / "mine", "model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"no model\.safetensors \(only pytorch_model\.bin\).*convert"):
        fetch_base("local/mine", Path("models/base"))
    assert not list(Path("models").iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"has no config\.json"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json cannot be read"),
        (lambda f: (f / "config.json").write_text("{}"), r"names no model_type"),
        (lambda f: (f / "config.json").write_text('{"model_type": "x", "auto_map": {}}'), r"its own Python code"),
        (lambda f: [(f / n).unlink(missing_ok=True) for n in ("tokenizer.json", "vocab.txt")], r"has no tokenizer"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x80\x02pickle"), r"no readable safetensors file"),
        (lambda f: os.truncate(f / "model.safetensors", 2000), r"no readable safetensors file"),
    ],
)
def test_an_encoder_that_could_not_be_loaded_is_refused_here_and_not_in_training(here, tiny_encoder, change, message):
    change(put(tiny_encoder, here / "local" / "mine"))
    with pytest.raises(ModelError, match=message):
        fetch_base("local/mine", Path("models/base"))
    assert not list(Path("models").iterdir())


def test_a_hub_encoder_comes_with_its_commit_and_nothing_but_its_files(here, hub, tiny_encoder):
    files = {p.name: p.read_bytes() for p in tiny_encoder.iterdir()}
    hub.add(
        "models", "owner/tiny", {**files, "pytorch_model.bin": b"pickle", "modeling.py": b"print()", "1/a.json": b""}
    )
    about = fetch_base(f"owner/tiny@{'a' * 40}", Path("models/base"))
    assert (about["origin"], about["revision"], about["hub_id"]) == ("owner/tiny", "a" * 40, "owner/tiny")
    assert {p.name for p in Path("models/base").iterdir()} == set(files)
    assert not any("pytorch_model" in request or "modeling" in request for request in hub.requests)


def test_a_hub_encoder_in_pickles_only_is_refused_before_anything_is_fetched(here, hub):
    hub.add("models", "owner/old", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(ModelError, match=r"owner/old on the hub has no model\.safetensors"):
        fetch_base("owner/old", Path("models/base"))
    assert not any("resolve" in request for request in hub.requests)


def test_the_checksums_of_a_catalogue_entry_hold_for_the_hub_too(here, hub, tiny_encoder):
    files = {p.name: p.read_bytes() for p in tiny_encoder.iterdir()}
    files.setdefault("vocab.txt", b"a\n")
    tree = yaml.safe_load((here / "catalog.yaml").read_text())
    tree["encoders"]["distilbert-base-uncased"]["revision"] = "main"
    (here / "catalog.yaml").write_text(yaml.safe_dump(tree))
    hub.add("models", "distilbert/distilbert-base-uncased", files)
    with pytest.raises(SourceError, match=r"config\.json is not the file that catalog\.yaml describes"):
        fetch_base("distilbert-base-uncased", Path("models/base"))
    assert not list(Path("models").iterdir())


def test_what_the_catalogue_says_of_an_encoders_training_lies_beside_its_weights(here, tiny_encoder):
    entry = {
        "kind": "files",
        "description": "d",
        "license": "MIT",
        "url": "https://example.org",
        "folder": "local/mine",
    }
    folder = put(tiny_encoder, here / "local" / "mine")
    entry["files"] = {path.name: sha256_file(path) for path in folder.iterdir()}
    tree = yaml.safe_load((here / "catalog.yaml").read_text())

    def fetch(recipe):
        tree["encoders"]["mine"] = entry | {"recipe": recipe}
        (here / "catalog.yaml").write_text(yaml.safe_dump(tree))
        return fetch_base("mine", Path("models/base"))

    fetch({"dropped_layers": 1, "learning_rate": 3e-4})
    assert encoder_facts(Path("models/base")).known == {"dropped_layers": 1, "learning_rate": 3e-4}
    assert "recipe" not in json.loads(Path("models/base.json").read_text())
    with pytest.raises(CatalogError, match="unknown key 'layers' .known: epochs, keep"):
        fetch({"layers": 1})
    with pytest.raises(CatalogError, match="learning_rate is 3, need less than 1"):
        fetch({"learning_rate": 3})


def test_the_stage_fails_in_one_line_and_keeps_the_encoder_that_was_there(checkout, tiny_encoder):
    put(tiny_encoder, checkout / "models" / "base")
    before = {p.name: p.stat().st_mtime_ns for p in (checkout / "models" / "base").iterdir()}
    params = (checkout / "params.yaml").read_text().replace("base: all-mpnet-base-v2", "base: distilbert-base-uncased")
    (checkout / "params.yaml").write_text(params)
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(checkout / "hf")}
    command = [sys.executable, "-m", "tasks.base"]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "all-mpnet-base-v2, all-minilm-l6-v2" in done.stderr
    assert {p.name: p.stat().st_mtime_ns for p in (checkout / "models" / "base").iterdir()} == before


def test_parameters_that_the_encoder_cannot_have_end_the_stage_that_fetches_it(here, tiny_encoder):
    put(tiny_encoder, here / "local" / "mine")
    params = yaml.safe_load((ROOT / "tests/data/params.yaml").read_text())
    params["model"]["base"], params["train"]["dropped_layers"] = "local/mine", 2
    (here / "params.yaml").write_text(yaml.safe_dump(params))
    ran = subprocess.run(
        [sys.executable, "-m", "tasks.base"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1 and ran.stderr.startswith("base: params.yaml, train: the encoder has 2 layers;")
