"""Several checkouts, one remote: what one worker has computed the others take from there, and none computes it twice.

    remote = remote_of(root)                            # DVC's own setting: dvc remote add --default shared URL
    with turn(stage, key, log):                         # one worker at a time, where all have one Prefect server
        receive(root, stage, log)
        ...                                             # dvc repro: takes what is there, else runs the stage
        send(root, stage, log)

What goes through the remote are the entries of DVC's run cache (inputs of a stage, and what came out) and the files
that they name. A remote that cannot be reached is a warning: the stage then runs here.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.serialize import to_single_stage_lockfile
from ruamel.yaml import YAML

from flows.runtime.waiting import told_when_slow

Log = Callable[[str], None]

NOT_SHARED = {"gate", "export", "register", "register_export"}  # they ask the registry of their own checkout; seconds
RUNS = "runs"  # DVC's name of the folder with the run cache
IMPATIENT_S = 3.0  # so long a worker waits before it says that it waits
TAKEN = "Another worker is at this stage with the same inputs: waiting for its result."


def remote_of(root: Path) -> str | None:
    """Return the name of DVC's default remote; None where there is none, and nothing is shared."""
    with Repo(str(root)) as repo:
        return repo.config["core"].get("remote")


def stage_key(root: Path, name: str) -> str | None:
    """Return 12 hex digits of a stage's command, dependencies and parameters; None where one is missing."""
    try:
        with _at_work(root) as repo:
            stage = _stage(repo, name)
            stage.save_deps()
            known = to_single_stage_lockfile(stage)
    except DvcException:
        return None
    known.pop("outs", None)
    return hashlib.sha256(json.dumps(known, sort_keys=True, default=str).encode()).hexdigest()[:12]


@contextmanager
def turn(name: str, key: str | None, log: Log) -> Iterator[None]:
    """Hold Prefect's concurrency limit `ner-<stage>-<key>`; whoever comes second waits, and finds the result.

    The server frees the slot of a worker that died. Where Prefect cannot keep the limit, a warning and no wait.
    """
    with ExitStack() as stack:
        if key:
            try:
                _take(stack, f"ner-{name}-{key}", log)
            except Exception as error:  # of the server: at worst the stage runs twice, with the same result
                log(f"warning: Prefect keeps no turn for this stage ({_short(error)}); it may run elsewhere too.")
        yield


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


def _take(stack: ExitStack, limit: str, log: Log) -> None:
    from prefect.client.orchestration import get_client
    from prefect.concurrency.sync import concurrency
    from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError

    with get_client(sync_client=True) as client:
        try:
            client.upsert_global_concurrency_limit_by_name(limit, 1)
        except (ObjectAlreadyExists, PrefectHTTPStatusError):  # another worker may have made it in the same moment
            client.read_global_concurrency_limit_by_name(limit)
    # No time limit: a slot that a slow server gives to a caller who has gone stays taken for Prefect's lease.
    with told_when_slow(TAKEN, log, IMPATIENT_S):
        stack.enter_context(concurrency(limit, strict=True))


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
