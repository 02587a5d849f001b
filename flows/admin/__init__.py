"""Operation of what Prefect and DVC keep."""
