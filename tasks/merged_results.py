"""Results of one suite on parts of a table, merged into what it would have found on the whole.

Exact: counts add up, examples are the first, success follows from the sums as Great Expectations makes it. What is no
sum of parts (AS_A_WHOLE: distinct values, means, unique ids) is expected of a summary instead, tasks/flat_tables.py.
"""

from collections.abc import Sequence
from typing import Any

import great_expectations.expectations as gxe
from great_expectations.core import ExpectationValidationResult

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
    """One result for those of one expectation on each part, in order. examples: how many are kept at most.

    Where it could not be computed for a part, it is the result of that part.
    """
    first = results[0]
    raised = next((one for one in results if not one.result), None)
    if len(results) == 1 or raised:
        return raised or first
    kind, wanted = first.expectation_config.type, first.expectation_config.kwargs
    if kind in ROW_COUNTS:
        rows = sum(one.result["observed_value"] for one in results)
        return _like(first, bool(ROW_COUNTS[kind](rows, wanted)), {"observed_value": rows})
    found = {
        name: sum(one.result.get(name) or 0 for one in results)
        for name in ("element_count", "unexpected_count", "missing_count")
        if name in first.result
    }
    listed = [row for one in results for row in one.result.get("partial_unexpected_index_list") or []]
    found["partial_unexpected_index_list"] = listed[:examples]
    return _like(first, *judged(found, wanted.get("mostly", 1.0)))


def of_more_rows(result: ExpectationValidationResult, rows: int) -> ExpectationValidationResult:
    """The result on the only rows that may break an expectation, as of all `rows`."""
    if not result.result:
        return result
    found = {**result.result, "element_count": rows}
    return _like(result, *judged(found, result.expectation_config.kwargs.get("mostly", 1.0)))


def judged(found: dict[str, Any], mostly: float) -> tuple[bool, dict[str, Any]]:
    """Success and shares, from the counts of elements, of missing and of unexpected ones."""
    rows, wrong, missing = (found.get(name) or 0 for name in ("element_count", "unexpected_count", "missing_count"))
    there = rows - missing
    found |= {"unexpected_percent": wrong / there * 100 if there else None}
    if "missing_count" in found:
        found["missing_percent"] = missing / rows * 100 if rows else None
    return not there or (there - wrong) / there >= mostly, found


def _like(one: ExpectationValidationResult, success: bool, result: dict[str, Any]) -> ExpectationValidationResult:
    return ExpectationValidationResult(
        success=success,
        expectation_config=one.expectation_config,
        result=result,
        exception_info=one.exception_info,
    )
