"""The profile of a corpus' first delivery, kept in git; `validate` compares later deliveries with it.

Run     ner profile [--new]     of data/prepared; --new: in place of the profile that is there
Reads   data/prepared
Writes  profiles/<source>.json, and prints how data/prepared differs from a profile that is there already

`ner new-data` writes the profile of new data by itself. What is expected by it: ner/data/validation/expectations.py.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import typer

from ner.common.files import write_json
from ner.data.fingerprint import SPLITS, label_drift
from ner.data.prepared import read_manifest, read_parts
from ner.errors import NerError
from ner.tags import split_tag

PREPARED, PROFILES = Path("data/prepared"), Path("profiles")
QUANTILES = {"half": 0.5, "most": 0.99}  # under "half" lie half of the values, under "most" 99 % of them
NEED_EVERY_TYPE = (
    "train",
    "validation",
)  # to learn a type, and to measure it at the gate; a test set may lack a rare one
LIKELY = 5  # entities of a type to be expected in a split by the profile: then one chance in 150 to have none
MEMORY = 1 << 16  # distinct tokens whose scripts are remembered
KEYS = {
    "source", "sentences", "tokens", "entities", "types", "tokens_a_sentence", "characters_a_token",
    "entities_a_100_tokens", "sentences_without_entity", "documents_without_entity", "scripts",
}  # fmt: skip


class Measure:
    """Measures a corpus sentence by sentence, in bounded memory, and gives its profile."""

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.scripts: Counter[str] = Counter()
        self.sentence_lengths: Counter[int] = Counter()
        self.token_lengths: Counter[int] = Counter()
        self.sentences_without = self.documents = self.documents_with = 0
        self._document: Any = None
        self._has_entity = False

    def add(self, document: Any, tokens: Sequence[str], tags: Sequence[str]) -> None:
        """Measure one sentence, IOB2. document: its document; sentences of one document follow each other."""
        if document != self._document or not self.documents:
            self.documents, self._document, self._has_entity = self.documents + 1, document, False
        begun = [entity_type for letter, entity_type in map(split_tag, tags) if letter == "B"]
        if begun and not self._has_entity:
            self.documents_with, self._has_entity = self.documents_with + 1, True
        self.sentences_without += not begun
        self.types.update(begun)
        self.sentence_lengths[len(tokens)] += 1
        for token in tokens:
            self.token_lengths[len(token)] += 1
            self.scripts.update(scripts_of(token))

    def profile(self, source: str, document_boundaries: bool) -> dict[str, Any]:
        """Return what profiles/<source>.json holds; shares are 0 to 1, lengths in tokens and code points."""
        sentences, tokens = self.sentence_lengths.total(), self.token_lengths.total()
        entities = self.types.total()
        without = _share(self.documents - self.documents_with, self.documents) if document_boundaries else None
        return {
            "source": source,
            "documents": self.documents if document_boundaries else None,
            "sentences": sentences,
            "tokens": tokens,
            "entities": entities,
            "types": {
                name: {"entities": count, "share": _share(count, entities)}
                for name, count in sorted(self.types.items())
            },
            "tokens_a_sentence": spread(self.sentence_lengths),
            "characters_a_token": spread(self.token_lengths),
            "entities_a_100_tokens": round(100 * entities / tokens, 4) if tokens else 0.0,
            "sentences_without_entity": _share(self.sentences_without, sentences),
            "documents_without_entity": without,
            "scripts": {name: _share(count, self.scripts.total()) for name, count in self.scripts.most_common()},
        }


@lru_cache(MEMORY)
def scripts_of(token: str) -> tuple[str, ...]:
    """Return the script of each letter of a token, as Unicode's names of characters begin: LATIN, CYRILLIC, CJK."""
    return tuple(
        unicodedata.name(letter, "UNKNOWN").split(" ")[0].split("-")[0] for letter in token if letter.isalpha()
    )


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
    manifest, measure = read_manifest(prepared), Measure()
    for name in SPLITS:
        if name in manifest["splits"]:
            for part in read_parts(prepared, name):
                for document, tokens, ids in zip(part.document_ids, part.tokens, part.tag_ids, strict=True):
                    measure.add((name, document), tokens, [manifest["labels"][tag] for tag in ids])
    return measure.profile(manifest["source"], manifest["document_boundaries"])


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
