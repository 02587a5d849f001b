"""Great Expectations over every split of a prepared corpus.

validate(Path("data/prepared"), Path("data/validated.json"), Path("reports"), params.validation, Path("profiles"))

Which tables are looked at: ner/data/validation/flat_tables.py. What is expected of them:
ner/data/validation/expectations.py. Great Expectations
sees some thousand sentences at a time, and ner/data/validation/merge.py makes one result of it.
"""

import gc
import time
from collections.abc import Iterable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult

from ner.common.files import write_json
from ner.common.progress import watched
from ner.data.prepared import read_manifest
from ner.data.validation.data_docs import write_data_docs
from ner.data.validation.expectations import Facts, suites
from ner.data.validation.flat_tables import CHUNK, CHUNKED, SplitTables, Tables, split_tables
from ner.data.validation.merge import AS_A_WHOLE, merged, of_more_rows
from ner.data.validation.profile import needed_types, read_profile
from ner.data.validation.report import failure, reduce_results
from ner.errors import ValidationFailed
from ner.params import ValidationParams

EXAMPLES = 5  # unexpected rows that the report and Data Docs show of an expectation
SHOWN = {
    "result_format": "SUMMARY",
    "unexpected_index_column_names": ["place"],
    "partial_unexpected_count": EXAMPLES,
}

Results = dict[str, ExpectationSuiteValidationResult]  # of one split, by table


class Examined(NamedTuple):
    """Results of a validation. report: what validation.json holds. results: by split and table. seconds: of each
    split.
    """

    report: dict[str, Any]
    results: dict[str, Results]
    seconds: list[float]


def validate(
    prepared: Path, validated: Path, reports: Path, params: ValidationParams, profiles: Path | None = None
) -> list[list[str]]:
    """Write the report, Data Docs and `validated`; return a row per split for printing.

    profiles: where the profiles of first deliveries lie; a source that has one is held to it. Raises ValidationFailed
    where an expectation does not hold; the report is written by then, `validated` is not there.
    """
    validated.unlink(missing_ok=True)
    examined = examine(prepared, params, profiles)
    write_json(reports / "validation.json", examined.report)
    write_data_docs(reports / "data_docs", examined.report, examined.results)
    if not examined.report["passed"]:
        raise ValidationFailed(f"{failure(examined.report)}: see {reports / 'data_docs' / 'index.html'}.")
    write_json(validated, {"fingerprint": examined.report["fingerprint"], "passed": True})
    return [
        [split, f"{about['rows']['sentences']:,}", f"{about['held']} of {about['expectations']}", f"{seconds:.1f}"]
        for (split, about), seconds in zip(examined.report["splits"].items(), examined.seconds, strict=True)
    ]


def examine(prepared: Path, params: ValidationParams, profiles: Path | None = None, size: int = CHUNK) -> Examined:
    """Check every split against its expectations, pass or fail. Raises NerError for what cannot be read.

    size: sentences that are in memory at a time; the report is the same with any.
    """
    manifest = read_manifest(prepared)
    profile = read_profile(manifest["source"], profiles) if profiles else None
    tables = split_tables(prepared, manifest, profile, size)
    results, seconds = {}, []
    for split, own in tables.items():
        start = time.perf_counter()
        results[split] = run_on_split(own, suites(_facts(split, manifest, tables, profile), params))
        seconds.append(time.perf_counter() - start)
    rows = {split: own.sizes for split, own in tables.items()}
    return Examined(reduce_results(manifest, rows, results), results, seconds)


def run_on_split(own: SplitTables, expectations: dict[str, list[Any]]) -> Results:
    """Run each suite on its table; the chunked ones chunk by chunk and, where chunks do not add up, on a summary."""
    chunked = {table: expectations[table] for table in CHUNKED}
    parts = {
        table: [expected for expected in held if not isinstance(expected, AS_A_WHOLE)]
        for table, held in chunked.items()
    }
    seen: list[Results] = []
    for tables in watched(own.chunks(), f"validating {own.split}", " parts", -(-own.sizes["sentences"] // own.size)):
        seen.append(run_suites(tables, parts))
        gc.collect()  # a run leaves its frames in cycles, which would pile up until Python looks for them
    whole = _summaries(own, chunked)
    results = run_suites(own.small, {table: held for table, held in expectations.items() if table not in CHUNKED})
    for table, held in chunked.items():
        by_part = zip(*(part[table].results for part in seen), strict=True)
        merges = [merged(group, EXAMPLES) for group in by_part] + whole.get(table, [])
        seen[0][table].results = in_order(merges, held)
        results[table] = seen[0][table]
    return {table: results[table] for table in expectations}


def _summaries(own: SplitTables, chunked: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the results of the expectations on chunked tables as a whole."""
    tables, summaries = own.summaries(), {}
    for table, held in chunked.items():
        as_a_whole = [expected for expected in held if isinstance(expected, AS_A_WHOLE)]
        ids = [expected for expected in as_a_whole if "column_list" in expected.configuration.kwargs]
        others = [expected for expected in as_a_whole if expected not in ids]
        asked = ({table: others} if others else {}) | ({"ids": ids} if ids else {})
        results = run_suites(tables, asked) if asked else {}
        summaries[table] = [
            of_more_rows(row, own.sizes[table]) if name == "ids" else row
            for name, result in results.items()
            for row in result.results
        ]
    return summaries


def run_suites(tables: Tables, expectations: dict[str, list[Any]]) -> Results:
    """Run each suite on its table in an ephemeral context. One run a table: a checkpoint gives all the same frame."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]  # read as a dict
    source = context.data_sources.add_pandas("prepared")
    results = {}
    for table, expected in expectations.items():
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("whole")
        suite = context.suites.add(gx.ExpectationSuite(table, expectations=[*map(copy, expected)]))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=table, data=batch, suite=suite))
        result = definition.run(batch_parameters={"dataframe": tables[table]}, result_format=SHOWN)
        result.results = in_order(result.results, expected)
        results[table] = result
    return results


def in_order(results: Iterable[Any], expected: list[Any]) -> list[Any]:
    """Return results in the order of the expectations, matched by their descriptions."""
    order = [expectation.description for expectation in expected]
    return sorted(results, key=lambda result: order.index(result.expectation_config.description))


def _facts(
    split: str, manifest: dict[str, Any], tables: dict[str, SplitTables], profile: dict[str, Any] | None
) -> Facts:
    return Facts(
        split=split,
        other_splits=[other for other in tables if other != split],
        parquet_sha256=manifest["splits"][split]["sha256"],
        counts=(manifest.get("expected") or {}).get(split),
        labels=manifest["labels"],
        entity_types=needed_types(split, tables[split].small["split"]["entities"].iloc[0], manifest, profile),
        document_boundaries=manifest["document_boundaries"],
        profile=profile,
        was_read="annotations" in tables[split].small,
    )
