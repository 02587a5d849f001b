"""Limits of validation that new data would break: raised to a ceiling, beyond which a person must accept each by name.

changes, findings = raised_limits(measures, profile, params, boundaries=True, accepted={"max_label_drift"})
"""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from ner.data.onboarding.measures import Measures
from ner.params import Params

ROOM = 1.25  # times what was measured, for a limit that the next delivery is held to
CEILINGS = {  # of what is proposed: more is a sign of data that was read wrongly, or that teaches nothing
    "max_sentence_tokens": 2_000,
    "max_token_chars": 1_000,
    "max_unreadable_tokens": 0.02,
    "max_shared_sentences": 0.3,
    "max_copied_documents": 0.3,
    "max_label_drift": 0.25,
    "max_entities_not_kept": 0.0,
    "max_ratio_to_profile": 4,
    "max_change_without_entity": 0.6,
    "max_new_scripts": 0.3,
}


class Change(NamedTuple):
    """A new value of a parameter. key: block.key of params.yaml."""

    key: str
    value: Any
    reason: str


class Needed(NamedTuple):
    """The value that a limit would need, with the reason. measured: of the data; by_chance: how much of that chance
    explains in so few entities.
    """

    name: str
    measured: float
    value: float
    reason: str
    by_chance: float = 0.0


def raised_limits(
    measures: Mapping[str, Measures],
    profile: Mapping[str, Any],
    params: Params,
    boundaries: bool,
    accepted: Collection[str] = (),
    only_accepted: bool = False,
) -> tuple[list[Change], list[str]]:
    """Return the limits to raise, and a sentence for each that nobody accepted and that is over its ceiling.

    boundaries: whether documents are known. only_accepted: raise no other, for a second delivery.
    """
    changes, findings = [], []
    for needed in _needed(measures, profile, boundaries):
        name, ceiling = needed.name, CEILINGS[needed.name] + needed.by_chance
        if needed.measured <= getattr(params.validation, name):
            continue
        if name in accepted:
            changes.append(
                Change(f"validation.{name}", needed.value, f"{needed.reason}, which --accept {name} accepts")
            )
        elif only_accepted:
            continue
        elif needed.measured <= ceiling:
            changes.append(Change(f"validation.{name}", min(needed.value, ceiling), needed.reason))
        else:
            at_most = (
                f"over {ceiling:g}, which nobody should pass unseen" if ceiling else "which is never raised unseen"
            )
            findings.append(
                f"validation.{name} would have to be {needed.value:g}, {at_most}: {needed.reason}. Correct the data "
                f"or how it is read (--format, --set), or accept it by name: --accept {name}"
            )
    return changes, findings


def _needed(measures: Mapping[str, Measures], profile: Mapping[str, Any], boundaries: bool) -> Iterator[Needed]:
    for name, column in (("max_sentence_tokens", "sentence_tokens"), ("max_token_chars", "token_chars")):
        longest, place = max((own.longest[column] for own in measures.values() if own.longest), default=(0, ""))
        yield Needed(name, longest, longest, f"{place}: {longest:,}")
    yield _unreadable(measures)
    pairs = [(share, split, other) for split, own in measures.items() for other, share in own.shared.items()]
    share, split, other = max(pairs, default=(0.0, "", ""))
    reason = f"{share:.1%} of the distinct sentences of {split} are also in {other}"
    yield Needed("max_shared_sentences", share, up(share), reason)
    if boundaries:
        share, split = max((own.copied, split) for split, own in measures.items())
        reason = f"{share:.1%} of the documents of {split} stand before, there or in another split"
        yield Needed("max_copied_documents", share, up(share), reason)
    drifts = (
        (max(own.split["label_drift"], own.split["drift_from_profile"]), split) for split, own in measures.items()
    )
    drift, split = max(drifts)
    reason = f"the types of the splits differ by {drift:.3f} at most"
    yield Needed("max_label_drift", drift, up(drift * ROOM), reason, _drift_by_chance(measures[split], profile))
    lost = max(own.not_kept for own in measures.values())
    yield Needed("max_entities_not_kept", lost, up(lost), f"{lost:.2%} of the entities were not kept")
    yield from _beside_profile(measures, profile)


def _drift_by_chance(own: Measures, profile: Mapping[str, Any]) -> float:
    """Return the total variation distance to expect of so many entities that are drawn by the profile."""
    count = max(1, own.entities().total())
    shares = [about["share"] for about in profile["types"].values()]
    return sum(math.sqrt(2 * share * (1 - share) / (math.pi * count)) for share in shares) / 2


def _unreadable(measures: Mapping[str, Measures]) -> Needed:
    share = max(own.unreadable / max(1, own.tokens) for own in measures.values())
    examples = [example for own in measures.values() for example in own.examples]
    count = sum(own.unreadable for own in measures.values())
    reason = f"{count:,} tokens print nothing or hold control characters, the first {'; '.join(examples[:5])}"
    return Needed("max_unreadable_tokens", share, math.ceil(round(share * 1e4, 6)) / 1e4, reason)


def _beside_profile(measures: Mapping[str, Measures], profile: Mapping[str, Any]) -> Iterator[Needed]:
    """Yield how far the splits lie from the profile of all of them."""
    ratios = [(1.0, "", "")]
    for split, own in measures.items():
        pairs = {
            "entities a 100 tokens": (own.split["entities_a_100_tokens"], profile["entities_a_100_tokens"]),
            "tokens a sentence": (own.tokens / max(1, own.sentences), profile["tokens_a_sentence"]["mean"]),
        }
        ratios += [
            (max(a / b, b / a), split, f"{a:.4g} {what}, all data {b:.4g}") for what, (a, b) in pairs.items() if a and b
        ]
    ratio, split, reason = max(ratios)
    yield Needed("max_ratio_to_profile", ratio, math.ceil(round(ratio * 10, 6)) / 10, f"{split} has {reason}")
    for name, column, usual, what in (
        (
            "max_change_without_entity",
            "sentences_without_entity",
            profile["sentences_without_entity"],
            "without an entity",
        ),
        ("max_new_scripts", "letters_of_new_scripts", 0.0, "in scripts that the profile does not have"),
    ):
        change, split = max((abs(own.split[column] - usual), split) for split, own in measures.items())
        value = measures[split].split[column]
        yield Needed(name, change, up(change), f"{value:.1%} of {split} are {what}, in all data {usual:.1%}")


def up(share: float) -> float:
    """Round up to the next hundredth."""
    return min(1.0, math.ceil(round(share * 100, 6)) / 100)
