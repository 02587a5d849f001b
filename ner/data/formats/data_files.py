"""The files of a folder, or of a zip archive, that may hold annotated text, and the splits that their names say."""

import re
import shutil
import tempfile
import zipfile
import zlib
from functools import cache
from pathlib import Path

from ner.common.archives import open_member, open_zip
from ner.data.formats.text_files import head
from ner.errors import CorpusError

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "valid", "validation", "val", "testa"), "validation"),
    **dict.fromkeys(("test", "testing", "testb"), "test"),
}
ALL, OTHER, UNLABELLED = "all", "other", "unlabelled"
SUFFIXES = set(
    ".txt .conll .conllu .conllup .bio .bioes .bilou .iob .iob1 .iob2 .ner .tsv .csv .json .jsonl .ndjson .parquet "
    ".arrow .spacy .ann .data .col .manifest .pubtator .py .md .yml .yaml".split()
) | {""}
NO_DATA = re.compile(
    r"(readme|licen[cs]e|copying|changelog|citation|makefile)\b.*|(dataset_infos?|dataset_dict|state)\.json",
    re.IGNORECASE,
)
YAML = (".yml", ".yaml")
RASA = re.compile(rb"^\s*(?:##|-)\s*intent\s*:", re.MULTILINE | re.IGNORECASE)
START = 1 << 20  # bytes that are looked at
ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with members, empty
_kept: list[tempfile.TemporaryDirectory[str]] = []  # each is removed when the process ends


def split_of(path: Path, root: Path | None = None) -> str | None:
    """Return the split that a file's name says ("train", "validation", "test"), or a folder's on the way to it from
    root.
    """
    parts = path.relative_to(root).parts if root else (path.name,)
    for part in reversed(parts):
        splits = {SPLITS[word] for word in re.split(r"[^a-z]+", part.lower()) if word in SPLITS}
        if len(splits) == 1:
            return splits.pop()
    return None


def data_files(folder: Path) -> tuple[dict[str, list[Path]], list[tuple[Path, str]]]:
    """Return the files of a folder that may hold annotated text, by split, and the others with the reason."""
    candidates, skipped = [], []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        inner = path.relative_to(folder)
        if any(part.startswith((".", "__MACOSX")) for part in inner.parts):
            skipped.append((path, "a hidden file"))
        elif NO_DATA.fullmatch(path.name) or (path.suffix.lower() not in SUFFIXES and not split_of(path, folder)):
            skipped.append((path, "its name says that it holds no annotated text"))
        elif _is_prose(path, folder):
            skipped.append((path, "it has no examples of an intent, as Rasa writes them"))
        else:
            candidates.append(path)
    annotated = {path.with_suffix("") for path in candidates if path.suffix == ".ann"}
    if annotated:
        texts = [path for path in candidates if path.suffix != ".ann"]
        skipped += [(p, "no .ann file beside it") for p in texts if p.with_suffix("") not in annotated]
        candidates = [path for path in candidates if path.suffix == ".ann"]
    named = {path: split_of(path, folder) for path in candidates}
    rest = OTHER if any(named.values()) else ALL
    files: dict[str, list[Path]] = {}
    for split in ("train", "validation", "test", None):
        if group := [path for path in candidates if named[path] == split]:
            files[split or rest] = group
    return files, skipped


def _is_prose(path: Path, folder: Path) -> bool:
    """Whether a file is settings or notes: data are Rasa's, and Markdown whose name says a split."""
    suffix = path.suffix.lower()
    may_be = suffix in YAML or (suffix == ".md" and not split_of(path, folder))
    return may_be and not RASA.search(head(path, START))


def unpacked(path: Path) -> Path:
    """Return a path with the zip archive on it, if there is one, as a folder of its members; any other as it is.

    The folder has the archive's name and is kept until the process ends. Raises SourceError for an archive that is not
    safe to unpack, CorpusError for one that is damaged or locked.
    """
    for archive in (path, *path.parents):
        if archive.is_file():
            is_zip = head(archive, 4) in ZIP
            return (
                _unpack(archive.resolve(), archive.stat().st_mtime_ns) / path.relative_to(archive) if is_zip else path
            )
    return path


@cache
def _unpack(path: Path, _: int) -> Path:
    scratch = tempfile.TemporaryDirectory(prefix="ner-zip-")
    _kept.append(scratch)
    folder = Path(scratch.name) / path.name
    folder.mkdir()
    with open_zip(path) as archive:
        for member in archive.infolist():
            target = folder / member.filename
            if member.is_dir():
                continue
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with open_member(archive, member.filename) as stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file, 1 << 20)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise CorpusError(
                    f"{path.name}: {member.filename} is damaged ({error}): get the archive again."
                ) from None
            except OSError as error:
                raise CorpusError(
                    f"{path.name}: {member.filename[:200]!r} cannot be unpacked here ({error.strerror}): unpack it "
                    "yourself."
                ) from None
    return folder
