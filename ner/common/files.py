"""Files: read with clear errors, written under a temporary name and renamed, so that none is ever half there.

A temporary name is .<name>.<eight characters>.tmp, which git ignores and `make clean` removes.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ner.errors import NerError, ParamsError
from ner.params import Params, parse_params

PARAMS = Path("params.yaml")
TEMPORARY = ".tmp"  # how the name of what is not whole yet ends


def read_params(path: Path = PARAMS) -> Params:
    """Return all blocks of params.yaml, checked. Raises ParamsError."""
    try:
        return parse_params(path.read_text(encoding="utf-8"), where=str(path))
    except FileNotFoundError:
        raise ParamsError(f"{path} is not here: run from the root of the repository.") from None


def read_json(path: Path) -> Any:
    """Parse a JSON file. Raises NerError that says which stage's output is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NerError(f"{path} is missing: run `dvc repro`, which makes it.") from None
    except json.JSONDecodeError as error:
        raise NerError(f"{path}, line {error.lineno}: not JSON ({error.msg}); remove it and run `dvc repro`.") from None


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 whole or not at all."""
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, keys in the order given, whole or not at all."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """Return the text that write_json writes."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@contextmanager
def replacing_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it is renamed to `path`, otherwise removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=TEMPORARY, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`; on a clean exit it takes the place of `path`, otherwise it goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=TEMPORARY, dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sha256_file(path: Path) -> str:
    """Return Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_folder(path: Path, without: str | None = None) -> str:
    """Return Hex sha256 over the sorted relative names and contents of the files below `path`, except the one
    `without`.
    """
    digest = hashlib.sha256()
    left_out = None if without is None else path / without
    for file in sorted(p for p in path.rglob("*") if p.is_file() and p != left_out):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_file(file)}\n".encode())
    return digest.hexdigest()
