"""What Great Expectations found, reduced to a report that is the same, byte for byte, for the same data."""

import re
from collections.abc import Iterator
from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult

from ner.errors import TagError
from ner.tags import first_orphan

MAX_VALUE = 80  # characters of an unexpected value that are shown
LINE = re.compile(r"(?<=, line )\d+$")

Results = dict[str, ExpectationSuiteValidationResult]  # of one split, by table


def reduce_results(manifest: dict[str, Any], results: dict[str, Results]) -> dict[str, Any]:
    """The report: for each split and table every expectation, what was expected, what was found, and examples."""
    splits = {}
    for split, tables in results.items():
        reduced = {table: [_expectation(one) for one in result.results] for table, result in tables.items()}
        verdicts = [one["passed"] for table in reduced.values() for one in table]
        splits[split] = {
            "file": manifest["splits"][split]["file"],
            "passed": all(verdicts),
            "expectations": len(verdicts),
            "held": sum(verdicts),
            "tables": reduced,
        }
    passed = all(about["passed"] for about in splits.values())
    return {
        "source": manifest["source"],
        "fingerprint": manifest["fingerprint"],
        "passed": passed,
        "splits": splits,
    }


def broken(report: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(split, expectation) for each that does not hold."""
    for split, about in report["splits"].items():
        yield from ((split, one) for table in about["tables"].values() for one in table if not one["passed"])


def failure(report: dict[str, Any]) -> str:
    """A sentence without its full stop: the first broken expectation, where, and how much more is broken."""
    (split, first), *others = broken(report)
    examples = first.get("examples", [])
    place = examples[0]["place"] if examples else report["splits"][split]["file"]
    found = first.get("reason") or (repr(examples[0]["value"]) if examples else first["observed"])
    sentence = f"{place} ({split}): broken is {first['name']!r} (expected: {first['expected']}; found: {found})"
    more = first.get("unexpected", 0) - 1
    counted = [f"{more} more such row{'s' * (more > 1)}"] * (more > 0)
    counted += [f"{len(others)} more broken expectation{'s' * (len(others) > 1)}"] * bool(others)
    return f"{sentence}, and {' and '.join(counted)}" if counted else sentence


def _expectation(result: ExpectationValidationResult) -> dict[str, Any]:
    config, found = result.expectation_config, result.result
    reduced = {
        "name": config.description,
        "expectation": config.type,
        "expected": config.meta["expected"],
        "passed": bool(result.success),
    }
    if "unexpected_count" in found:
        count, rows = found["unexpected_count"], found["element_count"]
        reduced |= {"observed": f"{count} of {rows} rows break it", "unexpected": count, "rows": rows}
        reduced["unexpected_share"] = round(count / rows, 6) if rows else 0.0
    else:
        reduced["observed"] = _observed(found.get("observed_value"))
    if not result.success:
        reduced["examples"] = [_example(config.type, row) for row in found.get("partial_unexpected_index_list") or []]
        reduced |= _raised(result.exception_info)
    return reduced


def _observed(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _example(kind: str, row: dict[str, Any]) -> dict[str, str]:
    place, values = row["place"], [str(value) for column, value in row.items() if column != "place"]
    if kind == "expect_column_values_to_be_iob2":
        return _orphan(place, values[0])
    value = ", ".join(values)
    return {"place": place, "value": value if len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"}


def _orphan(place: str, joined: str) -> dict[str, str]:
    """The tag that breaks a sentence, at its own place: rows of `sentences` say where the sentence starts."""
    tags = joined.split(" ")
    try:
        index = first_orphan(tags)
    except TagError as error:
        return {"place": place, "value": str(error)}
    value = f"{tags[index]} after {tags[index - 1] if index else 'the start of the sentence'}"
    exact = LINE.sub(lambda line: str(int(line[0]) + index), place)
    return {"place": exact if exact != place or not index else f"{place}, token {index}", "value": value}


def _raised(exception_info: dict[str, Any]) -> dict[str, str]:
    """`reason`, where an expectation raised; Great Expectations keeps one entry, or one for each metric."""
    entries = [exception_info, *(value for value in exception_info.values() if isinstance(value, dict))]
    messages = [entry["exception_message"] for entry in entries if entry.get("raised_exception")]
    return {"reason": f"it could not be computed: {' '.join(messages[0].split())}"} if messages else {}
