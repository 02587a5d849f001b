"""Merges results of one suite on parts of a table into its result on the whole table.

Exact: counts add up, examples are the first, success follows from the sums as Great Expectations makes it. What is no
sum of parts (AS_A_WHOLE: distinct values, means, unique ids) is expected of a summary instead,
ner/data/validation/flat_tables.py.
"""

from collections.abc import Sequence
from typing import Any, cast

import great_expectations.expectations as gxe
from great_expectations.core import ExpectationValidationResult
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

AS_A_WHOLE = (
    gxe.ExpectColumnDistinctValuesToContainSet,
    gxe.ExpectColumnMeanToBeBetween,
    gxe.ExpectCompoundColumnsToBeUnique,
)
ROW_COUNTS = {
    "expect_table_row_count_to_equal": lambda rows, wanted: rows == wanted["value"],
    "expect_table_row_count_to_be_between": lambda rows, wanted: (
        (wanted.get("min_value") or 0) <= rows <= (wanted.get("max_value") or rows)
    ),
}


def merged(results: Sequence[ExpectationValidationResult], examples: int) -> ExpectationValidationResult:
    """Return one result from those of one expectation on each part, in order. examples: how many are kept at most.

    Where it could not be computed for a part, it is the result of that part.
    """
    first = results[0]
    raised = next((part for part in results if not part.result), None)
    if len(results) == 1 or raised:
        return raised or first
    kind, wanted = config_of(first).type, config_of(first).kwargs
    if kind in ROW_COUNTS:
        rows = sum(part.result["observed_value"] for part in results)
        return _like(first, bool(ROW_COUNTS[kind](rows, wanted)), {"observed_value": rows})
    sums = {
        name: sum(part.result.get(name) or 0 for part in results)
        for name in ("element_count", "unexpected_count", "missing_count")
        if name in first.result
    }
    listed = [row for part in results for row in part.result.get("partial_unexpected_index_list") or []]
    sums["partial_unexpected_index_list"] = listed[:examples]
    return _like(first, *judged(sums, wanted.get("mostly", 1.0)))


def config_of(result: ExpectationValidationResult) -> ExpectationConfiguration:
    """What was expected; every result of a suite has it."""
    return cast(ExpectationConfiguration, result.expectation_config)


def of_more_rows(result: ExpectationValidationResult, rows: int) -> ExpectationValidationResult:
    """Return a result on the only rows that may break an expectation as one on all `rows`."""
    if not result.result:
        return result
    sums = {**result.result, "element_count": rows}
    return _like(result, *judged(sums, config_of(result).kwargs.get("mostly", 1.0)))


def judged(sums: dict[str, Any], mostly: float) -> tuple[bool, dict[str, Any]]:
    """Return success and shares, from the counts of elements, missing and unexpected ones."""
    rows, wrong, missing = (sums.get(name) or 0 for name in ("element_count", "unexpected_count", "missing_count"))
    there = rows - missing
    sums |= {"unexpected_percent": wrong / there * 100 if there else None}
    if "missing_count" in sums:
        sums["missing_percent"] = missing / rows * 100 if rows else None
    return not there or (there - wrong) / there >= mostly, sums


def _like(template: ExpectationValidationResult, success: bool, result: dict[str, Any]) -> ExpectationValidationResult:
    return ExpectationValidationResult(
        success=success,
        expectation_config=template.expectation_config,
        result=result,
        exception_info=template.exception_info,
    )
