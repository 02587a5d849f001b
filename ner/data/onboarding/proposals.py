"""Proposed parameters for new data, each with its value and the reason, where today's would stop or harm the run.

for change in proposals(facts, params): print(change.key, change.value, change.reason)
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from scipy.stats import beta

from ner.common.escaping import CONTROL, is_visible
from ner.data.validation.flat_tables import Tables
from ner.params import Params

WINDOWS = (128, 192, 256, 384, 512)  # subwords; of each the next is tried where sentences are longer
WHOLE = 0.95  # share of the sentences that are to fit a window; longer ones are read in overlapping pieces
SAMPLE = 5000  # sentences whose subwords are counted
SUBWORDS_A_TOKEN = 1.5  # where there is no encoder to count with
ROOM = 1.25  # times what was measured, for a limit that the next delivery is held to
POORLY_FIT = 1.6  # subwords a token: more say that the encoder knows few of the words (CoNLL-2003 has 1.3)
UNKNOWN_SUBWORDS = 0.01  # share of subwords that the encoder has no sign for
SHOWN = 5  # examples
FEW = 30  # gold entities: fewer make an F1 that says little
TOLD_APART = 0.05  # width of an interval of F1, over which the gate's floor says little


class Change(NamedTuple):
    """A new value of a parameter. key: block.key of params.yaml."""

    key: str
    value: Any
    reason: str


class Fit(NamedTuple):
    """How an encoder's tokenizer splits a corpus. lengths: subwords of sampled sentences; unknown: share of [UNK]."""

    lengths: list[int]
    a_token: float
    unknown: float
    positions: int
    measured: bool


