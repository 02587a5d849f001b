"""The files of DVC's cache: which of them dvc.lock of any branch, tag or experiment, or a registered version, needs.

with locked(root) as repo:
    things = objects(repo)
    kept = needed(repo, versions={"0c3f….dir": "ner/3"})    # raises UnknownError where a list of files is nowhere
    remove(repo, names)
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree, TreeError
from dvc_objects.errors import ObjectFormatError

from flows.graph import DVC_BUSY
from ner.errors import BusyError, NerError
from ner.retention import Thing

KIND = "file in DVC's cache"
RUNS = "runs"  # DVC's name of the folder with its notes on what was computed
HERE = "dvc.lock of this checkout names it"


class UnknownError(NerError):
    """What is needed cannot be found out, so that nothing of it may go."""


@contextmanager
def locked(root: Path) -> Iterator[Repo]:
    """The repository, while no other DVC command may work in it. Raises BusyError."""
    try:
        with Repo(str(root)) as repo, repo.lock:
            yield repo
    except LockError:
        raise BusyError(DVC_BUSY) from None


def objects(repo: Repo) -> list[Thing]:
    """Every file of the cache, by its name there."""
    now = time.time()
    found = []
    for odb in _caches(repo):
        for name in odb.all():
            stat = Path(odb.oid_to_path(name)).stat()
            found.append(Thing(KIND, name, stat.st_size, now - stat.st_mtime))
    return found


def needed(repo: Repo, versions: Mapping[str, str]) -> dict[str, str]:
    """The names of the files that something needs, with the reason. versions: md5 to version. Raises UnknownError."""
    folder = Path(repo.cache.local.path)
    if not folder.is_relative_to(Path(repo.dvc_dir)):
        raise UnknownError(f"the cache {folder} may be shared with other checkouts")
    roots = {name: f"the registered version {version} needs it" for name, version in versions.items()}
    try:
        for rev in repo.brancher(all_branches=True, all_tags=True, all_experiments=True):
            why = HERE if rev in ("", "workspace") else f"dvc.lock of {rev} names it"
            for out in repo.index.outs:
                if out.use_cache and out.hash_info:
                    roots.setdefault(out.hash_info.value, why)
    except Exception as error:  # of DVC and of git, whatever a branch has
        raise UnknownError(f"DVC cannot read a branch or a tag ({' '.join(str(error).split())[:200]})") from error
    return {**{name: why for root, why in roots.items() for name in _files(repo, root, why)}, **roots}


def remove(repo: Repo, names: Iterable[str]) -> None:
    """Remove files from the cache, and DVC's notes on computations whose results are then gone."""
    gone = set(names)
    for odb in _caches(repo):
        for name in gone:
            Path(odb.oid_to_path(name)).unlink(missing_ok=True)
    for path in Path(repo.stage_cache.cache_dir).glob("*/*/*"):
        text = path.read_text(encoding="utf-8")
        if any(name in text for name in gone):
            path.unlink()


def _caches(repo: Repo) -> list[Any]:
    """DVC's cache, and that of its second version where there is one."""
    legacy = repo.cache.legacy
    return [repo.cache.local, *([legacy] if legacy.path != repo.cache.local.path else [])]


def _files(repo: Repo, root: str, why: str) -> list[str]:
    """The files of a folder, by its list in the cache or in the remote. Raises UnknownError where it is in neither."""
    info = HashInfo("md5", root)
    if not info.isdir:
        return []
    for odb in [*_caches(repo), *_remotes(repo)]:
        try:
            return [entry.value for _, _, entry in Tree.load(odb, info)]
        except (OSError, TreeError, ObjectFormatError, DvcException):
            continue
        except Exception:  # each kind of remote raises errors of its own
            continue
    raise UnknownError(f"the list of files {root} is neither in DVC's cache nor in a remote, and {why}")


def _remotes(repo: Repo) -> Iterator[Any]:
    if repo.config["core"].get("remote"):
        yield repo.cloud.get_remote_odb(None, "gc")
