"""Proposed parameters for new data, each with its value and the reason, where today's would stop or harm the run.

for change in proposals(facts, params): print(change.key, change.value, change.reason)
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ner.data.folds import fold_of_sentences
from ner.data.onboarding.limits import Change
from ner.data.prepared import Split, read_manifest, read_parts, to_tags
from ner.errors import CorpusError
from ner.params import Params

WINDOWS = (128, 192, 256, 384, 512)  # subwords; of each the next is tried where sentences are longer
WHOLE = 0.95  # share of the sentences that are to fit a window; longer ones are read in overlapping pieces
SAMPLE = 5000  # sentences whose subwords are counted
SUBWORDS_A_TOKEN = 1.5  # where there is no encoder to count with
TOLD_APART = 0.05  # width of an interval of F1, over which the gate's floor says little
FOLDS = 5  # proposed: each model is trained on four fifths of the documents
FEW_ENTITIES = 250  # of validation: with fewer, chance alone moves an F1 of 0.8 by more than 0.05 to either side
MOST_TOKENS = 150_000  # of training and validation: with more, moving documents to validation is cheaper


class Fit(NamedTuple):
    """How an encoder's tokenizer splits a corpus. lengths: subwords of sampled sentences; unknown: share of [UNK]."""

    lengths: list[int]
    a_token: float
    unknown: float
    positions: int
    measured: bool


def encoder_fit(prepared: Path, base: Path, name: str) -> Fit:
    """Return the Fit to the training split, measured with the tokenizer in `base` where that is the encoder `name`;
    otherwise estimated from tokens.
    """
    count = read_manifest(prepared)["splits"]["train"]["sentences"]
    rows = (tokens for part in read_parts(prepared, "train") for tokens in part.tokens)
    sample = list(islice(rows, 0, None, -(-count // SAMPLE) or 1))
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
    subwords, lost = sum(len(own.ids) for own in cut), sum(own.tokens.count(unknown) for own in cut) if unknown else 0
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    positions = min(512, config.get("max_position_embeddings") or 512)
    words = sum(map(len, sample))
    return Fit([len(own.ids) for own in cut], subwords / max(1, words), lost / max(1, subwords), positions, True)


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


def gate_change(types: Mapping[str, Any], params: Params) -> Iterator[Change]:
    """Propose to drop F1 floors of types that the data does not have, which no model could reach."""
    floors = params.gate.min_f1_per_type
    remaining = {name: floor for name, floor in floors.items() if name in types}
    if remaining != floors:
        gone = ", ".join(sorted(set(floors) - set(remaining)))
        yield Change("gate.min_f1_per_type", remaining, f"the data has no {gone}")


def folds_change(entities: int, pool: Split, labels: Sequence[str], params: Params) -> Iterator[Change]:
    """Propose cross-validation where validation has too few entities to judge by, and none where it has enough.

    pool: training and validation together. Where the documents cannot be divided, the parameter stays.
    """
    if entities >= FEW_ENTITIES or sum(map(len, pool.tokens)) > MOST_TOKENS:
        yield Change("split.folds", 0, f"validation has {entities:,} entities of its own")
        return
    folds = params.split.model_copy(update={"folds": params.split.folds or FOLDS})
    try:
        fold_of_sentences(pool, labels, folds)
    except CorpusError:
        return
    of_all = sum(tag.startswith("B-") for tags in to_tags(pool.tag_ids, labels) for tag in tags)
    (low, high), (lower, upper) = (by_chance(0.8, number, params) for number in (entities, of_all))
    yield Change(
        "split.folds",
        folds.folds,
        f"validation has {entities:,} entities, under {FEW_ENTITIES}: by chance alone an F1 of 0.8 comes out as "
        f"{low:.2f} to {high:.2f} on them; cross-validation judges by all {of_all:,} of training and validation "
        f"({lower:.2f} to {upper:.2f}), takes {folds.folds + 1} trainings, and the last is on all documents",
    )


def by_chance(f1: float, entities: int, params: Params) -> tuple[float, float]:
    """Return the interval (Jeffreys') in which a model of that F1 scores on so many entities."""
    from scipy.special import betaincinv

    right, wrong = f1 * entities + 0.5, (1 - f1) * entities + 0.5
    outside = (1 - params.evaluation.confidence) / 2
    return float(betaincinv(right, wrong, outside)), float(betaincinv(right, wrong, 1 - outside))


def floor_meaning(entities: int, params: Params) -> str:
    """Return what gate.min_f1 means where validation has so many entities; another floor is not proposed."""
    floor = params.gate.min_f1
    if not entities:
        return f"gate.min_f1 {floor:g}: validation has no entity, so no model reaches it."
    low, high = by_chance(floor, entities, params)
    meaning = (
        f"gate.min_f1 {floor:g}: by chance alone a model of that F1 scores {low:.3f} to {high:.3f} on "
        f"{entities:,} entities of {'cross-validation' if params.split.folds else 'validation'}"
    )
    if high - low > TOLD_APART:
        meaning += f", so these cannot tell {floor:g} from {low:.2f} or {high:.2f}: more validation would"
    return f"{meaning}."
