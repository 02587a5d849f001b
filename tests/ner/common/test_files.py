"""Nothing is ever half written."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ner.common import full_disk
from ner.common.cli import of_this_machine
from ner.common.files import read_json, read_params, replacing_file, replacing_folder, sha256_folder, write_json
from ner.errors import NerError, ParamsError

ROOT = Path(__file__).resolve().parents[3]


def test_a_file_keeps_its_old_content_when_its_writer_fails(tmp_path):
    write_json(tmp_path / "report.json", {"f1": 0.9})
    with pytest.raises(RuntimeError), replacing_file(tmp_path / "report.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(tmp_path / "report.json") == {"f1": 0.9}
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_a_folder_keeps_its_old_content_when_its_writer_fails(tmp_path):
    with replacing_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("old")
    with pytest.raises(RuntimeError), replacing_folder(tmp_path / "model") as temporary:
        (temporary / "weights").write_text("half")
        raise RuntimeError
    assert (tmp_path / "model" / "weights").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_is_half_written_is_nothing_for_git(tmp_path):
    (tmp_path / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    with replacing_file(tmp_path / "reports/sbom.json") as file, replacing_folder(tmp_path / "profiles/x") as folder:
        (folder / "weights").write_text("half")
        ask = ["git", "status", "--porcelain", "--untracked-files=all"]
        listed = subprocess.run(ask, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert listed.split() == ["??", ".gitignore"] and file.name.endswith(".tmp")


def test_no_half_written_file_is_in_git():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("no checkout of git")
    assert [name for name in tracked.stdout.splitlines() if re.search(r"/?\.[^/]+\.[a-z0-9_]{8}(\.tmp)?$", name)] == []


def test_the_hash_of_a_folder_knows_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    before = sha256_folder(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert sha256_folder(tmp_path) != before


def test_a_missing_or_broken_report_says_which_and_what_to_do(tmp_path):
    with pytest.raises(NerError, match=r"metrics\.json is missing: run `dvc repro`"):
        read_json(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text('{"f1": 0.9')
    with pytest.raises(NerError, match=r"metrics\.json, line 1: not JSON"):
        read_json(tmp_path / "metrics.json")
    with pytest.raises(ParamsError, match="root of the repository"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.ENOSPC, r"a file could not be written at models/ner/model\.safetensors: the disk is full.*; make room"),
        (errno.EACCES, r"Permission denied at models/ner/model\.safetensors: give access"),
    ],
)
def test_what_the_machine_refuses_is_one_sentence(number, what):
    raises = f"def main(): raise OSError({number}, '', 'models/ner/model.safetensors')"
    code = f"from ner.common.cli import run_stage\n{raises}\nrun_stage('train', main)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(rf"train: {what}, then run the same command again\.\n", done.stderr), done.stderr


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(full_disk, "SCARCE", shutil.disk_usage(tmp_path).total)
    monkeypatch.chdir(ROOT)
    assert re.search(
        rf"the disk is full \({tmp_path} \(temporary files, TMPDIR\) has [\d.]+ MB free", full_disk.no_room()
    )


def test_a_terminal_that_has_ascii_only_ends_no_command():
    code = "import ner.common.cli; print('F1 0.94 – 0.96')"
    seen = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=seen, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "F1 0.94 \\u2013 0.96\n"), done.stderr


def test_a_file_of_another_users_checkout_is_told_as_that(monkeypatch):
    owner = ROOT.stat().st_uid
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    sentence = of_this_machine(PermissionError(errno.EACCES, "", ".ner/profiles.toml"))
    assert sentence and f"this checkout is user {owner}'s: work in a clone of your own" in sentence
