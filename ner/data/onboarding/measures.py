"""Measures of new data by which parameters are proposed: what a scan of each split counted.

measures = all_measures(scans, read_losses(prepared, manifest), profile)
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ner.common.escaping import CONTROL, is_visible
from ner.data.validation.losses import Losses
from ner.data.validation.scan import Scan, beside, copies, shared
from ner.tags import split_tag

SHOWN = 5  # examples


@dataclass
class Measures:
    """What one split holds.

    longest: of `sentence_tokens` and `token_chars`, with the place. unreadable: tokens that print nothing or hold
    control characters. tags: how many tokens have each. shared: share of its distinct sentences that each other split
    has. split: what compares it with training and with a profile.
    """

    tokens: int = 0
    sentences: int = 0
    longest: dict[str, tuple[int, str]] = field(default_factory=dict)
    unreadable: int = 0
    examples: list[str] = field(default_factory=list)
    tags: Counter[str] = field(default_factory=Counter)
    shared: dict[str, float] = field(default_factory=dict)
    copied: float = 0.0
    not_kept: float = 0.0
    split: dict[str, float] = field(default_factory=dict)

    def entities(self) -> Counter[str]:
        """Return the number of entities of each type."""
        return Counter({kind: n for tag, n in self.tags.items() for letter, kind in [split_tag(tag)] if letter == "B"})


def all_measures(
    scans: Mapping[str, Scan], losses: Mapping[str, Losses], profile: Mapping[str, Any]
) -> dict[str, Measures]:
    """Return the measures of each split."""
    copied, measures = copies(scans), {}
    for split, scan in scans.items():
        sizes, lost = scan.sizes, losses.get(split, Losses(1, []))
        measures[split] = Measures(
            tokens=sizes["tokens"],
            sentences=sizes["sentences"],
            tags=Counter({name: count for name, (count, _) in scan.tags.items()}),
            shared={
                name: len(shared(scan, other)) / max(1, sizes["texts"])
                for name, other in scans.items()
                if name != split
            },
            copied=len(copied[split]) / max(1, sizes["documents"]),
            not_kept=len(lost.listed) / (lost.kept + len(lost.listed)),
            split=beside(scan, scans["train"], profile),
        )
        _add_tokens(measures[split], scan)
    return measures


def _add_tokens(measures: Measures, scan: Scan) -> None:
    if not measures.sentences or not measures.tokens:
        return
    number = int(scan.sentences["tokens"].argmax())
    measures.longest["sentence_tokens"] = (int(scan.sentences["tokens"][number]), scan.place(number))
    columns = [scan.tokens[name].to_pylist() for name in ("token", "count", "row")]
    longest, row = max(zip(columns[0], columns[2], strict=True), key=lambda pair: len(pair[0]))
    measures.longest["token_chars"] = (len(longest), scan.place_of_token(row))
    for token, count, row in zip(*columns, strict=True):
        if not is_visible(token) or re.search(CONTROL, token):
            measures.unreadable += count
            if len(measures.examples) < SHOWN:
                measures.examples.append(f"{scan.place_of_token(row)}: {token!r}")
