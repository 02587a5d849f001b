"""A Python that a test starts loads the guard by itself: tests/conftest.py puts this folder on PYTHONPATH."""

import guard  # noqa: F401
