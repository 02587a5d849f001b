"""Stage `validate`: Great Expectations over every split, before anything is trained.

Run     python -m tasks.validate
Reads   data/prepared, params.yaml [validation]
Writes  reports/validation.json and reports/data_docs/, always; data/validated.json where everything holds, otherwise it
        ends with status 3 and one sentence: what is broken first, in which file and line

Which tables are looked at: tasks/flat_tables.py. What is expected of them: tasks/expectations.py.
"""

import time
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.core import ExpectationSuiteValidationResult

from ner.errors import ValidationFailed
from ner.params import ValidationParams
from tasks.cli import run_stage
from tasks.data_docs import write_data_docs
from tasks.expectations import Facts, suites
from tasks.flat_tables import Tables, build_tables, read_prepared
from tasks.io import read_params, write_json
from tasks.prepared import read_manifest
from tasks.tables import plain_table
from tasks.validation_report import failure, reduce_results

PREPARED, VALIDATED, REPORTS = Path("data/prepared"), Path("data/validated.json"), Path("reports")
EXAMPLES = 5  # unexpected rows that the report and Data Docs show of an expectation
NEED_EVERY_TYPE = (
    "train",
    "validation",
)  # to learn a type, and to measure it at the gate; a test set may lack a rare one

Results = dict[str, ExpectationSuiteValidationResult]  # of one split, by table


def validate(prepared: Path, validated: Path, reports: Path, params: ValidationParams) -> list[list[str]]:
    """Write the report, Data Docs and `validated`; return a row a split for printing.

    Raises ValidationFailed where an expectation does not hold; the report is written by then, `validated` is not there.
    """
    validated.unlink(missing_ok=True)
    manifest = read_manifest(prepared)
    tables = build_tables(read_prepared(prepared, manifest), manifest["labels"])
    results, seconds = {}, {}
    for split in tables:
        start = time.perf_counter()
        results[split] = run_suites(tables[split], suites(_facts(split, manifest, tables), params))
        seconds[split] = time.perf_counter() - start
    rows = {split: {name: len(table) for name, table in own.items()} for split, own in tables.items()}
    report = reduce_results(manifest, rows, results)
    write_json(reports / "validation.json", report)
    write_data_docs(reports / "data_docs", report, results)
    if not report["passed"]:
        raise ValidationFailed(f"{failure(report)}: see {reports / 'data_docs' / 'index.html'}.")
    write_json(validated, {"fingerprint": manifest["fingerprint"], "passed": True})
    return [
        [split, f"{rows[split]['sentences']:,}", f"{about['held']} of {about['expectations']}", f"{seconds[split]:.1f}"]
        for split, about in report["splits"].items()
    ]


def run_suites(tables: Tables, expectations: dict[str, list[Any]]) -> Results:
    """Run each suite on its table in an ephemeral context. One run a table: a checkpoint gives all the same frame."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("prepared")
    shown = {
        "result_format": "SUMMARY",
        "unexpected_index_column_names": ["place"],
        "partial_unexpected_count": EXAMPLES,
    }
    results = {}
    for table, expected in expectations.items():
        batch = source.add_dataframe_asset(table).add_batch_definition_whole_dataframe("whole")
        suite = context.suites.add(gx.ExpectationSuite(table, expectations=expected))
        definition = context.validation_definitions.add(gx.ValidationDefinition(name=table, data=batch, suite=suite))
        result = definition.run(batch_parameters={"dataframe": tables[table]}, result_format=shown)
        order = [expectation.description for expectation in expected]
        result.results.sort(key=lambda one, order=order: order.index(one.expectation_config.description))
        results[table] = result
    return results


def _facts(split: str, manifest: dict[str, Any], tables: dict[str, Tables]) -> Facts:
    return Facts(
        split=split,
        other_splits=[other for other in tables if other != split],
        parquet_sha256=manifest["splits"][split]["sha256"],
        counts=(manifest.get("expected") or {}).get(split),
        labels=manifest["labels"],
        entity_types=manifest["entity_types"] if split in NEED_EVERY_TYPE else [],
        document_boundaries=manifest["document_boundaries"],
    )


def main() -> None:
    rows = validate(PREPARED, VALIDATED, REPORTS, read_params().validation)
    print(plain_table([["split", "sentences", "expectations held", "seconds"], *rows]), flush=True)


if __name__ == "__main__":
    run_stage("validate", main)
