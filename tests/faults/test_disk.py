"""A disk full under each writer, DVC's cache damaged or full: a sentence, then success."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.operations
thorough = pytest.mark.skipif("NER_FAULTS" not in os.environ, reason="takes minutes: make faults")

LEFT_KB = 8  # free on the disk when the stage starts
# writer: the stage, the folder that lies on the small disk, what it writes there
WRITERS = {
    "prepared corpus": ("ingest", "data/prepared", "manifest.json"),
    "encoder": ("base", "models/base", "model.safetensors"),
    "Data Docs": ("validate", "reports/data_docs", "index.html"),
    "checkpoints": ("train", "checkpoints", None),
    "trained model": ("train", "models/ner", "model.safetensors"),
    "predictions": ("predict", "reports/predictions", "test.parquet"),
    "plots": ("evaluate", "reports/plots", None),
    "figures": ("analyse", "reports/figures", None),
    "release": ("package", "models/release", "model.safetensors"),
    "MLflow's store": ("register", "mlflow/data", None),
}


@pytest.fixture
def done(small_done, tmp_path):
    """A copy of the small pipeline in which every stage is done."""
    return shutil.copytree(small_done[0], tmp_path / "done", symlinks=True)


def on_small_disk(folder: Path, small_disk, keep: bool) -> Path:
    """Put a folder on a disk of its own that is full but for LEFT_KB; returns the file that fills it.

    A stage replaces its output under a temporary name beside it, so it is the parent that lies on the disk.
    """
    content = folder.parent / f"{folder.name}.before"
    shutil.move(folder, content) if folder.exists() else content.mkdir()
    disk = small_disk(64, folder)
    if keep:
        shutil.copytree(content, disk, dirs_exist_ok=True, symlinks=True)
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free
    filler.write_bytes(b"\0" * (free - LEFT_KB * 1024))
    return filler


def stage(name: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"tasks.{name}"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@thorough
@pytest.mark.slow
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_told_in_a_sentence_and_with_room_the_stage_succeeds(
    writer, done, small_disk, clean_environment
):
    name, output, part = WRITERS[writer]
    folder = done / (output if output in ("checkpoints", "mlflow/data") else Path(output).parent)
    filler = on_small_disk(folder, small_disk, keep=True)
    if name == "register":
        (done / "models/release/README.md").write_text("another card\n")
        weights = done / "models/release/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")  # other content, so that there is a new version
    before = (done / output / part).read_bytes() if part else b""
    failed = stage(name, done, clean_environment)
    assert failed.returncode == 1, failed.stdout + failed.stderr
    sentence = failed.stderr.strip().splitlines()[-1]
    assert sentence.startswith(f"{name}: ") and "make room" in sentence, failed.stderr
    assert "Traceback" not in failed.stderr
    assert not part or not (done / output / part).exists() or (done / output / part).read_bytes() == before
    filler.unlink()
    again = stage(name, done, clean_environment)
    assert again.returncode == 0, again.stderr
    assert not part or (done / output / part).read_bytes() == before or part in ("index.html",)


def test_a_full_disk_under_dvcs_cache_keeps_the_result_and_says_how_to_keep_it(toy, small_disk):
    from flows.runtime.run_stage import FAILED, run_stage, stage_environment

    (toy / "toy.py").write_text(
        (toy / "toy.py").read_text().replace('Path("base.txt").write_text(', 'Path("base.txt").write_text(300_000 * ')
    )
    filler = on_small_disk(toy / ".dvc" / "cache", small_disk, keep=False)
    outcome = run_stage(toy, "base", stage_environment("run", None), lambda line: None)
    assert outcome.how == FAILED, outcome
    assert "`dvc commit --force base` keeps it" in outcome.sentence and (toy / "base.txt").stat().st_size > 1_000_000
    filler.unlink()
    subprocess.run([sys.executable, "-m", "dvc", "-q", "commit", "--force", "base"], cwd=toy, check=True)
    assert run_stage(toy, "base", stage_environment("run", None), lambda line: None).how == "cached"


def test_a_damaged_file_in_dvcs_cache_is_told_and_made_again(toy):
    from flows.runtime.run_stage import run_stage, stage_environment

    assert run_stage(toy, "ingest", stage_environment("run", None), lambda line: None).how == "ran"
    (file,) = [path for path in Path(".dvc/cache/files/md5").glob("??/*") if path.read_text() == "conll2003"]
    file.chmod(0o644)
    file.write_text("conll2OO3")
    file.chmod(0o444)
    Path("corpus.txt").unlink()
    said: list[str] = []
    run_stage(toy, "ingest", stage_environment("run", None), said.append)
    assert any("was damaged" in line for line in said)
    assert Path("corpus.txt").read_text() == "conll2003"