def encoder_fit(tokens: list[list[str]], base: Path, name: str) -> Fit:
    """Return the Fit, measured with the tokenizer in `base` where that is the encoder `name`; otherwise estimated from
    tokens.
    """
    sample = tokens[:: -(-len(tokens) // SAMPLE) or 1]
    about, path = base.with_suffix(".json"), base / "tokenizer.json"
    is_there = about.is_file() and path.is_file() and json.loads(about.read_text(encoding="utf-8"))["name"] == name
    if not is_there:
        return Fit([math.ceil(len(row) * SUBWORDS_A_TOKEN) for row in sample], SUBWORDS_A_TOKEN, 0.0, 512, False)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    cut = tokenizer.encode_batch(sample, is_pretokenized=True, add_special_tokens=False)
    unknown = getattr(tokenizer.model, "unk_token", None)
    subwords, lost = sum(len(one.ids) for one in cut), sum(one.tokens.count(unknown) for one in cut) if unknown else 0
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    positions = min(512, config.get("max_position_embeddings") or 512)
    words = sum(map(len, sample))
    return Fit([len(one.ids) for one in cut], subwords / max(1, words), lost / max(1, subwords), positions, True)


def window_change(fit: Fit, params: Params) -> Iterator[Change]:
    """Propose a longer window where many sentences do not fit today's."""
    now = params.encoding.max_length
    fits = {
        size: sum(length + 2 <= size for length in fit.lengths) / max(1, len(fit.lengths)) for size in (now, *WINDOWS)
    }
    if fits[now] >= WHOLE:
        return
    sizes = [size for size in WINDOWS if now < size <= fit.positions]
    best = next((size for size in sizes if fits[size] >= WHOLE), sizes[-1] if sizes else now)
    if best != now:
        how = "" if fit.measured else f", at {SUBWORDS_A_TOKEN} subwords a token, since the encoder is not here yet"
        reason = f"{fits[now]:.1%} of the sentences fit {now} subwords, {fits[best]:.1%} fit {best}{how}"
        yield Change("encoding.max_length", best, reason)


def limit_changes(tables: Mapping[str, Tables], params: Params, boundaries: bool) -> Iterator[Change]:
    """Propose thresholds of validation that this data would break, unless mending the data is the better answer."""
    limits = params.validation
    for key, table, column in (
        ("max_sentence_tokens", "sentences", "sentence_tokens"),
        ("max_token_chars", "tokens", "token_chars"),
    ):
        parts = [own[table][[column, "place"]] for own in tables.values()]
        whole = pd.concat(parts, ignore_index=True)
        longest = whole.loc[whole[column].idxmax()]
        if longest[column] > getattr(limits, key):
            yield Change(f"validation.{key}", int(longest[column]), f"{longest['place']}: {longest[column]:,}")
    unreadable = {split: own["tokens"][_is_unreadable(own["tokens"]["token"])] for split, own in tables.items()}
    shares = {split: len(rows) / max(1, len(tables[split]["tokens"])) for split, rows in unreadable.items()}
    if max(shares.values()) > limits.max_unreadable_tokens:
        every = pd.concat(unreadable.values())
        places = "; ".join(f"{row.place}: {row.token!r}" for row in every.head(SHOWN).itertuples())
        reason = f"{len(every):,} tokens print nothing or hold control characters, the first {places}"
        yield Change("validation.max_unreadable_tokens", math.ceil(round(max(shares.values()) * 1e4, 6)) / 1e4, reason)
    shared = {(split, other): share for split, own in tables.items() for other, share in _shared(own).items()}
    if shared and max(shared.values()) > limits.max_shared_sentences:
        (split, other), share = max(shared.items(), key=lambda pair: pair[1])
        reason = f"{share:.1%} of the distinct sentences of {split} are also in {other}"
        yield Change("validation.max_shared_sentences", up(share), reason)
    copies = {split: float(own["documents"]["copy_of"].notna().mean()) for split, own in tables.items()}
    if boundaries and max(copies.values()) > limits.max_copied_documents:
        split, share = max(copies.items(), key=lambda pair: pair[1])
        reason = f"{share:.1%} of the documents of {split} stand before, there or in another split"
        yield Change("validation.max_copied_documents", up(share), reason)
    drift = max(
        float(own["split"][name].iloc[0]) for own in tables.values() for name in ("label_drift", "drift_from_profile")
    )
    if drift > limits.max_label_drift:
        reason = f"the types of the splits differ by {drift:.3f} at most"
        yield Change("validation.max_label_drift", up(min(1.0, drift * ROOM)), reason)


def _is_unreadable(tokens: pd.Series) -> pd.Series:
    broken = [token for token in tokens.unique() if not is_visible(token) or re.search(CONTROL, token)]
    return tokens.isin(broken)


def _shared(own: Tables) -> dict[str, float]:
    texts = own["texts"]
    columns = [name for name in texts if name.startswith("also_in_")]
    return {name.removeprefix("also_in_"): float(texts[name].notna().mean()) for name in columns if len(texts)}


def up(share: float) -> float:
    """Round up to the next hundredth."""
    return min(1.0, math.ceil(round(share * 100, 6)) / 100)


def gate_change(types: Mapping[str, Any], params: Params) -> Iterator[Change]:
    """Propose to drop F1 floors of types that the data does not have, which no model could reach."""
    floors = params.gate.min_f1_per_type
    remaining = {name: floor for name, floor in floors.items() if name in types}
    if remaining != floors:
        gone = ", ".join(sorted(set(floors) - set(remaining)))
        yield Change("gate.min_f1_per_type", remaining, f"the data has no {gone}")


def floor_meaning(entities: int, params: Params) -> str:
    """Return what gate.min_f1 means where validation has so many entities; another floor is not proposed."""
    floor = params.gate.min_f1
    if not entities:
        return f"gate.min_f1 {floor:g}: validation has no entity, so no model reaches it."
    right, wrong = floor * entities + 0.5, (1 - floor) * entities + 0.5  # Jeffreys' interval
    low, high = beta.interval(params.evaluation.confidence, right, wrong)
    meaning = (
        f"gate.min_f1 {floor:g}: by chance alone a model of that F1 scores {low:.3f} to {high:.3f} on "
        f"{entities:,} entities of validation"
    )
    if high - low > TOLD_APART:
        meaning += f", so these cannot tell {floor:g} from {low:.2f} or {high:.2f}: more validation would"
    return f"{meaning}."


def warnings(
    fit: Fit, language: str, tables: Mapping[str, Tables], params: Params, types: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what no parameter mends by itself, a sentence each."""
    base = params.model.base
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
    shared = {split: _shared(own).get("train", 0.0) for split, own in tables.items() if split != "train"}
    for split, share in shared.items():
        if share > params.gate.max_shared_sentences:
            yield (
                f"{share:.1%} of the distinct sentences of {split} are in training too, so scores on it are too good, "
                f"and the gate refuses a model over {params.gate.max_shared_sentences:.0%}: let the project divide the "
                "data (all files under `all` in catalog.yaml), or raise gate.max_shared_sentences knowingly."
            )
    counts = tables["validation"]["tokens"]["type"].value_counts()
    if lacking := [name for name in types if name not in counts]:
        yield f"validation has no {_some(lacking)}: whether a model learns it cannot be measured."
    if few := [f"{name} ({counts[name]})" for name in types if 0 < counts.get(name, 0) < FEW]:
        yield (
            f"validation has under {FEW} entities of {_some(few)}: the gate's floor for every type "
            f"({params.gate.min_f1_each_type:g}, gate.min_f1_each_type) judges them by luck; gate.min_f1_per_type sets "
            "another for each."
        )


def _some(names: list[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more types" if len(names) > most else "")
