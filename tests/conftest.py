"""Fixtures that several tests share: our own small corpus and a tiny encoder with random weights (unit tests only)."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")  # `make test` has two
os.environ["NER_TEAM_ENV"] = ""  # no test touches the servers of your team
import guard  # noqa: E402, F401  no test opens what a user's run or edit rewrites
import ner.common.cli  # noqa: E402, F401  switches telemetry off before any library is imported
from fetching import database, hub, make_wheel, one_thread  # noqa: E402, F401
from toy_pipeline import outside, pristine, server, set_params, toy, whole_server  # noqa: E402, F401
from training_folder import fill  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
MINI = ROOT / "tests" / "data" / "mini"
FROZEN = [ROOT / "tests" / "data" / name for name in ("params.yaml", "catalog.yaml")]
SHARED = ROOT / "tests" / "shared"

# The same examples every time; how long one takes says how busy the machine is.
settings.register_profile("ner", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ner")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SHARED), os.environ.get("PYTHONPATH")]))


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
    from ingestion import ingest_files

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
        own = {"device": "cpu", "precision": "fp32", "dropped_layers": 0, **train}
        return fill(folder, prepared, tiny_encoder, train=own, encoding={"max_length": 32})

    return write


@pytest.fixture(scope="session")
def untrained(tiny_encoder: Path) -> Callable[..., Path]:
    """untrained(folder, labels, max_length=32) writes a tagger with random weights, the same ones each time."""

    def write(folder: Path, labels: list[str], **encoding: Any) -> Path:
        import torch

        from ner.common.files import read_params
        from ner.encoding.tokenizer import load_tokenizer
        from ner.training.model import new_model

        block = read_params(ROOT / "tests/data/params.yaml").encoding.model_copy(update={"max_length": 32, **encoding})
        torch.manual_seed(0)
        new_model(tiny_encoder, labels, block).save_pretrained(folder)
        load_tokenizer(tiny_encoder).save_pretrained(folder)
        return folder

    return write


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, untrained: Callable[..., Path], prepared: Path) -> Path:
    """A folder as `package` writes it: an untrained tagger of the tags of our small corpus."""
    from ner.data.prepared import read_manifest

    return untrained(tmp_path_factory.mktemp("tiny-model") / "release", read_manifest(prepared)["labels"])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository's code with the frozen params.yaml and catalog.yaml, to run stages in."""
    target = tmp_path / "checkout"
    skipped = {
        ".git", ".venv", ".dvc", "data", "models", "reports", "checkpoints", ".ner", "dvc.lock", "local", "profiles",
        "docs", "backups", *(path.name for path in FROZEN),
    }  # fmt: skip

    def ignore(folder: str, names: list[str]) -> set[str]:
        left_out = set() if Path(folder).is_relative_to(ROOT / "ner") else skipped  # ner/data is code
        return {n for n in names if n == "__pycache__" or n.endswith(".egg-info") or n in left_out}

    shutil.copytree(ROOT, target, ignore=ignore)
    shutil.copytree(MINI.parent, target / "tests" / "data", dirs_exist_ok=True)
    for path in FROZEN:
        shutil.copy(path, target)
    (target / "local").mkdir()
    return target
