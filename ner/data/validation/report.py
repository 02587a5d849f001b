"""Reduces the results of Great Expectations to a report that is byte for byte equal for equal data."""

import re
from typing import Any

from ner.data.validation.library import ExpectationSuiteValidationResult, ExpectationValidationResult
from ner.data.validation.tables import SplitTables

MAX_VALUE = 80  # characters of an unexpected value that are shown
LIMIT = re.compile(r"validation\.\w+")

Results = dict[str, ExpectationSuiteValidationResult]  # of one split, by table


def reduce_results(
    manifest: dict[str, Any], tables: dict[str, SplitTables], results: dict[str, Results]
) -> dict[str, Any]:
    """Return the report: for each split and table every expectation, what was expected and observed, and examples."""
    splits = {}
    for split, by_table in results.items():
        own = tables[split]
        reduced = {
            table: [_expectation(table, own, row) for row in result.results] for table, result in by_table.items()
        }
        verdicts = [row["passed"] for table in reduced.values() for row in table]
        splits[split] = {
            "file": manifest["splits"][split]["file"],
            "passed": all(verdicts),
            "expectations": len(verdicts),
            "held": sum(verdicts),
            "rows": own.sizes,
            "tables": reduced,
        }
    passed = all(about["passed"] for about in splits.values())
    return {
        "source": manifest["source"],
        "fingerprint": manifest["fingerprint"],
        "passed": passed,
        "splits": splits,
    }


def failure(report: dict[str, Any]) -> str:
    """Return the first failure without its full stop: what, where, how many more, what to do. Lines precede counts."""
    broken = [
        (split, row)
        for split, about in report["splits"].items()
        for table in about["tables"].values()
        for row in table
        if not row["passed"]
    ]
    (split, first), *others = sorted(broken, key=lambda pair: not pair[1]["examples"])
    place, observed = report["splits"][split]["file"], first.get("reason", first["observed"])
    if first["examples"]:
        place, observed = first["examples"][0]["place"], repr(first["examples"][0]["value"])
    if first.get("unexpected", 0) > 1:
        observed = f"{observed}; {first['observed']}"
    sentence = f"{place}: {split} breaks {first['name']!r} (expected {first['expected']}; found {observed})"
    more = f"{len(others)} more expectation{'s are' if len(others) > 1 else ' is'} broken"
    return f"{f'{sentence}, and {more}' if others else sentence}; {remedy(first)}"


def remedy(expectation: dict[str, Any]) -> str:
    """Return what to do about an expectation that is broken, a sentence without its full stop."""
    name = expectation["name"]
    if name == "No entity type is new to the profile":
        return "correct the type, or hold later deliveries to this one with `ner profile --new`"
    if name == "Every entity type of the corpus occurs":
        return "bring documents that have it, or map it to another or to null with `types` in catalog.yaml"
    limit = LIMIT.search(expectation["expected"])
    profile = " or `ner profile --new`, which holds later deliveries to this one" if "profile" in name else ""
    return f"correct the data, or accept it: {limit[0]} in params.yaml{profile}" if limit else "correct the data"


def _expectation(table: str, own: SplitTables, result: ExpectationValidationResult) -> dict[str, Any]:
    config: Any = result.expectation_config  # every result of a suite has it
    values = result.result
    reduced = {
        "name": config.description,
        "expectation": config.type,
        "expected": config.meta["expected"],
        "passed": bool(result.success),
    }
    if "element_count" in values:
        count, rows = values["unexpected_count"], values["element_count"]
        share = count / rows if rows else 0.0
        reduced["observed"] = f"{count:,} of {rows:,} rows break it" + f" ({share:.3%})" * (count > 0)
        reduced |= {"unexpected": count, "unexpected_share": round(share, 6)}
    else:
        reduced["observed"] = _observed(values)
    if not result.success:
        reduced["examples"] = [_example(table, own, row) for row in values.get("partial_unexpected_index_list") or []]
        reduced |= _raised(result.exception_info)
    return reduced


def _observed(values: dict[str, Any]) -> str:
    if "partial_missing_list" in values:  # an expectation on the set of values; the list comes in no order
        missing = sorted(values["partial_missing_list"])
        names = f": {', '.join(missing)}" if len(missing) == values["missing_count"] else ""
        return f"{values['missing_count']} of them missing{names}" if missing else "all of them"
    value = values.get("observed_value")
    if isinstance(value, float):
        return f"{value:.6g}"
    return "nothing" if value is None else f"{value:,}"


def _example(table: str, own: SplitTables, row: dict[str, Any]) -> dict[str, str]:
    number = int(row["row"])
    index = own.scan.faults[number].token if "fault" in row else 0
    value = ", ".join(str(value) for column, value in row.items() if column not in ("row", "count"))
    shown = value if len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"
    return {"place": own.place(table, number, index), "value": shown}


def _raised(exception_info: dict[str, Any]) -> dict[str, str]:
    """Return `reason` where an expectation raised; Great Expectations keeps one entry, or one for each metric."""
    entries = [exception_info, *(value for value in exception_info.values() if isinstance(value, dict))]
    messages = [entry["exception_message"] for entry in entries if entry.get("raised_exception")]
    return {"reason": f"it could not be computed: {' '.join(messages[0].split())}"} if messages else {}
