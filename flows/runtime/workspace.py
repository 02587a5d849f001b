"""A run with other parameters works in a copy of the working tree, so that the tree itself stays as it is.

The copy shares DVC's cache and its run cache with the checkout: unchanged stages are put back, not run again, and what
the run made is there for `dvc repro` or `dvc exp run` with the same parameters.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml
from configobj import ConfigObj

from flows.runtime.dvc_graph import Stage, cache_folder
from flows.runtime.dvc_remote import absolute_remotes
from ner.common.files import PARAMS
from ner.common.lock import STATE
from ner.common.provenance import git_state, of_this_repository
from ner.errors import NerError

WORKSPACES, RUNS = STATE / "workspaces", STATE / "runs"
SHARED = Path("checkpoints")  # a killed training goes on from there, whichever workspace it was in
KEPT_RUNS = 20
_NEVER_COPIED = {".git", ".venv", ".ner", ".dvc", "checkpoints"}


@contextmanager
def workspace(root: Path, run_id: str, params: Mapping[str, Any], stages: list[Stage]) -> Iterator[Path]:
    """Give a copy of the checkout with `params` in its params.yaml; at the end keep its reports and remove it.

    The caller holds the run lock, so that workspaces which are there are left of killed runs: they are removed first.
    """
    shutil.rmtree(root / WORKSPACES, ignore_errors=True)
    folder = root / WORKSPACES / run_id
    try:
        copy_tree(root, folder, stages)
        (folder / PARAMS).write_text(yaml.safe_dump(dict(params), sort_keys=False), encoding="utf-8")
        yield folder
    finally:
        keep_reports(root, run_id, folder)
        shutil.rmtree(folder, ignore_errors=True)


def workspace_environment(root: Path) -> dict[str, str]:
    """Return what a stage in a workspace is told, since it sees neither the checkout nor its git."""
    commit, dirty = git_state(root)
    return {"NER_HOME": str(root), "NER_GIT_COMMIT": commit, "NER_GIT_DIRTY": "0" if dirty is False else "1"}


def copy_tree(root: Path, folder: Path, stages: list[Stage]) -> None:
    """Copy what git knows or would add, and dependencies that git ignores; let DVC in the copy use the same cache."""
    folder.mkdir(parents=True)
    for path in tracked_files(root):
        _copy(root / path, folder / path)
    outs = {out for stage in stages for out in stage.outs}
    for dependency in {dep for stage in stages for dep in stage.deps} - outs:
        source = root / dependency
        if source.exists() and source.is_relative_to(root) and not _is_made(dependency, outs):
            for path in [source] if source.is_file() else source.rglob("*"):
                if path.is_file() and not (folder / path.relative_to(root)).exists():
                    _link(path, folder / path.relative_to(root))
    (root / SHARED).mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (folder / SHARED).symlink_to(root / SHARED, target_is_directory=True)
    _configure_dvc(root, folder)


def tracked_files(root: Path) -> list[Path]:
    """Return files that git tracks or does not ignore; without git, all but environments and states."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, env=of_this_repository(os.environ), capture_output=True)
    if listing.returncode == 0:
        names: Iterable[str] = {name for name in os.fsdecode(listing.stdout).split("\0") if name}
        return sorted(Path(name) for name in names if (root / name).is_file())
    files = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path for path in files if not _NEVER_COPIED.intersection(path.parts))


def keep_reports(root: Path, run_id: str, folder: Path) -> None:
    """Copy reports/ of a workspace to .ner/runs/<run id>/reports, and drop the oldest of many such copies."""
    if (folder / "reports").is_dir():
        shutil.copytree(folder / "reports", root / RUNS / run_id / "reports", dirs_exist_ok=True)
    runs = sorted((root / RUNS).glob("*"), key=lambda path: path.stat().st_mtime)
    for old in runs[:-KEPT_RUNS]:
        shutil.rmtree(old, ignore_errors=True)


def _configure_dvc(root: Path, folder: Path) -> None:
    dvc = folder / ".dvc"
    if not (root / ".dvc").is_dir():
        raise NerError(f"{root} has no .dvc folder: run from the root of the repository.")
    dvc.mkdir(exist_ok=True)
    for name in ("config", "config.local"):
        with suppress(FileNotFoundError):
            shutil.copyfile(root / ".dvc" / name, dvc / name)
    # DVC's own `Config.edit` writes ASCII only, and ends at a path with other letters.
    settings = ConfigObj(str(dvc / "config.local"), encoding="utf-8", interpolation=False)
    settings.setdefault("cache", {})["dir"] = str(cache_folder(root))
    for remote, about in absolute_remotes(root).items():  # a path in the checkout's file is relative to that file
        settings.setdefault(f'remote "{remote}"', {}).update(about)
    # Its own notes on files go with the workspace; git is the checkout's.
    settings.setdefault("core", {}).update({"no_scm": True, "site_cache_dir": str(dvc / "tmp" / "site")})
    settings.write()


def _is_made(dependency: str, outs: set[str]) -> bool:
    return any(str(parent) in outs for parent in Path(dependency).parents)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
