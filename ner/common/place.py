"""Where the checkout stands: what cannot work there is refused before anything begins, not after minutes.

home()                          # the checkout whose registry and state are used
require_place(Path.cwd())       # raises NerError, in one sentence
git_refusal(Path.cwd())         # why git tells no commit of a repository that is there, or None
"""

import os
import re
from pathlib import Path

from ner.common.provenance import ask_git
from ner.errors import NerError

OUTPUTS = ("data", "models", "reports")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_BRACES = re.compile(r"[{}]")  # DVC formats the messages of its progress bars, paths included


_EXPERIMENTS = (".dvc", "tmp", "exps")  # where `dvc exp run --temp` and `--queue` make their copies of the checkout


def home() -> Path:
    """Return the checkout whose mlflow/data and .ner are used: NER_HOME, else the working directory.

    A copy that `dvc exp run` works in goes away with its run; its home is the checkout that it was made in.
    """
    if named := os.environ.get("NER_HOME"):
        return Path(named).resolve()
    here = Path.cwd().resolve()
    return next((p.parents[2] for p in here.parents if p.parts[-3:] == _EXPERIMENTS), here)


def monitor_folder() -> Path:
    """Return where prediction keeps what monitoring needs: NER_MONITOR_FOLDER, else .ner/monitor of the checkout."""
    return Path(os.environ.get("NER_MONITOR_FOLDER") or home() / ".ner" / "monitor")


def require_place(root: Path) -> None:
    """Raise NerError where no run can work in `root`."""
    path = os.fsencode(root).decode("utf-8", "replace")
    if path != str(root):
        raise NerError(f"{path} is not in UTF-8, and DVC fails there: rename that folder, or clone elsewhere.")
    if _BRACES.search(path):
        raise NerError(f"{path} has braces in its path, and DVC fails there: rename that folder, or clone elsewhere.")
    _require_folders(root)


def _require_folders(root: Path) -> None:
    """Raise NerError where a folder that stages write to is a link to elsewhere: DVC refuses it after the stage."""
    for name in OUTPUTS:
        target = (root / name).resolve()
        if (root / ".git").exists() and (root / name).is_symlink() and not target.is_relative_to(root.resolve()):
            raise NerError(
                f"{name} is a link to {target}, and DVC keeps nothing behind a link: move the folder to {name}. "
                "To keep large files on another disk: `dvc cache dir --local PATH` and `dvc config --local cache.type "
                "symlink`."
            )


def loading_refusal(path: Path) -> str | None:
    """Return why MLflow cannot load a model from there, with what to do; None where it can.

    It takes the path of a model on this machine for an address, so that %2F is a slash to it.
    """
    encoded = _ENCODED.search(str(path))
    return encoded and f"MLflow loads no model from a path with {encoded[0]} in it, as here: use a checkout elsewhere."


def require_writable(root: Path) -> None:
    """Raise NerError where nothing can be written in `root`."""
    if not os.access(root, os.W_OK | os.X_OK):
        raise NerError(f"nothing can be written in {root}: give yourself access, or clone where you have it.")


def git_refusal(root: Path) -> str | None:
    """Return why git tells no commit of the repository, with what to do; None where it does, or there is none."""
    if os.environ.get("NER_GIT_COMMIT") or not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return None
    commit, message = ask_git(root, "rev-parse", "HEAD")
    if commit is not None:
        return None
    if "dubious ownership" in message:
        why = f"{root} belongs to another user"
        todo = f"git config --global --add safe.directory '{root}'"
    else:
        why, todo = (message.removeprefix("fatal: ").splitlines() or ["no reason given"])[0], "see `git status`"
    return f"git tells no commit of this checkout, so that a run's trace has none ({why}): {todo}."
