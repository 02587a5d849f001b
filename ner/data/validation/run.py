"""Great Expectations over every split of a prepared corpus.

validate(Path("data/prepared"), Path("data/validated.json"), Path("reports"), params.validation, Path("profiles"))

Which tables are looked at: ner/data/validation/tables.py; what is expected of them: expectations.py beside it. Great
Expectations sees each distinct token and tag once, and its results are made to count how often they stand there.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ner.common.files import write_json
from ner.common.progress import watched
from ner.data.prepared import read_manifest
from ner.data.validation.data_docs import write_data_docs
from ner.data.validation.expectations import Facts, suites
from ner.data.validation.library import ExpectationSuiteValidationResult, ExpectationValidationResult, gx
from ner.data.validation.losses import read_losses
from ner.data.validation.profile import needed_types, read_profile
from ner.data.validation.report import failure, reduce_results
from ner.data.validation.scan import Scan, read_scans
from ner.data.validation.tables import SplitTables, build_tables
from ner.errors import ValidationFailed
from ner.params import ValidationParams

EXAMPLES = 5  # unexpected rows that the report and Data Docs show of an expectation
COUNT = "count"  # the column of a table that says for how many a row stands

Results = dict[str, ExpectationSuiteValidationResult]  # of one split, by table


class Examined(NamedTuple):
    """Results of a validation. report: what validation.json holds. seconds: of each split."""

    report: dict[str, Any]
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
    write_data_docs(reports / "data_docs", examined.report)
    if not examined.report["passed"]:
        raise ValidationFailed(f"{failure(examined.report)}: see {reports / 'data_docs' / 'index.html'}.")
    write_json(validated, {"fingerprint": examined.report["fingerprint"], "passed": True})
    return [
        [split, f"{about['rows']['sentences']:,}", f"{about['held']} of {about['expectations']}", f"{seconds:.1f}"]
        for (split, about), seconds in zip(examined.report["splits"].items(), examined.seconds, strict=True)
    ]


def examine(
    prepared: Path, params: ValidationParams, profiles: Path | None = None, scans: dict[str, Scan] | None = None
) -> Examined:
    """Check every split against its expectations, pass or fail. Raises NerError for what cannot be read.

    scans: of the splits, where they are there already.
    """
    manifest = read_manifest(prepared)
    profile = read_profile(manifest["source"], profiles) if profiles else None
    tables = build_tables(scans or read_scans(prepared, manifest), read_losses(prepared, manifest), profile)
    results, seconds = {}, []
    for split, own in watched(tables.items(), "validating", " splits", len(tables)):
        start = time.perf_counter()
        results[split] = run_suites(own.tables, suites(_facts(split, manifest, tables, profile), params))
        seconds.append(time.perf_counter() - start)
    return Examined(reduce_results(manifest, tables, results), seconds)


def run_suites(tables: Mapping[str, pd.DataFrame], expectations: dict[str, list[Any]]) -> Results:
    """Run each suite on its table in an ephemeral context. One run a table: a checkpoint gives all the same frame."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]  # read as a dict
    source = context.data_sources.add_pandas("prepared")
    results = {}
    for name, expected in expectations.items():
        table = tables[name]
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("whole")
        suite = context.suites.add(gx.ExpectationSuite(name, expectations=expected))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
        columns = [column for column in ("row", COUNT) if column in table]
        shown = {
            "result_format": "COMPLETE" if COUNT in table else "SUMMARY",
            "unexpected_index_column_names": columns,
            "partial_unexpected_count": EXAMPLES,
        }
        result = definition.run(batch_parameters={"dataframe": table}, result_format=shown)
        order = [expectation.description for expectation in expected]
        rows: list[Any] = [_weighed(row, table) if COUNT in table else row for row in result.results]
        rows.sort(key=lambda row: order.index(row.expectation_config.description))
        result.results = rows
        results[name] = result
    return results


def _weighed(result: ExpectationValidationResult, table: pd.DataFrame) -> ExpectationValidationResult:
    """Return a result on distinct values as one on all that they stand for."""
    counts = result.result
    if "unexpected_index_list" not in counts:
        return result
    wanted: Any = result.expectation_config  # every result of a suite has it
    rows, is_missing = int(table[COUNT].sum()), table[wanted.kwargs["column"]].isna()
    missing = 0 if wanted.type == "expect_column_values_to_be_null" else int(table[COUNT][is_missing].sum())
    wrong, there = sum(int(row[COUNT]) for row in counts["unexpected_index_list"]), rows - missing
    counts |= {"element_count": rows, "missing_count": missing, "unexpected_count": wrong}
    counts |= {"missing_percent": 100 * missing / max(1, rows), "unexpected_percent": 100 * wrong / max(1, there)}
    result.success = not there or (there - wrong) / there >= wanted.kwargs.get("mostly", 1.0)
    return result


def _facts(
    split: str, manifest: dict[str, Any], tables: dict[str, SplitTables], profile: dict[str, Any] | None
) -> Facts:
    entities = sum(tables[split].scan.entities.values())
    return Facts(
        split=split,
        other_splits=[other for other in tables if other != split],
        parquet_sha256=manifest["splits"][split]["sha256"],
        counts=(manifest.get("expected") or {}).get(split),
        labels=manifest["labels"],
        entity_types=needed_types(split, entities, manifest, profile),
        document_boundaries=manifest["document_boundaries"],
        profile=profile,
        was_read="annotations" in tables[split].tables,
    )
