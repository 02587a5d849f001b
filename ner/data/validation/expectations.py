"""The Great Expectations suites of stage `validate`, one for each table of ner/data/validation/flat_tables.py.

Every expectation has a `description`, which Data Docs and the report show as its name, and says what it expects in
`meta`. To add one: an entry in the suite of its table, and a column in ner/data/validation/flat_tables.py where it
needs one.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import great_expectations.expectations as gxe

from ner.common.escaping import CONTROL
from ner.data.validation.custom_expectations import ExpectColumnValuesToBeIob2, ExpectColumnValuesToBeVisible
from ner.params import ValidationParams

SHOWN_LABELS = 20  # of a label set, in what an expectation says


class Facts(NamedTuple):
    """What a split is compared with, apart from params.yaml.

    profile: of the source's first delivery (ner/data/validation/profile.py), None where it has none. was_read: whether
    the manifest
    says what reading could not keep of this split.
    """

    split: str
    other_splits: list[str]
    parquet_sha256: str  # as the manifest has it
    counts: dict[str, int] | None  # documents, sentences, tokens as the catalogue has them
    labels: list[str]
    entity_types: list[str]  # those that must occur
    document_boundaries: bool
    profile: dict[str, Any] | None = None
    was_read: bool = False


def suites(facts: Facts, params: ValidationParams) -> dict[str, list[Any]]:
    """Return the expectations on each table of one split, in the order in which failures are reported."""
    held = {
        "split": _split(facts, params),
        "tokens": _tokens(facts, params),
        "sentences": _sentences(facts, params),
        "documents": _documents(facts, params),
        "texts": _texts(facts, params),
    }
    if facts.was_read:
        held["annotations"] = _annotations(params)
    if facts.profile:
        for table, expectations in _by_profile(facts.profile, params).items():
            held[table] += expectations
    return held


def _by_profile(profile: dict[str, Any], params: ValidationParams) -> dict[str, list[Any]]:
    """Return the expectations that the profile of the first delivery sets for every later one."""
    drift, change, new = params.max_label_drift, params.max_change_without_entity, params.max_new_scripts
    without, times = profile["sentences_without_entity"], params.max_ratio_to_profile
    length, tokens = profile["tokens_a_sentence"], profile["characters_a_token"]
    return {
        "split": [
            gxe.ExpectColumnMaxToBeBetween(
                column="drift_from_profile",
                max_value=drift,
                **_named(
                    "entity types are distributed as in the profile",
                    f"total variation distance of {drift} at most (validation.max_label_drift)",
                ),
            ),
            gxe.ExpectColumnMaxToBeBetween(
                column="entities_a_100_tokens",
                **_about("there are about as many entities", profile["entities_a_100_tokens"], "a 100 tokens", times),
            ),
            gxe.ExpectColumnMaxToBeBetween(
                column="sentences_without_entity",
                min_value=max(0.0, without - change),
                max_value=min(1.0, without + change),
                **_named(
                    "about as many sentences are without an entity as in the profile",
                    f"a share of {without:.3f}, {change:g} more or less (validation.max_change_without_entity)",
                ),
            ),
            gxe.ExpectColumnMaxToBeBetween(
                column="letters_of_new_scripts",
                max_value=new,
                **_named(
                    "letters are of the scripts of the profile",
                    f"a share of {new:g} in others than {', '.join(profile['scripts']) or 'none'} at most "
                    "(validation.max_new_scripts)",
                ),
            ),
        ],
        "tokens": [
            gxe.ExpectColumnValuesToBeInSet(
                column="type",
                value_set=list(profile["types"]),
                **_named("no entity type is new to the profile", f"one of {_some(profile['types'])}"),
            ),
            _longest("token_chars", "no token is far longer than the profile's", tokens, times),
        ],
        "sentences": [
            _longest("sentence_tokens", "no sentence is far longer than the profile's", length, times),
            gxe.ExpectColumnMeanToBeBetween(
                column="sentence_tokens", **_about("sentences are about as long", length["mean"], "tokens", times)
            ),
        ],
    }


def _about(name: str, usual: float, unit: str, times: float) -> dict[str, Any]:
    expected = f"{usual:g} {unit}, {times:g} times more or fewer at most (validation.max_ratio_to_profile)"
    return {"min_value": usual / times, "max_value": usual * times, **_named(f"{name} as in the profile", expected)}


def _longest(column: str, name: str, lengths: dict[str, float], times: float) -> Any:
    limit = times * lengths["greatest"]
    expected = f"{limit:g} at most, {times:g} times the longest of the profile (validation.max_ratio_to_profile)"
    return gxe.ExpectColumnValuesToBeBetween(column=column, max_value=limit, **_named(name, expected))


def _annotations(params: ValidationParams) -> list[Any]:
    limit = params.max_entities_not_kept
    return [
        gxe.ExpectColumnValuesToBeNull(
            column="not_kept",
            mostly=round(1 - limit, 12),
            **_named(
                "few annotated entities are lost in reading",
                f"{limit:.1%} of them at most (validation.max_entities_not_kept), all listed in problems.csv",
            ),
        )
    ]


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
    unreadable = params.max_unreadable_tokens
    limit = f" in all but {unreadable:.2%} (validation.max_unreadable_tokens)" if unreadable else ""
    none = "few tokens {}" if unreadable else "no token {}"
    return [
        _rows("tokens", facts.counts),
        gxe.ExpectColumnValuesToBeInSet(
            column="tag",
            value_set=facts.labels,
            **_named("every tag is in the label set", f"one of {_some(facts.labels)}"),
        ),
        *_types(facts.entity_types),
        ExpectColumnValuesToBeVisible(
            column="token",
            mostly=round(1 - unreadable, 12),
            **_named(
                none.format("are" if unreadable else "is") + " empty or blank", f"a character that is printed{limit}"
            ),
        ),
        gxe.ExpectColumnValuesToNotMatchRegex(
            column="token",
            regex=CONTROL,
            mostly=round(1 - unreadable, 12),
            **_named(
                none.format("hold" if unreadable else "holds") + " control characters", f"no match of {CONTROL}{limit}"
            ),
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
            column="tag", value_set=begins, **_named("every entity type of the corpus occurs", _some(begins))
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


def _documents(facts: Facts, params: ValidationParams) -> list[Any]:
    limit = params.max_copied_documents
    in_order = gxe.ExpectColumnValuesToBeIncreasing(
        column="document_id",
        strictly=True,
        **_named("documents are in one piece and in order", "each document_id above the one before"),
    )
    once = gxe.ExpectColumnValuesToBeNull(
        column="copy_of",
        mostly=round(1 - limit, 12),
        **_named(
            f"{'few documents occur' if limit else 'no document occurs'} twice, here or in a split before",
            f"{limit:.1%} of them at most (validation.max_copied_documents)" if limit else "no copies",
        ),
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


def _some(names: Iterable[str]) -> str:
    """Return names side by side, the first of them where there are hundreds."""
    shown = list(names)
    more = f" and {len(shown) - SHOWN_LABELS:,} more" if len(shown) > SHOWN_LABELS else ""
    return " ".join(shown[:SHOWN_LABELS]) + more


def _named(name: str, expected: str) -> dict[str, Any]:
    return {"description": name[0].upper() + name[1:], "meta": {"expected": expected}}
