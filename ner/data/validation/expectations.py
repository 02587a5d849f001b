"""The Great Expectations suites of stage `validate`, one for each table of ner/data/validation/tables.py.

Every expectation has a `description`, which Data Docs and the report show as its name, and says what it expects in
`meta`. To add one: an entry in the suite of its table, and a column where it needs one.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from ner.common.escaping import CONTROL
from ner.data.validation.custom_expectations import ExpectColumnValuesToBeVisible
from ner.data.validation.library import gxe
from ner.params import ValidationParams

SHOWN_LABELS = 20  # of a label set, in what an expectation says


class Facts(NamedTuple):
    """What a split is compared with, apart from params.yaml.

    profile: of the source's first delivery (ner/data/validation/profile.py), None where it has none. was_read: whether
    the manifest says what reading could not keep of this split.
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
        "tokens": _tokens(params),
        "tags": _tags(facts),
        "sentences": _sentences(params),
        "documents": _documents(facts, params),
        "texts": [
            _empty(
                f"also_in_{other}",
                params.max_shared_sentences,
                f"few sentences are also in {other}",
                f"{params.max_shared_sentences:.1%} of the distinct sentences of 5 tokens or more at most "
                "(validation.max_shared_sentences)",
            )
            for other in facts.other_splits
        ],
    }
    if facts.was_read:
        limit = params.max_entities_not_kept
        expected = f"{limit:.1%} of them at most (validation.max_entities_not_kept), all listed in problems.csv"
        held["annotations"] = [_empty("not_kept", limit, "few annotated entities are lost in reading", expected)]
    if facts.profile:
        for table, expectations in _by_profile(facts.profile, params).items():
            held[table] += expectations
    return held


def _split(facts: Facts, params: ValidationParams) -> list[Any]:
    drift = params.max_label_drift
    return [
        gxe.ExpectColumnValuesToBeInSet(
            column="parquet_sha256",
            value_set=[facts.parquet_sha256],
            **_named("the parquet file is the one that ingestion wrote", f"sha256 {facts.parquet_sha256}"),
        ),
        *(_count(what, (facts.counts or {}).get(what)) for what in ("tokens", "sentences")),
        *([_count("documents", (facts.counts or {}).get("documents"))] if facts.document_boundaries else []),
        _within("entities", 1, None, "there are entities", "1 or more"),
        _within(
            "label_drift",
            None,
            drift,
            "entity types are distributed as in training",
            f"total variation distance of {drift} at most (validation.max_label_drift)",
        ),
    ]


def _tokens(params: ValidationParams) -> list[Any]:
    unreadable = params.max_unreadable_tokens
    limit = f" in all but {unreadable:.2%} (validation.max_unreadable_tokens)" if unreadable else ""
    none = "few tokens {}" if unreadable else "no token {}"
    return [
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
        _each(
            "token_chars",
            None,
            params.max_token_chars,
            "no token is too long",
            f"{params.max_token_chars} characters at most (validation.max_token_chars)",
        ),
    ]


def _tags(facts: Facts) -> list[Any]:
    begins = [f"B-{entity_type}" for entity_type in facts.entity_types]
    known = _named("every tag is in the label set", f"one of {_some(facts.labels)}")
    occur = _named("every entity type of the corpus occurs", _some(begins))
    return [
        gxe.ExpectColumnValuesToBeInSet(column="tag", value_set=facts.labels, **known),
        *([gxe.ExpectColumnDistinctValuesToContainSet(column="tag", value_set=begins, **occur)] if begins else []),
    ]


