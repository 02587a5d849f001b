"""Expectations that Great Expectations lacks: valid IOB2, and tokens that print.

A new one is a condition on a value, the metric that applies it to a column, and the expectation that names the metric.
"""

from collections.abc import Callable
from typing import Any

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import (
    ColumnMapMetricProvider,
    column_condition_partial,
)

from ner.common.escaping import is_visible
from ner.data.validation.sentence_keys import WORD_BREAK
from ner.errors import TagError
from ner.tags import first_orphan


def is_iob2(tags: str) -> bool:
    """Whether tags, separated by WORD_BREAK, are all IOB2 tags and every I- continues an entity of its type."""
    try:
        return first_orphan(tags.split(WORD_BREAK) if tags else []) is None
    except TagError:
        return False


def _holds(condition: Callable[[str], bool], column: pd.Series) -> pd.Series:
    return column.map({value: condition(value) for value in column.unique()}).astype(bool)


class ColumnValuesIob2(ColumnMapMetricProvider):
    condition_metric_name = "column_values.iob2"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, **kwargs: Any) -> pd.Series:
        return _holds(is_iob2, column)


class ColumnValuesVisible(ColumnMapMetricProvider):
    condition_metric_name = "column_values.visible"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, **kwargs: Any) -> pd.Series:
        return _holds(is_visible, column)


class ExpectColumnValuesToBeIob2(ColumnMapExpectation):
    """Expect each value to be a valid sequence of IOB2 tags, separated by WORD_BREAK."""

    map_metric = "column_values.iob2"
    success_keys = ("mostly",)


class ExpectColumnValuesToBeVisible(ColumnMapExpectation):
    """Expect each value to have a character that is printed."""

    map_metric = "column_values.visible"
    success_keys = ("mostly",)
