"""Where DVC puts things: copies of the checkout for experiments, links into a cache that is somewhere else."""

import shutil
import subprocess
import sys

import pytest

from ner.tracking.mlflow_store import client

pytestmark = [pytest.mark.operations, pytest.mark.slow]


@pytest.fixture
def done(small_done, tmp_path, monkeypatch):
    """A copy of the small pipeline in which every stage is done, with the registry that this process asks."""
    folder = shutil.copytree(small_done[0], tmp_path / "done", symlinks=True)
    monkeypatch.setenv("NER_HOME", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return folder


def dvc(folder, environment, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_experiment_in_a_copy_asks_the_registry_of_the_checkout(done, clean_environment):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["add", "-A"], ["add", "-f", "local"], ["commit", "-qm", "trained"]):
        subprocess.run([*git, *command], cwd=done, check=True)
    client().set_registered_model_alias("ner", "champion", "1")
    output = dvc(done, clean_environment, "exp", "run", "--temp", "-S", "prediction.overlap=2")
    (rule,) = [line.split() for line in output.splitlines() if line.startswith("no_worse_than_champion")]
    assert rule[2] != "-" and "ner version 2 registered" in output
    assert int(client().get_model_version_by_alias("ner", "challenger").version) == 2


@pytest.mark.parametrize("kind", ["copy", "hardlink", "symlink"])
def test_a_shared_cache_outside_with_any_kind_of_link_ends_in_the_same_version(kind, done, tmp_path, clean_environment):
    content = client().get_model_version("ner", "1").tags["content"]
    shutil.move(done / ".dvc" / "cache", tmp_path / "cache")
    for setting in (("cache.dir", str(tmp_path / "cache")), ("cache.type", kind), ("cache.shared", "group")):
        dvc(done, clean_environment, "config", "--local", *setting)
    dvc(done, clean_environment, "checkout", "--relink", "--force")
    assert (done / "models/release/model.safetensors").is_symlink() == (kind == "symlink")
    shutil.rmtree(done / "mlflow" / "data")
    dvc(done, clean_environment, "repro", "register")
    assert client().get_model_version("ner", "1").tags["content"] == content
