"""Repositories on the Hugging Face Hub, or on the server that HF_ENDPOINT names: data files only, no code is run.

Files go through the hub's own cache (HF_HOME): an interrupted download goes on where it stopped, and a commit that was
fetched before is had without a network.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ner.common.archives import climbs
from ner.data.sources.catalog_entries import Unreachable
from ner.errors import SourceError

TIMEOUT_S = 10
COMMIT = re.compile(r"[0-9a-f]{40}")
SPLIT_WORDS = {"train": "train", "validation": "validation", "valid": "validation", "dev": "validation", "test": "test"}
DATA_SUFFIXES = (".parquet", ".arrow", ".jsonl", ".json", ".csv", ".tsv", ".conllu", ".conll", ".bio", ".iob2", ".txt")
NO_DATA = (
    "dataset_infos.json",
    "dataset_info.json",
    "dataset_dict.json",
    "state.json",
    "requirements.txt",
    "README.txt",
)
SPLIT_IN_PATH = re.compile(r"(?:^|[/_.-])(train|validation|valid|dev|test)(?=[/_.-]|\d|$)")


class Repository(NamedTuple):
    """One commit of a repository. files: the paths in it."""

    id: str
    type: str
    commit: str
    files: list[str]

    @classmethod
    def open(cls, repo_id: str, repo_type: str, revision: str) -> "Repository":
        """Resolve a revision to its commit and list its files.

        Raises Unreachable where the hub does not answer and the commit is not in the cache, SourceError for a
        repository or a revision that is not there, or that this account may not read.
        """
        from huggingface_hub import HfApi

        try:
            info: Any = HfApi(endpoint=_endpoint()).repo_info(
                repo_id, repo_type=repo_type, revision=revision, timeout=TIMEOUT_S
            )
        except Exception as error:
            problem = _explain(error, repo_id, repo_type, revision)
            if isinstance(problem, Unreachable) and (cached := _cached(repo_id, repo_type, revision)):
                print(f"{repo_id}: the hub does not answer; commit {revision} is in the cache", flush=True)
                return cached
            raise problem from None
        if not COMMIT.fullmatch(revision):
            print(f"{repo_id}@{revision} is commit {info.sha}; write @{info.sha} to keep it", flush=True)
        return cls(repo_id, repo_type, info.sha, [sibling.rfilename for sibling in info.siblings or []])

    def download(self, names: list[str]) -> Path:
        """Fetch these files and return the folder that they are in. Raises as `open` does."""
        from huggingface_hub import snapshot_download

        climbing = [name for name in names if climbs(name)]
        if climbing:
            raise SourceError(f"{self.id} on the hub has a file {climbing[0]!r}, which climbs out of its folder.")
        missing = sorted(set(names) - set(self.files))
        if missing:
            raise SourceError(f"{self.id}@{self.commit} on the hub has no file {', '.join(missing)}.")
        try:
            folder = snapshot_download(
                self.id,
                repo_type=self.type,
                revision=self.commit,
                allow_patterns=names,
                etag_timeout=TIMEOUT_S,
                endpoint=_endpoint(),
            )
        except Exception as error:
            raise _explain(error, self.id, self.type, self.commit) from None
        incomplete = [name for name in names if not (Path(folder) / name).is_file()]
        if incomplete:
            raise Unreachable(f"{', '.join(incomplete)} of {self.id} on the hub could not be fetched.")
        return Path(folder)


def guess_splits(repo_id: str, files: list[str]) -> dict[str, list[str]]:
    """Return the data files of each split by their names: data/train-00000-of-00001.parquet, NAME/train/0000.parquet.

    Parquet if there is any, else the first of DATA_SUFFIXES that there is; `all` where no name tells a split. Raises
    SourceError where there is no data, none to train on, or several configurations have the same splits.
    """
    suffix = next((ending for ending in DATA_SUFFIXES if any(_is_data(name, ending) for name in files)), None)
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": [], "all": []}
    configurations = set()
    for name in (name for name in files if suffix and _is_data(name, suffix)):
        match = SPLIT_IN_PATH.search(name.removesuffix(suffix or ""))
        splits[SPLIT_WORDS[match[1]] if match else "all"].append(name)
        if match:
            configurations.add(name[: match.start(1)])
    if configurations:
        splits["all"] = []  # beside files of splits: no one knows what they are
    if not splits["train"] and not splits["all"]:
        scripts = " It has a loading script, which is not run; its branch refs/convert/parquet may have the files."
        hint = scripts if any(name.endswith(".py") for name in files) else ""
        raise SourceError(
            f"{repo_id} on the hub has no file of data to train on that its name tells "
            f"({', '.join(DATA_SUFFIXES)}).{hint} Add an entry of kind `hub` to catalog.yaml that names the files."
        )
    if len(configurations) > 1:
        raise SourceError(
            f"{repo_id} on the hub has several configurations ({', '.join(sorted(configurations))}): add an entry of "
            "kind `hub` to catalog.yaml that names the file of each split."
        )
    return {split: names for split, names in splits.items() if names}


def _is_data(name: str, suffix: str) -> bool:
    inner = PurePosixPath(name)
    return (
        inner.suffix == suffix and not any(part.startswith(".") for part in inner.parts) and inner.name not in NO_DATA
    )


def _cached(repo_id: str, repo_type: str, revision: str) -> Repository | None:
    """Return a pinned commit that is in the cache; a branch in the cache may be old, so it does not count."""
    from huggingface_hub import snapshot_download

    if not COMMIT.fullmatch(revision):
        return None
    try:
        folder = Path(snapshot_download(repo_id, repo_type=repo_type, revision=revision, local_files_only=True))
    except Exception:  # not there, or not whole
        return None
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return Repository(repo_id, repo_type, revision, files)


def _endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def _explain(error: Exception, repo_id: str, repo_type: str, revision: str) -> SourceError:
    from huggingface_hub import errors

    what = f"{'data set' if repo_type == 'dataset' else 'model'} {repo_id}"
    if isinstance(error, errors.GatedRepoError):
        return SourceError(f"The {what} on the hub asks for its terms to be accepted: do so there, then set HF_TOKEN.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return SourceError(f"The hub has no {what}, or it is private: check the id, or set HF_TOKEN.")
    if isinstance(error, errors.RevisionNotFoundError):
        return SourceError(f"The {what} on the hub has no revision {revision}.")
    if isinstance(error, errors.HFValidationError):
        return SourceError(f"{repo_id} is no hub id: {error}")
    if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError | TimeoutError):
        raise error  # the disk: the stage names it
    cause = " ".join(str(error).split()) or type(error).__name__
    return Unreachable(f"{_endpoint()} cannot be reached for the {what}: {_first_sentence(cause)}.")


def _first_sentence(text: str) -> str:
    return re.split(r"\. | For more information| \(Request ID", text, maxsplit=1)[0].rstrip(".")[:200]
