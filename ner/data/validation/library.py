"""What is used of Great Expectations, imported once, without what it names and validation never needs: databases,
clouds and charts.

from ner.data.validation.library import gx, gxe
"""

from ner.common.imports import without

with without(
    *("azure", "boto3", "botocore", "google", "pyspark", "rfc3987_syntax", "sqlalchemy"),
    required=("altair", "scipy.stats"),
):
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import ColumnMapExpectation
    from great_expectations.expectations.metrics.map_metric_provider import (
        ColumnMapMetricProvider,
        column_condition_partial,
    )

__all__ = [
    "ColumnMapExpectation",
    "ColumnMapMetricProvider",
    "ExpectationSuiteValidationResult",
    "ExpectationValidationResult",
    "PandasExecutionEngine",
    "column_condition_partial",
    "gx",
    "gxe",
]
