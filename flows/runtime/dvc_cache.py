"""What comes out of DVC's cache is verified: DVC itself trusts a file there once it has made it read-only.

if forget_damaged(root, "train", log):      # a damaged file was in the cache; it is gone, and so is its copy
    ...                                     # the stage has to run
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dvc.repo import Repo


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
