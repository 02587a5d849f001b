"""The card's section on the data: source, licences, checks, leakage, and amounts."""

from collections.abc import Iterable, Mapping
from typing import Any

from ner.card.facts import SPLITS, CardFacts, known, short_name
from ner.card.markdown import MISSING, bullets, code, number, percent, table, text

TYPES_IN_TABLE = 40


def data(facts: CardFacts) -> str:
    """Return the section on the data: source, licence, checks, leakage, fingerprint, and amounts."""
    return f"{bullets(data_lines(facts))}\n\n{amounts(facts)}\n\nEntities of each type:\n\n{entities_by_type(facts)}"


def data_lines(facts: CardFacts) -> Iterable[str]:
    """Yield the data's source, licence, checks and fingerprint, one line per fact."""
    manifest = facts.manifest
    origin = text(short_name(known({"origin": manifest.get("origin") or manifest["source"]}, "origin")))
    revision = f", revision {code(manifest['revision'])}" if manifest.get("revision") else ""
    yield f"**Corpus:** {text(known(manifest, 'description'))}"
    yield f"**From:** {origin}{revision}"
    if manifest.get("citation"):
        yield f"**Citation:** {text(manifest['citation'])}"
    yield f"**Licence of the data:** {text(known(manifest, 'license'))}. No text of it is part of the model's files."
    yield f"**Licence of the encoder:** {text(known(facts.training['base'], 'license'))}"
    yield f"**Language:** {text(known(manifest, 'language'))}"
    if facts.validation:
        yield f"**Checked before training:** {validated(facts.validation)}"
    if shared := leakage(facts):
        yield f"**Leakage:** {shared}"
    if facts.label_issues is not None:
        yield f"**Label issues:** {issues(facts.label_issues)}"
    yield f"**Fingerprint** of tokens and tags of all splits: {code(manifest['fingerprint'])}"


def leakage(facts: CardFacts) -> str:
    """Return the shares of the splits' sentences that are in training too; empty where that was not measured."""
    shares = {split: facts.metrics[split].get("shared_sentences") for split in SPLITS}
    known_shares = [f"{percent(share)} of {split}" for split, share in shares.items() if percent(share) != MISSING]
    if not known_shares:
        return ""
    return f"{' and '.join(known_shares)} are also in training (distinct sentences of five words or more)."


def issues(by_split: Mapping[str, int]) -> str:
    """Return how many annotated spans look wrong; nothing was corrected."""
    total = sum(by_split.values())
    if not total:
        return "a search for annotations that look wrong found no candidates."
    ordered = sorted(by_split, key=lambda split: (split not in SPLITS, split != SPLITS[0], split))
    parts = ", ".join(f"{number(by_split[split])} in {text(split)}" for split in ordered)
    return (
        f"{number(total)} spans are annotated otherwise than the model, sure of itself, reads them ({parts}): for a "
        "person to look at; nothing was changed."
    )


def validated(report: Mapping[str, Any]) -> str:
    """Return how many of the data's expectations passed."""
    splits = report.get("splits", {}).values()
    total, held = sum(s.get("expectations", 0) for s in splits), sum(s.get("held", 0) for s in splits)
    return f"{number(held)} of {number(total)} expectations held (Great Expectations)."


def amounts(facts: CardFacts) -> str:
    """Return a table of documents, sentences, words and entities of each split."""
    has_documents = facts.manifest.get("document_boundaries", True)
    rows = [
        [
            text(split),
            number(counts.get("documents")) if has_documents else MISSING,
            *(number(counts.get(name)) for name in ("sentences", "tokens")),
            number(sum(counts.get("entities", {}).values())),
        ]
        for split, counts in facts.manifest["splits"].items()
    ]
    return table(["Split", "Documents", "Sentences", "Words", "Entities"], rows)


def entities_by_type(facts: CardFacts) -> str:
    """Return how often each type occurs in each split, most frequent first."""
    splits = facts.manifest["splits"]
    totals: dict[str, int] = {}
    for counts in splits.values():
        for name, n in counts.get("entities", {}).items():
            totals[name] = totals.get(name, 0) + n
    if not totals:
        return "The corpus holds no entity of any type."
    names = sorted(totals, key=lambda name: (-totals[name], name))
    rows = [
        [code(name), *(number(counts.get("entities", {}).get(name, 0)) for counts in splits.values())]
        for name in names[:TYPES_IN_TABLE]
    ]
    shown = table(["Type", *(text(split) for split in splits)], rows)
    return shown + rest_of_types(len(names), "data/prepared/manifest.json")


def rest_of_types(types: int, file: str) -> str:
    """Return a sentence on the types that a table leaves out; nothing where it has them all."""
    left = types - TYPES_IN_TABLE
    return f"\n\nThe {number(left)} rarer types are in `{file}`." if left > 0 else ""