def _sentences(params: ValidationParams) -> list[Any]:
    return [
        gxe.ExpectColumnPairValuesToBeEqual(
            column_A="sentence_tokens",
            column_B="sentence_tags",
            **_named("every sentence has as many tags as tokens", "one tag a token"),
        ),
        _empty("fault", 0, "tags are valid IOB2", "every I- tag continues an entity of its type"),
        _each(
            "sentence_tokens",
            1,
            params.max_sentence_tokens,
            "no sentence is empty or too long",
            f"1 to {params.max_sentence_tokens} tokens (validation.max_sentence_tokens)",
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
    once = _empty(
        "copy_of",
        limit,
        f"{'few documents occur' if limit else 'no document occurs'} twice, here or in a split before",
        f"{limit:.1%} of them at most (validation.max_copied_documents)" if limit else "no copies",
    )
    return [in_order, once] if facts.document_boundaries else [in_order]


def _by_profile(profile: dict[str, Any], params: ValidationParams) -> dict[str, list[Any]]:
    """Return the expectations that the profile of the first delivery sets for every later one."""
    drift, change, new = params.max_label_drift, params.max_change_without_entity, params.max_new_scripts
    without, times = profile["sentences_without_entity"], params.max_ratio_to_profile
    ratio = f"{times:g} times more or fewer at most (validation.max_ratio_to_profile)"
    lengths = {"token": profile["characters_a_token"], "sentence": profile["tokens_a_sentence"]}
    entities, mean = profile["entities_a_100_tokens"], lengths["sentence"]["mean"]
    longest = {
        what: _each(
            column,
            None,
            times * lengths[what]["greatest"],
            f"no {what} is far longer than the profile's",
            f"{times * lengths[what]['greatest']:g} at most, {times:g} times the longest of the profile "
            "(validation.max_ratio_to_profile)",
        )
        for what, column in (("token", "token_chars"), ("sentence", "sentence_tokens"))
    }
    about = _named("sentences are about as long as in the profile", f"{mean:g} tokens, {ratio}")
    known = _named("no entity type is new to the profile", f"one of {_some(profile['types'])}")
    return {
        "split": [
            _within(
                "drift_from_profile",
                None,
                drift,
                "entity types are distributed as in the profile",
                f"total variation distance of {drift} at most (validation.max_label_drift)",
            ),
            _within(
                "entities_a_100_tokens",
                entities / times,
                entities * times,
                "there are about as many entities as in the profile",
                f"{entities:g} a 100 tokens, {ratio}",
            ),
            _within(
                "sentences_without_entity",
                max(0.0, without - change),
                min(1.0, without + change),
                "about as many sentences are without an entity as in the profile",
                f"a share of {without:.3f}, {change:g} more or less (validation.max_change_without_entity)",
            ),
            _within(
                "letters_of_new_scripts",
                None,
                new,
                "letters are of the scripts of the profile",
                f"a share of {new:g} in others than {', '.join(profile['scripts']) or 'none'} at most "
                "(validation.max_new_scripts)",
            ),
        ],
        "tags": [gxe.ExpectColumnValuesToBeInSet(column="type", value_set=list(profile["types"]), **known)],
        "tokens": [longest["token"]],
        "sentences": [
            longest["sentence"],
            gxe.ExpectColumnMeanToBeBetween(
                column="sentence_tokens", min_value=mean / times, max_value=mean * times, **about
            ),
        ],
    }


def _count(what: str, count: int | None) -> Any:
    if count is None:
        return _within(what, 1, None, f"there are {what}", "1 or more")
    return _within(what, count, count, f"the number of {what} is that of the catalogue", f"{count:,}")


def _within(column: str, low: float | None, high: float | None, name: str, expected: str) -> Any:
    """Expect it of the one value of a column of the table `split`."""
    return gxe.ExpectColumnMaxToBeBetween(column=column, min_value=low, max_value=high, **_named(name, expected))


def _each(column: str, low: float | None, high: float, name: str, expected: str) -> Any:
    return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, **_named(name, expected))


def _empty(column: str, limit: float, name: str, expected: str) -> Any:
    """Expect no value in a column, but for a share of its rows."""
    return gxe.ExpectColumnValuesToBeNull(column=column, mostly=round(1 - limit, 12), **_named(name, expected))


def _some(names: Iterable[str]) -> str:
    """Return names side by side, the first of them where there are hundreds."""
    shown = list(names)
    more = f" and {len(shown) - SHOWN_LABELS:,} more" if len(shown) > SHOWN_LABELS else ""
    return " ".join(shown[:SHOWN_LABELS]) + more


def _named(name: str, expected: str) -> dict[str, Any]:
    return {"description": name[0].upper() + name[1:], "meta": {"expected": expected}}
