"""Only what params.yaml names in local/ and in the catalogue is a dependency: DVC itself is asked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.runtime.dvc_graph import why_changed
from ner.common.files import read_params
from ner.data.sources.pin import pinned

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture
def here(tmp_path, monkeypatch, mini_folder) -> Path:
    """A working folder with a catalogue, a corpus and a corrected test set in local/, and parameters that name them."""
    shutil.copy(DATA / "catalog.yaml", tmp_path)
    shutil.copytree(mini_folder, tmp_path / "local" / "mine")
    shutil.copytree(mini_folder, tmp_path / "local" / "corrected")
    name(tmp_path, corpus="local/mine", corrected="local/corrected/test.txt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def name(root: Path, corpus: str, corrected: str | None = None) -> None:
    tree = yaml.safe_load((DATA / "params.yaml").read_text(encoding="utf-8"))
    tree["data"]["source"], tree["evaluation"]["corrected_test"] = corpus, corrected
    (root / "params.yaml").write_text(yaml.safe_dump(tree))


def changed(root: Path, change) -> set[str]:
    """Which of the three files say something else after `change`."""
    before = pinned(read_params(root / "params.yaml"))
    change()
    after = pinned(read_params(root / "params.yaml"))
    return {one for one in after if after[one] != before[one]}


def append(path: Path, text: str = "\n") -> None:
    path.write_text(path.read_text() + text)


def test_what_nobody_names_changes_nothing_and_each_file_what_reads_it(here):
    assert changed(here, lambda: (here / "local" / "notes.txt").write_text("x")) == set()
    assert changed(here, lambda: append(here / "local" / "corrected" / "train.txt")) == set()
    assert changed(here, lambda: append(here / "local" / "corrected" / "test.txt")) == {"corrected_test"}
    assert changed(here, lambda: append(here / "local" / "mine" / "train.txt")) == {"corpus"}
    assert changed(here, lambda: (here / "local" / "mine" / "more.txt").write_text("x")) == {"corpus"}
    assert changed(here, lambda: shutil.rmtree(here / "local" / "mine")) == {"corpus"}


def test_an_entry_of_the_catalogue_counts_where_it_is_the_one_that_is_named(here):
    tree = yaml.safe_load((here / "catalog.yaml").read_text())
    about = {"kind": "join", "description": "Both", "corpora": [{"corpus": "local/mine"}]}
    both = {**about, "corpora": [*about["corpora"], {"corpus": "local/corrected"}]}

    def enter(entry):
        tree["corpora"]["both"] = entry
        (here / "catalog.yaml").write_text(yaml.safe_dump(tree))

    assert changed(here, lambda: enter(about)) == set()
    name(here, corpus="both")
    assert changed(here, lambda: enter(both)) == {"corpus"}
    assert changed(here, lambda: append(here / "local" / "corrected" / "train.txt")) == {"corpus"}


def test_a_name_that_nobody_knows_is_left_to_the_stage_that_needs_it(here):
    name(here, corpus="nothing-of-that-name")
    assert "nothing-of-that-name" in pinned(read_params(here / "params.yaml"))["corpus"]["problem"]


def test_dvc_runs_ingest_again_for_a_changed_corpus_and_not_for_another_file_in_local(
    checkout, mini_folder, monkeypatch
):
    shutil.copytree(mini_folder, checkout / "local" / "mine")
    name(checkout, corpus="local/mine")
    (checkout / "dvc.lock").unlink(missing_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "DVC_SITE_CACHE_DIR": str(checkout / ".dvc" / "site")}

    def dvc(*arguments: str) -> None:
        command = [sys.executable, "-m", "dvc", *arguments, "-q"]
        subprocess.run(command, cwd=checkout, env=environment, check=True)

    monkeypatch.setenv("DVC_SITE_CACHE_DIR", environment["DVC_SITE_CACHE_DIR"])
    dvc("init", "--no-scm")
    dvc("repro", "ingest")
    (checkout / "local" / "corrected.txt").write_text("x")
    assert why_changed(checkout, "pin") and not why_changed(checkout, "ingest")
    dvc("repro", "pin")
    assert not why_changed(checkout, "pin") and not why_changed(checkout, "ingest")
    append(checkout / "local" / "mine" / "train.txt")
    dvc("repro", "pin")
    assert why_changed(checkout, "ingest") == ("data/pinned/corpus.json modified",)
