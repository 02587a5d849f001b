"""What a version must show once it is champion: it passed its gate, its files, that it loads, what it predicts.

    checks = check_version(resolve("ner/3"))       # prints each verdict as it comes

No code of a version runs before its files have been verified against the registered digest.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ner.common.cli import of_this_machine
from ner.common.files import write_json
from ner.common.full_disk import is_full, no_room
from ner.common.sqlite_address import sqlite_uri
from ner.data.predictions import read_predictions
from ner.errors import ModelError, NerError, RegistryError
from ner.registry.champion import run_of, shown
from ner.registry.promotion.rules import Check, check_gate, check_golden, golden_size
from ner.registry.versions import ROOT, check_model_files, code_files, content_digest, use_this_store
from ner.tracking.mlflow_store import NOT_THERE, client, patience, predictions_folder, registry_errors

CHECKS = ("gate", "files", "loads", "predictions")
ANSWER, ANSWER_WITHIN_S = ROOT / "mlflow" / "answer.py", 600
SPLIT = "validation"
CODE, MODEL_CODE = "code/ner", "ner_model.py"
BESIDE = {"MLmodel", "conda.yaml", "python_env.yaml", "registered_model_meta", "requirements.txt", MODEL_CODE}
_SHORT_OF = re.compile(r"MemoryError|[Cc]annot allocate memory|can't allocate memory|Too many open files|can't start")
LOADER = "mlflow.pyfunc.loaders.code_model"


@dataclass(frozen=True)
class Golden:
    """A few sentences of the validation split, and the tags that evaluation stored for them."""

    tokens: list[list[str]]
    document_ids: list[int] | None  # None: each sentence alone
    tags: list[list[str]]


def check_version(version: Any, say: Callable[[str], None] = lambda line: print(line, flush=True)) -> tuple[Check, ...]:
    """Return every check of a version, reported as it ends; what follows a failed one of gate and files is not run.

    A version that may have been tampered with is not loaded. Raises RegistryError where a check could not be made.
    """
    checks: list[Check] = []

    def add(check: Check) -> bool:
        checks.append(check)
        say(f"{shown(version)}: {check.name}: {_VERDICT[check.passed]}: {check.reason}")
        return bool(check.passed)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "version"
        golden: list[Golden] = []
        tags: list[list[str]] = []
        sound = add(check_gate(version.tags.get("gate")))
        if sound:
            say(f"{shown(version)}: fetching its files")
            sound = add(_check("files", version, lambda: check_files(version, folder)))
        if not sound:
            failed = checks[-1].name
            for name in CHECKS[len(checks) :]:
                add(Check(name, None, f"not run, since the check {failed!r} failed"))
            return tuple(checks)

        def read() -> str:
            golden.append(read_golden(version, Path(scratch)))
            return ""

        def load() -> str:
            tags.extend(answer(folder, asked))
            return "it loads and answers a text"

        stored = _check("predictions", version, read)
        asked = golden[0] if golden else Golden([], None, [])
        say(f"{shown(version)}: loading it with the code that travels with it")
        loads = add(_check("loads", version, load))
        if not golden:
            add(stored)
        elif not loads:
            add(Check("predictions", None, "not run, since the check 'loads' failed"))
        else:
            add(check_golden(asked.tokens, asked.tags, tags))
    return tuple(checks)


def check_files(version: Any, folder: Path) -> str:
    """Download a version's files and hold them against its tag `content`; returns what is good about them."""
    wanted = version.tags.get("content")
    if not wanted:
        raise NerError("it has no tag 'content', so the pipeline did not register it")
    use_this_store()
    from mlflow.artifacts import download_artifacts

    try:
        with patience(), registry_errors():
            uri = f"models:/{version.name}/{version.version}"
            folder.mkdir()
            download_artifacts(artifact_uri=uri, dst_path=str(folder))
    except (FileNotFoundError, NotADirectoryError):
        raise NerError("its files are gone from the artifact store") from None
    if not any(folder.iterdir()):  # so says a store behind a server
        raise NerError("its files are gone from the artifact store")
    content = version_digest(folder)
    if content != wanted:
        raise NerError(
            f"its files are not those that were registered: sha256 {content[:12]}…, registered {wanted[:12]}…"
        )
    return f"as registered, sha256 {content[:12]}…"


def version_digest(folder: Path) -> str:
    """Return ner.registry.versions.content_digest of a downloaded version: its model and the code that travels with it.

    Bytecode that Python left there, as loading a version from the store does, is removed: it would be run in the place
    of the code. Raises NerError where anything else lies there that `register` does not put there.
    """
    for cache in (folder / "__pycache__", *(folder / CODE).rglob("__pycache__")):
        shutil.rmtree(cache, ignore_errors=True)
    model = model_folder(folder)
    ner = folder / CODE
    if not ner.is_dir() or not (folder / MODEL_CODE).is_file():
        raise NerError(f"the code that answers is not among its files ({CODE}, {MODEL_CODE})")
    entries = [path.name for path in ner.iterdir() if path.is_dir() or path.suffix == ".py"]
    code = {MODEL_CODE: folder / MODEL_CODE, **code_files(ner, entries)}
    known = {folder / name for name in BESIDE} | set(code.values())
    stray = [p for p in sorted(folder.rglob("*")) if p.is_file() and p not in known and not p.is_relative_to(model)]
    if stray:
        raise NerError(f"{stray[0].relative_to(folder).as_posix()} lies among its files and is not of the pipeline")
    try:
        check_model_files(model)
    except ModelError as error:  # its advice is for whoever registers, and the folder is gone when this is read
        raise NerError(str(error).partition(":")[0].replace(str(model), "its model")) from None
    return content_digest(model, code)


