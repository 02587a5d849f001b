"""Reader of catalog.yaml, which is checked whole before anything is fetched.

catalog = read_catalog(Path("catalog.yaml"))
entry = resolve_corpus("conll2003", catalog)        # or owner/name@revision, or local/my-corpus, or local/export.jsonl
"""

import difflib
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from ner.data.sources.catalog_entries import (
    ERROR_TAGS,
    HUB_ID,
    LOCAL,
    AnyCorpus,
    AnyEncoder,
    Entry,
    FilesCorpus,
    FilesEncoder,
    HubCorpus,
    HubEncoder,
    HubName,
    JoinCorpus,
    LocalFolder,
    Text,
    WheelCorpus,
    WheelEncoder,
    entry_error,
)
from ner.errors import CatalogError

CATALOG = Path("catalog.yaml")


class Catalog(Entry):
    """All entries of catalog.yaml."""

    corpora: dict[Text, Annotated[WheelCorpus | HubCorpus | FilesCorpus | JoinCorpus, Field(discriminator="kind")]]
    encoders: dict[Text, Annotated[WheelEncoder | HubEncoder | FilesEncoder, Field(discriminator="kind")]]

    @model_validator(mode="after")
    def _joins_no_joins(self) -> "Catalog":
        joins = {name: entry for name, entry in self.corpora.items() if isinstance(entry, JoinCorpus)}
        for name, entry in joins.items():
            for part in entry.corpora:
                if part.corpus in joins:
                    raise entry_error(
                        f"corpora.{name} joins {part.corpus!r}, a join itself: list the corpora that it joins"
                    )
        return self


def read_catalog(path: Path = CATALOG) -> Catalog:
    """Read and check the whole file at once. Raises CatalogError, which names every wrong key by its yaml path."""
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
    """Return the entry that data.source names. Raises CatalogError for a path outside local/ or an unknown name."""
    return _resolve(name, catalog.corpora, where)


def resolve_encoder(name: str, catalog: Catalog) -> AnyEncoder:
    """Return the entry that model.base names. Raises CatalogError as resolve_corpus does."""
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
    steps = [step for index, step in enumerate(steps) if not (index == 2 and step in kinds) and step not in ERROR_TAGS]
    path = ".".join(steps) or "the file"
    if problem["type"] == "sentence":
        return f"{path}: {problem['msg']}"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {path!r}"
    if problem["type"] in ("missing", "union_tag_not_found"):
        return f"the key {path + ('.kind' if problem['type'] != 'missing' else '')!r} is missing"
    message = problem["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{path} is {problem['input']!r}, need {message}"
