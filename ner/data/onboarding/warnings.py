"""Warnings about new data that no parameter mends by itself.

for warning in warnings(fit, manifest, measures, params): print(warning)
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from ner.data.formats.notation import may_be_prefixed
from ner.data.formats.schemes import PLAIN
from ner.data.onboarding.measures import Measures
from ner.data.onboarding.proposals import Fit
from ner.params import Params
from ner.tags import split_tag

POORLY_FIT = 1.6  # subwords a token: more say that the encoder knows few of the words (CoNLL-2003 has 1.3)
UNKNOWN_SUBWORDS = 0.01  # share of subwords that the encoder has no sign for
FEW = 30  # gold entities: fewer make an F1 that says little
HARDLY = 0.02  # share of the tokens that are outside of entities
MOST = 0.5  # share of the tokens that are of one type
MOST_NAMES = 8  # in a sentence


def warnings(
    fit: Fit,
    manifest: Mapping[str, Any],
    measures: Mapping[str, Measures],
    counts: Mapping[str, Counter[str]],
    params: Params,
) -> Iterator[str]:
    """Yield a sentence for each thing that a person should see.

    counts: entities of each split by type, those of validation with training where both are cross-validated.
    """
    yield from _encoder(fit, manifest["language"], params.model.base)
    yield from _tags(manifest, measures)
    yield from _splits(manifest["entity_types"], counts)
    for split, own in measures.items():
        share = own.shared.get("train", 0.0)
        if share > params.gate.max_shared_sentences:
            yield (
                f"{share:.1%} of the distinct sentences of {split} are in training too, so scores on it are too good, "
                f"and the gate refuses a model over {params.gate.max_shared_sentences:.0%}: let the project divide the "
                "data (all files under `all` in catalog.yaml), or raise gate.max_shared_sentences knowingly."
            )
    judged, where = counts["validation"], "cross-validation" if params.split.folds else "validation"
    if few := [f"{name} ({judged[name]})" for name in manifest["entity_types"] if 0 < judged[name] < FEW]:
        yield (
            f"{where} has under {FEW} entities of {_some(few)}: the gate's floor for every type "
            f"({params.gate.min_f1_each_type:g}, gate.min_f1_each_type) judges them by luck; gate.min_f1_per_type sets "
            "another for each."
        )


def _encoder(fit: Fit, language: str, base: str) -> Iterator[str]:
    if fit.measured and (fit.a_token > POORLY_FIT or fit.unknown > UNKNOWN_SUBWORDS):
        yield (
            f"{base} cuts a token into {fit.a_token:.2f} subwords and has no sign for {fit.unknown:.1%} of them: it "
            f"was made for other text than this (language: {language}), so an encoder of this language or a "
            f"multilingual one learns it better: --base, with a hub id or a folder in local/."
        )
    elif not fit.measured:
        yield (
            f"whether {base} fits text in this language ({language}) is not measured: it is not in models/base yet "
            "(python -m tasks.base fetches it)."
        )


def _tags(manifest: Mapping[str, Any], measures: Mapping[str, Measures]) -> Iterator[str]:
    """Yield what the tags say that is no annotation."""
    tags: Counter[str] = sum((own.tags for own in measures.values()), Counter())
    total, of_type = max(1, tags.total()), Counter[str]()
    for tag, count in tags.items():
        of_type[split_tag(tag)[1]] += count * (tag != "O")
    name, count = max(of_type.items(), key=lambda item: item[1], default=("", 0))
    scheme = manifest.get("format", {}).get("scheme")
    hint = f": if {name!r} means that a token is in no entity, give --set outside={name}" if count and scheme else ""
    if tags["O"] <= HARDLY * total:
        yield f"hardly a token is outside of entities ({tags['O']:,} of {total:,}){hint}."
    elif count > MOST * total:
        yield f"{name!r} has most tokens ({count:,} of {total:,}){hint}."
    same: dict[str, list[str]] = defaultdict(list)
    for kind in manifest["entity_types"]:
        same[_bare(kind)].append(kind)
    for kinds in same.values():
        if len(kinds) > 1:
            yield (
                f"types that differ by prefix, case or punctuation alone: {_some(kinds)}; if they mean one, map them "
                "to one with `types` in catalog.yaml."
            )
    if scheme in ("IO", PLAIN) and (inside := sum(tags[tag] for tag in tags if tag.startswith("I-"))):
        yield (
            f"scheme {scheme} marks no start of an entity, so neighbours of one type are read as one entity: "
            f"{inside:,} tokens continue an entity, and each of them might begin one."
        )


def _bare(kind: str) -> str:
    """Return a type without prefix, case and punctuation."""
    match = re.fullmatch(r"[A-Za-z]+[-_:./ ]+(.+)", kind) if may_be_prefixed(kind) else None
    return re.sub(r"[\W_]+", "", match[1] if match else kind).casefold() or kind


def _splits(types: list[str], counts: Mapping[str, Counter[str]]) -> Iterator[str]:
    """Yield the types that a split lacks."""
    for name in types:
        if not counts["train"][name]:
            there = ", ".join(f"{own[name]:,} in {split}" for split, own in counts.items() if own[name])
            yield (
                f"training has no {name} ({there}), so the model cannot learn it, and the gate fails on it: bring more "
                "documents that have it, move one of them to training, or leave the type out (`types` in catalog.yaml)."
            )
    if lacking := [name for name in types if not counts["validation"][name]]:
        yield f"validation has no {_some(lacking)}: whether a model learns it cannot be measured."


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES:,} more types" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
