"""The Great Expectations suites of stage `validate`, one for each table of tasks/flat_tables.py.

Every expectation has a `description`, which Data Docs and the report show as its name, and says what it expects in
`meta`. To add one: an entry in the suite of its table, and a column in tasks/flat_tables.py where it needs one.
"""

from typing import Any, NamedTuple

import great_expectations.expectations as gxe

from ner.params import ValidationParams
from tasks.custom_expectations import ExpectColumnValuesToBeIob2, ExpectColumnValuesToBeVisible

CONTROL = r"[\x00-\x1f\x7f-\x9f]"


class Facts(NamedTuple):
    """What a split is held against, apart from params.yaml."""

    split: str
    other_splits: list[str]
    parquet_sha256: str  # as the manifest has it
    counts: dict[str, int] | None  # documents, sentences, tokens as the catalogue has them
    labels: list[str]
    entity_types: list[str]  # those that must occur
    document_boundaries: bool


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
        gxe.ExpectColumnValuesToBeInSet(
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
    return [
        _rows("tokens", facts.counts),
        gxe.ExpectColumnValuesToBeInSet(
            column="tag",
            value_set=facts.labels,
            **_named("every tag is in the label set", f"one of {' '.join(facts.labels)}"),
        ),
        *_types(facts.entity_types),
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


def _types(entity_types: list[str]) -> list[Any]:
    begins = [f"B-{entity_type}" for entity_type in entity_types]
    return [
        gxe.ExpectColumnDistinctValuesToContainSet(
            column="tag", value_set=begins, **_named("every entity type of the corpus occurs", " ".join(begins))
        )
    ] * bool(begins)


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
    in_order = gxe.ExpectColumnValuesToBeIncreasing(
        column="document_id",
        strictly=True,
        **_named("documents are in one piece and in order", "each document_id above the one before"),
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
        value=count, **_named(f"the number of {what} is that of the catalogue", f"{count:,}")
    )


def _named(name: str, expected: str) -> dict[str, Any]:
    return {"description": name[0].upper() + name[1:], "meta": {"expected": expected}}
