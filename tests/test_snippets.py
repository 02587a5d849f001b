"""What README and docs show to be typed: commands that exist, with what they are given, and Python that runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from document_commands import PAGES, blocks, problems

ROOT = Path(__file__).resolve().parents[1]
PYTHON = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"), "python")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_exists_with_its_options_variables_and_parameters(page):
    assert problems(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("shown", "what"),
    [
        ("make swep", "swep is no target of Makefile"),
        ("make serve MODELS=ner/1", "Makefile reads no MODELS"),
        ("ner comprae", "ner has no command comprae"),
        ("ner batch a.txt out --modle ner/1", "No such option: --modle"),
        ("python -m tasks.scale", "there is no module tasks.scale"),
        ("ner train --set train.epoch=3", "unknown key 'train.epoch'"),
        ("dvc exp run -S train.epoch=3", "unknown key 'train.epoch'"),
        ("dvc plots shwo", "DVC does not take it"),
        ("prefect deployment run ner/tran", "ner/tran is in neither"),
        ("prefect deployment run ner/train --param 'train={\"epoch\": 3}'", "unknown key 'train.epoch'"),
    ],
)
def test_a_command_that_does_not_exist_is_found_in_a_block_and_in_the_text(shown, what):
    for text in (f"Do this:\n```\n$ NER_HOST=0.0.0.0 {shown}   # so\n```\n", f"Now `{shown}` does it."):
        (found,) = problems(text)
        assert what in found


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_model) -> Path:
    """What a checkout has after `make train` and a promotion: models/release, and ner@champion in the store."""
    from ner.registry.versions import add_version, content_digest
    from ner.tracking import mlflow_store as store
    from ner.tracking.live_run import LiveRun

    folder = tmp_path_factory.mktemp("trained")
    (folder / "models").mkdir()
    (folder / "models" / "release").symlink_to(tiny_model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NER_HOME", str(folder))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        live = LiveRun.open("ner", "tiny", {}, {})
        live.close("FINISHED")
        version = add_version("ner", live.run_id, tiny_model, content_digest(tiny_model))
        store.client().set_registered_model_alias("ner", "champion", version.version)
    return folder


@pytest.mark.parametrize("block", dict.fromkeys(PYTHON))
def test_the_python_of_the_documents_runs_as_it_stands(block, trained):
    ours = ("MLFLOW_", "NER_")
    seen = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    seen["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, "-c", block], cwd=trained, env=seen, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
