"""The expectation that Great Expectations lacks: tokens that print.

A new one is a condition on a value, the metric that applies it to a column, and the expectation that names the metric.
"""

from typing import Any

import pandas as pd

from ner.common.escaping import is_visible
from ner.data.validation.library import (
    ColumnMapExpectation,
    ColumnMapMetricProvider,
    PandasExecutionEngine,
    column_condition_partial,
)


class ColumnValuesVisible(ColumnMapMetricProvider):
    condition_metric_name = "column_values.visible"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, **kwargs: Any) -> pd.Series:
        return column.map(is_visible).astype(bool)


class ExpectColumnValuesToBeVisible(ColumnMapExpectation):
    """Expect each value to have a character that is printed."""

    map_metric = "column_values.visible"
    success_keys = ("mostly",)
