"""Fixtures of the stages that fetch: a stand-in for the hub, and a pip that sees nothing but wheels made here."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub_stand_in import HubStandIn


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A running stand-in for the hub, to which HF_ENDPOINT points; its cache is empty and goes with the test."""
    from huggingface_hub import constants

    with HubStandIn() as stand_in:
        monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        yield stand_in


@pytest.fixture
def make_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """make_wheel("name", {"member": b"..."}) builds name-1.0 where pip, cut off from every index, looks for it."""
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    for name in ("PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)

    def build(name: str, members: dict[str, bytes]) -> Path:
        path = links / f"{name}-1.0-py3-none-any.whl"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
        wheel = b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        info = {"METADATA": metadata, "WHEEL": wheel, "RECORD": b""}
        with zipfile.ZipFile(path, "w") as archive:
            for member, content in {**members, **{f"{name}-1.0.dist-info/{k}": v for k, v in info.items()}}.items():
                archive.writestr(member, content)
        return path

    return build


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database without a run, in the folder of a checkout, to be copied."""
    from ner.tracking.mlflow_store import client

    folder = tmp_path_factory.mktemp("database")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        client().search_experiments()
    return folder


@pytest.fixture(scope="module")
def one_thread():
    """Sums come out the same only with as many threads: here as many as in the processes that a test starts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
