"""Fixtures that several tests share: our own small corpus and a tiny encoder with random weights (unit tests only)."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")  # `make test` has two
os.environ["NER_TEAM_ENV"] = ""  # no test touches the servers of your team
import tasks.cli  # noqa: E402, F401  switches telemetry off before any library is imported

ROOT = Path(__file__).resolve().parent.parent
MINI = ROOT / "tests" / "data" / "mini"


@pytest.fixture(scope="module", autouse=True)
def seed() -> None:
    """Random weights of a file's tests are the same ones, whichever files the process ran before."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def mini_folder() -> Path:
    """train.txt, valid.txt and test.txt in CoNLL-2003 columns, written for these tests, with document lines."""
    return MINI


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers and 32 dimensions with random weights and the words of our small corpus as vocabulary."""
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-encoder")
    tokenizer = BertWordPieceTokenizer(lowercase=True)
    tokenizer.train([str(p) for p in sorted(MINI.glob("*.txt"))], vocab_size=400, show_progress=False)
    tokenizer.save_model(str(folder))
    fast = BertTokenizerFast.from_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(fast), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `ingest` writes (data/prepared) for our small corpus."""
    from tasks.ingest import ingest_files

    folder = tmp_path_factory.mktemp("prepared") / "prepared"
    files = {"train": MINI / "train.txt", "validation": MINI / "valid.txt", "test": MINI / "test.txt"}
    ingest_files(files, folder, source="mini")
    return folder


@pytest.fixture(scope="session")
def trainable(tiny_encoder: Path, prepared: Path) -> Callable[..., Path]:
    """trainable(folder, batch_size=32) writes what training reads: data/prepared, models/base and params.yaml.

    Windows of 32 subwords, on a CPU in fp32, all layers; other parameters of `train` as they are given.
    """

    def write(folder: Path, **train: Any) -> Path:
        import yaml

        shutil.copytree(prepared, folder / "data" / "prepared")
        shutil.copytree(tiny_encoder, folder / "models" / "base")
        (folder / "models" / "base.json").write_text(json.dumps({"name": "tiny"}))
        params = yaml.safe_load((ROOT / "params.yaml").read_text())
        params["encoding"]["max_length"] = 32
        params["train"] |= {"device": "cpu", "precision": "fp32", "dropped_layers": 0, **train}
        (folder / "params.yaml").write_text(yaml.safe_dump(params))
        return folder

    return write


@pytest.fixture(scope="session")
def untrained(tiny_encoder: Path) -> Callable[..., Path]:
    """untrained(folder, labels, max_length=32) writes a tagger with random weights, the same ones each time."""

    def write(folder: Path, labels: list[str], **encoding: Any) -> Path:
        import torch

        from ner.prediction import load_tokenizer
        from tasks.io import read_params
        from tasks.train import new_model

        block = read_params(ROOT / "params.yaml").encoding.model_copy(update={"max_length": 32, **encoding})
        torch.manual_seed(0)
        new_model(tiny_encoder, labels, block).save_pretrained(folder)
        load_tokenizer(tiny_encoder).save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, untrained: Callable[..., Path], prepared: Path) -> Path:
    """A folder as `package` writes it: an untrained tagger of the tags of our small corpus."""
    from tasks.prepared import read_manifest

    return untrained(tmp_path_factory.mktemp("tiny-model") / "release", read_manifest(prepared)["labels"])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository's tracked files (no outputs, no environment), to run stages in."""
    target = tmp_path / "checkout"
    ignore = shutil.ignore_patterns(
        ".git", ".venv", ".dvc", "data", "models", "reports", "checkpoints", "__pycache__", ".ner", "*.egg-info"
    )
    shutil.copytree(ROOT, target, ignore=ignore)
    shutil.copytree(MINI.parent, target / "tests" / "data", dirs_exist_ok=True)
    return target


@pytest.fixture
def tell() -> Callable[..., None]:
    """tell(fault=..., made=..., saw=..., first_message_s=..., outcome=...) writes the line of this fault."""

    def write(**about: Any) -> None:
        assert set(about) == {"fault", "made", "saw", "first_message_s", "outcome"}, about
        if path := os.environ.get("NER_FAULTS"):
            with Path(path).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(about, ensure_ascii=False) + "\n")

    return write
