"""The Great Expectations suites of stage `validate`, one for each table of tasks/flat_tables.py.

Every expectation has a `description`, which Data Docs and the report show as its name, and says what it expects in
`meta`. To add one: a line in the suite of its table; a new kind is a metric and a class, as at the top.
"""

import unicodedata
from typing import Any, NamedTuple

import great_expectations.expectations as gxe
import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import ColumnMapMetricProvider, column_condition_partial

from ner.errors import TagError
from ner.params import ValidationParams
from ner.tags import first_orphan

CONTROL = r"[\x00-\x1f\x7f-\x9f]"


class Facts(NamedTuple):
    """What a split is held against, apart from params.yaml."""

    split: str
    other_splits: list[str]
    parquet_sha256: str  # as the manifest has it
    counts: dict[str, int] | None  # documents, sentences, tokens as the catalogue has them
    labels: list[str]
    entity_types: list[str]  # of the training split
    document_boundaries: bool


def is_iob2(tags: str) -> bool:
    """Whether tags, separated by spaces, are all IOB2 tags and every I- continues an entity of its type."""
    try:
        return first_orphan(tags.split(" ") if tags else []) is None
    except TagError:
        return False


def is_visible(token: str) -> bool:
    """Whether anything of a token would be printed: encoders drop white space, control and format characters."""
    return any(unicodedata.category(character)[0] not in "CZ" for character in token)


def _holds(condition: Any, column: pd.Series) -> pd.Series:
    return column.map({value: condition(value) for value in column.unique()}).astype(bool)


class ColumnValuesIob2(ColumnMapMetricProvider):
    condition_metric_name = "column_values.iob2"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, **kwargs: Any) -> pd.Series:
        return _holds(is_iob2, column)


class ColumnValuesVisible(ColumnMapMetricProvider):
    condition_metric_name = "column_values.visible"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, **kwargs: Any) -> pd.Series:
        return _holds(is_visible, column)


class ExpectColumnValuesToBeIob2(ColumnMapExpectation):
    """Expect each value to be a valid sequence of IOB2 tags, separated by spaces."""

    map_metric = "column_values.iob2"
    success_keys = ("mostly",)


class ExpectColumnValuesToBeVisible(ColumnMapExpectation):
    """Expect each value to have a character that is printed."""

    map_metric = "column_values.visible"
    success_keys = ("mostly",)


def suites(facts: Facts, params: ValidationParams) -> dict[str, list[Any]]:
    """The expectations on each table of one split, in the order in which a failure is told."""
    return {
        "split": _split(facts, params),
        "tokens": _tokens(facts, params),
        "sentences": _sentences(facts, params),
        "documents": _documents(facts),
        "texts": _texts(facts, params),
    }


def _split(facts: Facts, params: ValidationParams) -> list[Any]:
    return [
        gxe.ExpectColumnDistinctValuesToEqualSet(
            column="parquet_sha256",
            value_set=[facts.parquet_sha256],
            **_named("the parquet file is the one that ingestion wrote", f"sha256 {facts.parquet_sha256}"),
        ),
        gxe.ExpectColumnSumToBeBetween(column="entities", min_value=1, **_named("there are entities", "1 or more")),
        gxe.ExpectColumnMaxToBeBetween(
            column="label_drift",
            max_value=params.max_label_drift,
            **_named(
                "entity types are distributed as in training",
                f"total variation distance of {params.max_label_drift} at most (validation.max_label_drift)",
            ),
        ),
    ]


def _tokens(facts: Facts, params: ValidationParams) -> list[Any]:
    begins = [f"B-{entity_type}" for entity_type in facts.entity_types]
    return [
        _rows("tokens", facts.counts),
        gxe.ExpectColumnValuesToBeInSet(
            column="tag", value_set=facts.labels, **_named("every tag is in the label set", " ".join(facts.labels))
        ),
        gxe.ExpectColumnDistinctValuesToContainSet(
            column="tag",
            value_set=begins,
            **_named("every entity type of training occurs", " ".join(facts.entity_types)),
        ),
        ExpectColumnValuesToBeVisible(
            column="token", **_named("no token is empty or blank", "a character that is printed")
        ),
        gxe.ExpectColumnValuesToNotMatchRegex(
            column="token", regex=CONTROL, **_named("no token holds control characters", f"no match of {CONTROL}")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="token_chars",
            max_value=params.max_token_chars,
            **_named(
                "no token is too long", f"{params.max_token_chars} characters at most (validation.max_token_chars)"
            ),
        ),
    ]


def _sentences(facts: Facts, params: ValidationParams) -> list[Any]:
    return [
        _rows("sentences", facts.counts),
        gxe.ExpectColumnPairValuesToBeEqual(
            column_A="sentence_tokens",
            column_B="sentence_tags",
            **_named("every sentence has as many tags as tokens", "one tag a token"),
        ),
        ExpectColumnValuesToBeIob2(
            column="tags", **_named("tags are valid IOB2", "every I- tag continues an entity of its type")
        ),
        gxe.ExpectColumnValuesToBeBetween(
            column="sentence_tokens",
            min_value=1,
            max_value=params.max_sentence_tokens,
            **_named(
                "no sentence is empty or too long",
                f"1 to {params.max_sentence_tokens} tokens (validation.max_sentence_tokens)",
            ),
        ),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["document_id", "sentence_id"],
            **_named("every sentence has its own id", "no pair of document_id and sentence_id twice"),
        ),
    ]


def _documents(facts: Facts) -> list[Any]:
    in_order = gxe.ExpectColumnPairValuesToBeEqual(
        column_A="document_id",
        column_B="position",
        **_named("documents are whole and in order", "document_id counts 0, 1, 2, …, each in one piece"),
    )
    once = gxe.ExpectColumnValuesToBeNull(
        column="copy_of", **_named("no document occurs twice, here or in a split before", "no copies")
    )
    return [_rows("documents", facts.counts), in_order, once] if facts.document_boundaries else [in_order]


def _texts(facts: Facts, params: ValidationParams) -> list[Any]:
    limit = params.max_shared_sentences
    return [
        gxe.ExpectColumnValuesToBeNull(
            column=f"also_in_{other}",
            mostly=round(1 - limit, 12),
            **_named(
                f"few sentences are also in {other}",
                f"{limit:.1%} of the distinct sentences of 5 tokens or more at most (validation.max_shared_sentences)",
            ),
        )
        for other in facts.other_splits
    ]


def _rows(what: str, counts: dict[str, int] | None) -> Any:
    count = (counts or {}).get(what)
    if count is None:
        return gxe.ExpectTableRowCountToBeBetween(min_value=1, **_named(f"there are {what}", "1 or more"))
    return gxe.ExpectTableRowCountToEqual(
        value=count, **_named(f"the number of {what} is that of the catalogue", str(count))
    )


def _named(name: str, expected: str) -> dict[str, Any]:
    return {"description": name[0].upper() + name[1:], "meta": {"expected": expected}}