def model_folder(folder: Path) -> Path:
    """Return where a downloaded version has its model. Raises NerError where MLmodel is not what `register` writes."""
    try:
        flavors = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]
        conf = flavors["python_function"]
        path = conf["artifacts"]["model"]["path"]
        (inside,) = (folder / "artifacts").iterdir()
        layout = (set(flavors), set(conf["artifacts"]), conf["loader_module"], conf["code"], "python_model" in conf)
        code = Path(conf["model_code_path"]).name
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        raise NerError("its files are not laid out as the pipeline registers them") from None
    if (*layout, code) != (
        {"python_function"},
        {"model"},
        LOADER,
        "code",
        False,
        MODEL_CODE,
    ) or folder / path != inside:
        raise NerError("its MLmodel is not the one that the pipeline registers")
    return inside


def read_golden(version: Any, scratch: Path) -> Golden:
    """Return the first sentences of validation as the version's own run has them. Raises NerError where it has none."""
    fingerprint = version.tags.get("data_fingerprint")
    if not fingerprint:
        raise NerError("it has no tag 'data_fingerprint', so which predictions are its own is not known")
    run_id, folder = run_of(version), predictions_folder(fingerprint)
    path = f"{folder}/{SPLIT}.parquet"
    with registry_errors(), patience():
        store = client()
        if path not in {entry.path for entry in store.list_artifacts(run_id, folder)}:
            raise NerError(f"its run has no {path}, so there is nothing to hold its predictions against")
        stored = read_predictions(Path(store.download_artifacts(run_id, path, str(scratch))).parent, SPLIT)
    size = golden_size(stored.document_ids) if stored.context == "document" else None
    first = slice(size if size is not None else golden_size(range(len(stored.tokens))))
    tags = stored.tags(stored.logits_alone if size is None else stored.logits)
    return Golden(stored.tokens[first], None if size is None else stored.document_ids[first], tags[first])


def answer(folder: Path, golden: Golden) -> list[list[str]]:
    """Return the tags that a downloaded version gives, in a process that sees only its own code.

    Raises NerError where it cannot, and RegistryError where this machine is short of disk or memory.
    """
    with tempfile.TemporaryDirectory() as scratch:
        questions, answers = Path(scratch) / "questions.json", Path(scratch) / "answers.json"
        write_json(questions, {"sentences": golden.tokens, "document_ids": golden.document_ids})
        command = [sys.executable, "-I", str(ANSWER), str(folder), str(questions), str(answers)]
        seen = {**os.environ, "MLFLOW_TRACKING_URI": sqlite_uri(Path(scratch) / "unused.db")}
        try:
            done = subprocess.run(
                command, cwd=scratch, env=seen, capture_output=True, text=True, timeout=ANSWER_WITHIN_S
            )
        except subprocess.TimeoutExpired:
            raise NerError(f"it did not answer within {ANSWER_WITHIN_S} s") from None
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            last = (lines or ["no message"])[-1][:200]
            if is_full(done.stderr):
                raise RegistryError(f"{no_room()}, then run the same command again.")
            if done.returncode < 0 or _SHORT_OF.search(last):
                how = last if done.returncode > 0 else f"signal {-done.returncode}"
                raise RegistryError(
                    f"loading it was ended by this machine ({how}), "
                    "often since the memory ran out: stop other programs, then run the same command again."
                )
            raise NerError(f"loading it ends with status {done.returncode}: {last}")
        return json.loads(answers.read_text(encoding="utf-8"))["tags"]


def _check(name: str, version: Any, work: Callable[[], str]) -> Check:
    """Return a check with the result of `work`, or with its error's sentence where that is about the version.

    Raises RegistryError where the check could not be made: the registry is down, or this machine has no room, no memory
    or no access. That says nothing about the version.
    """
    try:
        return Check(name, True, work())
    except (NerError, OSError) as error:
        missing = getattr(error.__cause__, "error_code", None) in NOT_THERE
        if isinstance(error, RegistryError | OSError) and not missing:
            reason = error if isinstance(error, NerError) else of_this_machine(error) or error
            raise RegistryError(
                f"the check {name!r} of {shown(version)} could not be made, so nothing was changed: {reason}"
            ) from error
        return Check(name, False, str(error).rstrip("."))


_VERDICT = {True: "passed", False: "FAILED", None: "–"}
