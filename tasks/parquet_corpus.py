"""Read a corpus that comes as parquet, the way the hub keeps it: a row a sentence, a list of tokens, a list of tags."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ner.conll import Sentence
from ner.errors import CorpusError, TagError
from ner.readers.records import names_in
from ner.tags import first_orphan

BATCH = 10_000  # rows in memory at a time


def read_parquet(
    paths: Sequence[Path], tokens_column: str = "tokens", tags_column: str = "ner_tags", labels: list[str] | None = None
) -> Iterator[Sentence]:
    """Yield the sentences of one split, in the order of the files; document_id and line are 0: parquet has neither.

    labels: what the ids in the tag column stand for, where the file does not say it itself. Raises CorpusError for a
    file that cannot be read or lacks a column, TagError for tags that are not IOB2; both name the file and the row.
    """
    for path in paths:
        yield from _read_file(path, tokens_column, tags_column, labels)


def is_strict(path: Path) -> bool:
    """Whether a file is in the hub's usual form: columns `tokens` and `ner_tags`, ids that name IOB2 tags."""
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError):
        return path.suffix == ".parquet"  # which read_parquet then says
    if not {"tokens", "ner_tags"} <= set(schema.names) or not _holds_ids(schema.field("ner_tags").type):
        return False
    names = _own_names(schema, "ner_tags")
    return bool(names) and all(name == "O" or name[:2] in ("B-", "I-") for name in names or ())


def _holds_ids(type_: pa.DataType) -> bool:
    is_list = pa.types.is_list(type_) or pa.types.is_large_list(type_)
    return is_list and pa.types.is_integer(type_.value_type)


def _read_file(path: Path, tokens_column: str, tags_column: str, labels: list[str] | None) -> Iterator[Sentence]:
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            for column in (tokens_column, tags_column):
                if column not in schema.names:
                    raise CorpusError(
                        f"{path.name} has no column {column!r}, it has {', '.join(schema.names)}: name the columns of "
                        "tokens and tags in an entry of catalog.yaml (tokens_column, tags_column)."
                    )
            names, row = _label_names(schema, tags_column, labels, path.name), 0
            for batch in file.iter_batches(BATCH, columns=[tokens_column, tags_column]):
                for tokens, tags in zip(batch[tokens_column].to_pylist(), batch[tags_column].to_pylist(), strict=True):
                    row += 1
                    yield _sentence(tokens, tags, names, f"{path.name}, row {row}")
    except (pa.ArrowInvalid, OSError) as error:
        raise CorpusError(f"{path.name} is no readable parquet file ({str(error).splitlines()[0]}).") from None


def _label_names(schema: pa.Schema, column: str, labels: list[str] | None, where: str) -> list[str] | None:
    """What the ids stand for; None where the column holds the tags themselves."""
    type_ = schema.field(column).type
    if not pa.types.is_list(type_) and not pa.types.is_large_list(type_):
        raise CorpusError(f"{where}: the column {column!r} holds no lists but {type_}.")
    if pa.types.is_string(type_.value_type) or pa.types.is_large_string(type_.value_type):
        return None
    own = _own_names(schema, column)
    if own and labels and own != labels:
        raise CorpusError(f"{where} says that its labels are {own}, the entry in catalog.yaml says {labels}.")
    if not own and not labels:
        raise CorpusError(
            f"{where} does not say what the ids in {column!r} stand for: list the labels in an entry of catalog.yaml."
        )
    return own or labels


def _own_names(schema: pa.Schema, column: str) -> list[str] | None:
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return names_in(metadata.get("info", {}).get("features", {}).get(column))


def _sentence(tokens: list[str] | None, tags: list[Any] | None, names: list[str] | None, where: str) -> Sentence:
    if tokens is None or tags is None or len(tokens) != len(tags) or None in tokens or None in tags:
        raise CorpusError(f"{where}: {len(tokens or [])} tokens and {len(tags or [])} tags, or an empty cell.")
    if names is not None:
        wrong = [tag for tag in tags if not 0 <= tag < len(names)]
        if wrong:
            raise TagError(f"{where}: tag id {wrong[0]} is outside the {len(names)} labels.")
        tags = [names[tag] for tag in tags]
    try:
        orphan = first_orphan(tags)
    except TagError as error:
        raise TagError(f"{where}: {error}.") from None
    if orphan is not None:
        raise TagError(
            f"{where}, token {orphan + 1}: tag {tags[orphan]!r} of {tokens[orphan]!r} continues no entity. IOB2 starts "
            f"every entity with B-: write 'B-{tags[orphan][2:]}'."
        )
    return Sentence(0, tokens, tags, 0)
