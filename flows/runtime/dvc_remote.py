"""Several checkouts, one remote: what one worker has computed the others take from there.

    remote = remote_of(root)                        # DVC's own setting: dvc remote add --default shared URL
    receive(root, stage, log)
    ...                                             # dvc repro: takes what is there, else runs the stage
    send(root, stage, log)

What goes through the remote are the entries of DVC's run cache (inputs of a stage, and what came out) and the files
that they name. A remote that cannot be reached is a warning: the stage then runs here.
"""

from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from dvc.repo import Repo
from dvc.stage.cache import RunCacheNotFoundError
from ruamel.yaml import YAML

Log = Callable[[str], None]

RUNS = "runs"  # DVC's name of the folder with the run cache
NOT_SHARED = {"gate", "export", "register", "register_export"}  # they ask the registry of their own checkout; seconds


def remote_of(root: Path) -> str | None:
    """Return the name of DVC's default remote; None where there is none, and nothing is shared."""
    with Repo(str(root)) as repo:
        return repo.config["core"].get("remote")


def receive(root: Path, name: str, log: Log) -> None:
    """Put the result of the stage, where the remote has one for its present inputs, in its place and in DVC's cache."""
    try:
        with _at_work(root) as repo:
            repo.stage_cache.transfer(_far(repo), repo.cache.legacy, force=False)
            repo.stage_cache.restore(_stage(repo, name), pull=True)
            log("The remote has its result.")
    except RunCacheNotFoundError:
        return
    except Exception as error:  # each kind of remote raises errors of its own
        log(f"warning: the remote cannot be read ({_short(error)}); the stage runs here unless DVC's cache has it.")


def send(root: Path, name: str, log: Log) -> None:
    """Put what the stage has made, now or while the remote could not be reached, into the remote: files, then notes."""
    try:
        with _at_work(root) as repo:
            near, far, stage = repo.cache.legacy, _far(repo), _stage(repo, name)
            repo.stage_cache.save(stage)  # DVC itself leaves out a stage that has an output with cache: false
            entries = _unsent(near, far, stage.cmd)
            for objects in repo.stage_cache.get_used_objs(entries).values():
                repo.cloud.push(objects)
            for key, value in entries:
                path = f"{RUNS}/{key[:2]}/{key}/{value}"
                target = far.fs.join(far.path, *path.split("/"))
                far.fs.makedirs(far.fs.parent(target), exist_ok=True)
                far.fs.put_file(near.fs.join(near.path, *path.split("/")), target)
    except Exception as error:
        log(f"warning: the remote does not take the result ({_short(error)}); it is sent after a later run.")
    else:
        if entries:
            log("Its result is in the remote.")


def absolute_remotes(root: Path) -> dict[str, dict[str, Any]]:
    """Return every remote's url as it is meant, for a DVC configuration that lies elsewhere."""
    with Repo(str(root)) as repo:
        return {name: {"url": str(about["url"])} for name, about in repo.config["remote"].items() if "url" in about}


@contextmanager
def _at_work(root: Path) -> Iterator[Repo]:
    """Lock the repository and change into its folder, from which DVC takes the paths of the run cache."""
    with chdir(root), Repo(str(root)) as repo, repo.lock:
        yield repo


def _stage(repo: Repo, name: str) -> Any:
    (stage,) = repo.stage.load_all(f"{repo.root_dir}/dvc.yaml", name)
    return stage


def _far(repo: Repo) -> Any:
    return repo.cloud.get_remote_odb(None, "push --run-cache", hash_name="md5-dos2unix")


def _unsent(near: Any, far: Any, command: str) -> list[tuple[str, str]]:
    """Return (key, value) of the run cache's entries for that command that the remote has not."""
    folder = far.fs.join(far.path, RUNS)
    there = {far.fs.relpath(path, folder) for path in far.fs.find(folder)} if far.fs.exists(folder) else set()
    here = Path(near.path, RUNS)
    missing = [path for path in here.glob("*/*/*") if path.relative_to(here).as_posix() not in there]
    return [(path.parent.name, path.name) for path in missing if YAML(typ="safe").load(path)["cmd"] == command]


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200].rstrip(".")
