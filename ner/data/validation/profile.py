"""The profile of a corpus' first delivery, kept in git; `validate` compares later deliveries with it.

Run     ner profile [--new]     of data/prepared; --new: in place of the profile that is there
Reads   data/prepared
Writes  profiles/<source>.json, and prints how data/prepared differs from a profile that is there already

`ner new-data` writes the profile of new data by itself. What is expected by it: ner/data/validation/expectations.py.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ner.common.files import write_json
from ner.data.fingerprint import label_drift
from ner.data.prepared import read_manifest
from ner.data.validation.scan import Scan, read_scans
from ner.errors import NerError

PREPARED, PROFILES = Path("data/prepared"), Path("profiles")
QUANTILES = {"half": 0.5, "most": 0.99}  # under "half" lie half of the values, under "most" 99 % of them
NEED_EVERY_TYPE = (
    "train",
    "validation",
)  # to learn a type, and to measure it at the gate; a test set may lack a rare one
LIKELY = 5  # entities of a type to be expected in a split by the profile: then one chance in 150 to have none
KEYS = {
    "source", "sentences", "tokens", "entities", "types", "tokens_a_sentence", "characters_a_token",
    "entities_a_100_tokens", "sentences_without_entity", "documents_without_entity", "scripts",
}  # fmt: skip


def profile_of(manifest: Mapping[str, Any], scans: Mapping[str, Scan]) -> dict[str, Any]:
    """Return what profiles/<source>.json holds; shares are 0 to 1, lengths in tokens and code points."""
    types: Counter[str] = Counter()
    scripts: Counter[str] = Counter()
    sentence_lengths: Counter[int] = Counter()
    token_lengths: Counter[int] = Counter()
    sentences_without = documents = documents_without = 0
    for scan in scans.values():
        entities = scan.sentences["entities"]
        types.update(scan.entities)
        scripts.update(scan.letters)
        sentence_lengths.update(scan.sentences["tokens"].tolist())
        for token, count in zip(scan.tokens["token"].to_pylist(), scan.tokens["count"].to_pylist(), strict=True):
            token_lengths[len(token)] += count
        sentences_without += int((entities == 0).sum())
        documents += len(scan.documents)
        documents_without += int((np.add.reduceat(entities, scan.documents) == 0).sum()) if len(entities) else 0
    sentences, tokens, total = sentence_lengths.total(), token_lengths.total(), types.total()
    boundaries = manifest["document_boundaries"]
    return {
        "source": manifest["source"],
        "documents": documents if boundaries else None,
        "sentences": sentences,
        "tokens": tokens,
        "entities": total,
        "types": {name: {"entities": count, "share": _share(count, total)} for name, count in sorted(types.items())},
        "tokens_a_sentence": spread(sentence_lengths),
        "characters_a_token": spread(token_lengths),
        "entities_a_100_tokens": round(100 * total / tokens, 4) if tokens else 0.0,
        "sentences_without_entity": _share(sentences_without, sentences),
        "documents_without_entity": _share(documents_without, documents) if boundaries else None,
        "scripts": {name: _share(count, scripts.total()) for name, count in scripts.most_common()},
    }


def spread(counts: Mapping[int, int]) -> dict[str, float]:
    """Return mean, quantiles and maximum of numbers, given how often each occurs."""
    total, done = sum(counts.values()), 0
    statistics: dict[str, float] = {"mean": round(sum(v * n for v, n in counts.items()) / total, 4) if total else 0.0}
    wanted = list(QUANTILES.items())
    for value, count in sorted(counts.items()):
        done += count
        while wanted and done >= wanted[0][1] * total:
            statistics[wanted.pop(0)[0]] = value
    return statistics | {"greatest": max(counts, default=0)}


def _share(count: int, total: int) -> float:
    return round(count / total, 6) if total else 0.0


def profile_path(source: str, folder: Path = PROFILES) -> Path:
    """Return where the profile of a source lies: that of local/my-corpus in local-my-corpus.json."""
    name = re.sub(r"[^\w.-]+", "-", source).strip("-.")
    return folder / f"{name or 'corpus'}.json"


def read_profile(source: str, folder: Path = PROFILES) -> dict[str, Any] | None:
    """Return the profile of a source, None where it has none. Raises NerError for a broken file."""
    path = profile_path(source, folder)
    try:
        profile = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise NerError(f"{path} is no JSON ({error}): write it again with `ner profile --new`.") from None
    missing = KEYS - (profile.keys() if isinstance(profile, dict) else set())
    if missing:
        raise NerError(f"{path} has no {', '.join(sorted(missing))}: write it again with `ner profile --new`.")
    if profile["source"] != source:
        raise NerError(f"{path} is the profile of {profile['source']!r}, not of {source!r}: give one another name.")
    return profile


def prepared_profile(prepared: Path) -> dict[str, Any]:
    """Return the profile of all labelled splits of the prepared corpus. Raises NerError where that cannot be read."""
    manifest = read_manifest(prepared)
    return profile_of(manifest, read_scans(prepared, manifest))


def needed_types(
    split: str, entities: int, manifest: Mapping[str, Any], profile: Mapping[str, Any] | None
) -> list[str]:
    """Return the types that must occur in a split: all of the corpus, or those that by the profile are not too rare for
    so many entities; none in a test set.
    """
    if split not in NEED_EVERY_TYPE:
        return []
    if profile is None:
        return list(manifest["entity_types"])
    return [name for name, about in profile["types"].items() if about["share"] * int(entities) >= LIKELY]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield the differences of a new delivery from the profile, one line per fact; none where there are none."""
    counts = {
        name: {t: row["entities"] for t, row in profile["types"].items()}
        for name, profile in (("old", old), ("new", new))
    }
    if added := sorted(counts["new"].keys() - counts["old"].keys()):
        yield f"types that the profile does not have: {', '.join(added)}"
    if gone := sorted(counts["old"].keys() - counts["new"].keys()):
        yield f"types that are gone: {', '.join(gone)}"
    if drift := round(label_drift(counts["new"], counts["old"]), 4):
        yield f"distance of the entity types from the profile's: {drift:.4f} (0 is none, 1 is all)"
    for name in ("documents", "sentences", "tokens", "entities"):
        if old.get(name) != new.get(name):
            yield f"{name}: {old.get(name) or 0:,} -> {new.get(name) or 0:,}"
    for name in ("tokens_a_sentence", "characters_a_token"):
        if old[name] != new[name]:
            changes = [f"{key} {old[name].get(key):g} -> {new[name].get(key):g}" for key in old[name]]
            yield f"{name.replace('_', ' ')}: {', '.join(changes)}"
    for name in ("entities_a_100_tokens", "sentences_without_entity", "documents_without_entity"):
        if old[name] != new[name]:
            yield f"{name.replace('_', ' ')}: {old[name]} -> {new[name]}"
    if strange := {name: share for name, share in new["scripts"].items() if name not in old["scripts"]}:
        yield "scripts that the profile does not have: " + ", ".join(f"{k} {v:.2%}" for k, v in strange.items())


def main(
    replace: Annotated[bool, typer.Option("--new", help="In place of the profile that is there.")] = False,
) -> None:
    """Write the profile of data/prepared, or print how the data differs from the one that is there."""
    profile = prepared_profile(PREPARED)
    path, old = profile_path(profile["source"]), None
    if not replace:
        old = read_profile(profile["source"])
    if old is None:
        write_json(path, profile)
        counts = f"{profile['entities']:,} entities of {len(profile['types'])} types"
        print(f"{path}: {counts} in {profile['sentences']:,} sentences")
        return
    lines = list(differences(old, profile))
    print(
        "\n".join(
            [f"{path} stays; data/prepared differs from it in:", *lines] if lines else [f"{path} is of this data"]
        )
    )
