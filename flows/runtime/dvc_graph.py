"""The stages as dvc.yaml has them, and what DVC says about each: asked in-process, in a fraction of a second.

for stage in read_graph(root):      # in an order in which every stage comes after what it needs
    reasons = why_changed(root, stage.name)         # () when there is nothing to do
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo

from ner.errors import BusyError, NerError

DVC_BUSY = "another DVC command works on this checkout: wait until it has ended, then run the same command again."


NO_GIT = (
    "clone it with git, or make it a repository (git init && git add . && git commit -m start); to do without git, "
    "`dvc config --local core.no_scm true`."
)


@dataclass(frozen=True)
class Stage:
    """A node of dvc.yaml. `needs` are the stages whose outputs it reads; `deps` and `outs` are paths from the root."""

    name: str
    description: str
    needs: tuple[str, ...]
    deps: tuple[str, ...]
    outs: tuple[str, ...]


def read_graph(root: Path) -> list[Stage]:
    """Return the stages of dvc.yaml, each after those that it needs, otherwise in the order of the file."""
    with _repository(root) as repo:
        graph = repo.index.graph
        waiting = [_read_stage(node, graph) for node in graph if node.cmd]  # the rest are files of `dvc add`
    order = {name: place for place, name in enumerate(_names(root))}
    waiting.sort(key=lambda stage: order.get(stage.name, len(order)))
    stages: list[Stage] = []
    while waiting:
        done = {stage.name for stage in stages}
        ready = next(stage for stage in waiting if done.issuperset(stage.needs))
        stages.append(ready)
        waiting.remove(ready)
    return stages


def why_changed(root: Path, name: str, log: Callable[[str], None] = print) -> tuple[str, ...]:
    """Return why DVC would run the stage now, a few words each; empty when it would not.

    Outputs that are only missing, and are whole in DVC's cache, are put back first; a damaged file there is removed,
    and `log` gets a line. Raises BusyError.
    """
    with _repository(root) as repo:
        status = _status(repo, name)
        if _only_outputs_missing(status):
            _put_back(repo, name, log)
            status = _status(repo, name)
    return tuple(_reasons(status))


def has_changed(root: Path) -> bool:
    """Return whether DVC finds anything changed: code, data, parameters, or an output that is not in its place."""
    with _repository(root) as repo:
        return bool(repo.status())


def cache_folder(root: Path) -> Path:
    """Return the folder of the checkout's DVC cache."""
    with _repository(root) as repo:
        return Path(repo.config["cache"].get("dir") or Path(repo.dvc_dir, "cache")).resolve()


def maker_of(stages: list[Stage], path: str) -> str | None:
    """Return the name of the stage that writes `path`, or a folder that it lies in."""
    parents = {path, *(str(parent) for parent in Path(path).parents)}
    return next((stage.name for stage in stages if parents.intersection(stage.outs)), None)


@contextmanager
def _repository(root: Path) -> Any:
    try:
        with Repo(str(root)) as repo:
            yield repo
    except LockError:
        raise BusyError(DVC_BUSY) from None
    except DvcException as error:
        text = " ".join(str(error).split())
        todo = f": {NO_GIT}" if "is not a git repository" in text else ""
        raise NerError(f"DVC cannot work on {root}: {text}{todo}") from error


def _names(root: Path) -> list[str]:
    import yaml

    return list(yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


def _read_stage(node: Any, graph: Any) -> Stage:
    return Stage(
        name=node.name,
        description=node.desc or node.name,
        needs=tuple(needed.name for needed in graph.successors(node) if needed.cmd),
        deps=tuple(str(dep.def_path) for dep in node.deps),
        outs=tuple(str(out.def_path) for out in node.outs),
    )


def _status(repo: Repo, name: str) -> list[Any]:
    return [entry for entries in repo.status(targets=[_target(repo, name)]).values() for entry in entries]


def _target(repo: Repo, name: str) -> str:
    return f"{_file(repo)}:{name}"  # a bare name would be looked up in the working directory


def _file(repo: Repo) -> str:
    return f"{repo.root_dir}/dvc.yaml"


def _only_outputs_missing(status: list[Any]) -> bool:
    changes = [entry.get("changed outs") if isinstance(entry, dict) else None for entry in status]
    return bool(changes) and all(outs and set(outs.values()) <= {"deleted"} for outs in changes)


def _put_back(repo: Repo, name: str, log: Callable[[str], None]) -> None:
    for stage in repo.stage.load_all(_file(repo), name):
        for out in stage.outs:
            remove_damaged(out, log)
    try:
        repo.checkout(targets=[_target(repo, name)], allow_missing=True)
    except LockError:
        raise
    except DvcException:
        return  # not in the cache: the stage runs


def _reasons(status: list[Any]) -> list[str]:
    reasons = []
    for entry in status:
        if not isinstance(entry, dict):
            reasons.append(str(entry))
            continue
        for changed in entry.values():
            for path, how in changed.items():
                reasons += (
                    [f"{key} {word}" for key, word in how.items()] if isinstance(how, dict) else [f"{path} {how}"]
                )
    return reasons


def forget_damaged(root: Path, name: str, log: Callable[[str], None]) -> bool:
    """Remove damaged outputs of a stage from DVC's cache and the workspace; returns whether there were any."""
    with Repo(str(root)) as repo, repo.lock:
        (stage,) = repo.stage.load_all(f"{repo.root_dir}/dvc.yaml", name)
        damaged = [out for out in stage.outs if remove_damaged(out, log)]
        for out in damaged:
            out.remove()
    return bool(damaged)


def remove_damaged(out: Any, log: Callable[[str], None]) -> bool:
    """Remove from the cache the files of an output whose md5 is not their name; whether there was one."""
    damaged = [path for path, md5 in _objects(out) if path.exists() and _md5(path) != md5]
    for path in damaged:
        path.unlink()
        log(f"warning: {path.parent.name}/{path.name} in DVC's cache, of {out.def_path}, was damaged and is removed.")
    return bool(damaged)


def _objects(out: Any) -> Iterator[tuple[Path, str]]:
    """Yield every file of the output in the cache with its expected md5; the list of a folder comes first."""
    about = out.hash_info
    if not out.use_cache or not about or about.name != "md5":
        return
    path = Path(out.cache.oid_to_path(about.value))
    yield path, about.value.removesuffix(".dir")
    if about.value.endswith(".dir") and path.exists() and _md5(path) == about.value.removesuffix(".dir"):
        for entry in json.loads(path.read_bytes()):
            yield Path(out.cache.oid_to_path(entry["md5"])), entry["md5"]


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
