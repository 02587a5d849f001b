"""A preview of new data, read as `ingest` reads it and checked as `validate` checks it, in a folder of its own.

seen = SeenData("my-corpus", scratch, catalog_text, read_profile("my-corpus"))
print(*seen.lines(), *seen.wrong(params), sep="\\n")
"""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ner.common.files import write_json, write_text
from ner.common.tables import plain_table
from ner.data.onboarding.limits import raised_limits
from ner.data.onboarding.measures import all_measures
from ner.data.prepared import PROBLEMS
from ner.data.sources.catalog import read_catalog
from ner.data.sources.join import load_source
from ner.data.sources.manifest import reading_lines
from ner.data.sources.prepared_writer import sizes, write_corpus
from ner.data.validation.losses import read_losses
from ner.data.validation.profile import needed_types, profile_of, profile_path
from ner.data.validation.scan import read_scans
from ner.params import Params

EXAMPLES = 3  # of each cause, of what was not kept; of each expectation, of what breaks it
MOST_TYPES = 30  # that have a row each in what is printed
ALONE = (
    "note: no document boundaries, so each sentence has a window of its own; where sentences follow each other as in "
    "the text, give --in-order"
)
IN_ORDER = "note: no document boundaries; the sentences are in order, so that neighbours may share a window"


class SeenData:
    """Manifest, profile and measures of the corpus `name` of a catalogue, which is read into the folder `scratch`.

    old_profile: of its first delivery, None where this is it. Raises what `ingest` raises.
    """

    def __init__(self, name: str, scratch: Path, catalog: str, old_profile: dict[str, Any] | None) -> None:
        self.name, self.scratch, self.prepared = name, scratch, scratch / "prepared"
        write_text(scratch / "catalog.yaml", catalog)
        names = read_catalog(scratch / "catalog.yaml")
        self.manifest = write_corpus(load_source(name, names, scratch), self.prepared)
        self.passed = False  # known when `wrong` was asked
        self.scans = read_scans(self.prepared, self.manifest)
        self.profile, self.old_profile = profile_of(self.manifest, self.scans), old_profile
        losses = read_losses(self.prepared, self.manifest)
        self.measures = all_measures(self.scans, losses, old_profile or self.profile)

    def lines(self) -> Iterator[str]:
        """Yield a preview: splits, types, what was left out and examples of it."""
        manifest = self.manifest
        yield f"language: {manifest['language']}"
        yield from ("", sizes(manifest), "", plain_table(list(self._types())), "")
        if not manifest["document_boundaries"]:
            yield IN_ORDER if manifest["in_order"] else ALONE
        yield from reading_lines(manifest)
        yield from self._examples()

    def _types(self) -> Iterator[list[str]]:
        splits, types = self.manifest["splits"], self.profile["types"]
        yield ["type", *splits, "all", "share"]
        ranked = sorted(types.items(), key=lambda item: -item[1]["entities"])
        for name, about in ranked[:MOST_TYPES]:
            counts = [f"{split['entities'].get(name, 0):,}" for split in splits.values()]
            yield [name, *counts, f"{about['entities']:,}", f"{about['share']:.1%}"]
        if rest := [about["entities"] for _, about in ranked[MOST_TYPES:]]:
            counts = [
                str(sum(split["entities"].get(n, 0) for n, _ in ranked[MOST_TYPES:])) for split in splits.values()
            ]
            yield [f"{len(rest):,} more types", *counts, f"{sum(rest):,}", ""]

    def _examples(self) -> Iterator[str]:
        if not (self.prepared / PROBLEMS).is_file():
            return
        shown: Counter[tuple[str, str]] = Counter()
        with (self.prepared / PROBLEMS).open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                cause = (row["kind"], row["reason"].partition(":")[0])
                shown[cause] += 1
                if shown[cause] <= EXAMPLES:
                    is_whole = row["kind"] == "document"
                    what = "the whole document" if is_whole else f"{row['type'] or 'no type'} {row['text']!r}"
                    yield f"  {row['file']}, {row['place']}, document {row['document']}: {what}: {row['reason']}"

    def is_sound(self, params: Params) -> bool:
        """Whether a first delivery breaks no limit and lacks no type, by the measures: what ingestion wrote has no
        other fault. Of a second delivery that is not known.
        """
        if self.old_profile is not None:
            return False
        boundaries = self.manifest["document_boundaries"]
        limits, findings = raised_limits(self.measures, self.profile, params, boundaries)
        counts = {split: own.entities() for split, own in self.measures.items()}
        needed = [
            counts[split][name]
            for split, own in counts.items()
            for name in needed_types(split, own.total(), self.manifest, self.profile)
        ]
        return not limits and not findings and all(needed) and all(own.total() for own in counts.values())

    def wrong(self, params: Params) -> Iterator[str]:
        """Yield what stage `validate` would stop at, with places; one line where there is nothing."""
        from ner.data.validation.report import remedy
        from ner.data.validation.run import examine  # Great Expectations: seconds, after what can be told without it

        folder = self.scratch / "profiles"
        write_json(profile_path(self.name, folder), self.old_profile or self.profile)
        report = examine(self.prepared, params.validation, folder, self.scans).report
        splits, self.passed = report["splits"], report["passed"]
        held, total = (sum(about[key] for about in splits.values()) for key in ("held", "expectations"))
        stops = "" if report["passed"] else ", so make train stops at stage validate:"
        yield f"validation: {held} of {total} expectations hold{stops}"
        for split, about in splits.items():
            for row in (row for table in about["tables"].values() for row in table if not row["passed"]):
                observed = row.get("reason", row["observed"])
                yield f"  {split}: {row['name']}: expected {row['expected']}; found {observed}"
                yield f"    {remedy(row)}"
                yield from (f"    {example['place']}: {example['value']!r}" for example in row["examples"][:EXAMPLES])
