"""Calls to MLflow that may fail: the work goes on without the server, after one warning."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from ner.errors import RegistryError


def warn(sentence: str) -> None:
    """Print a warning on stderr at once."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


def best_effort(instead: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator: where MLflow cannot be had, a warning that ends with `instead`, and None for an answer."""

    def decorate(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def attempt(*arguments: Any, **options: Any) -> Any:
            try:
                return call(*arguments, **options)
            except (RegistryError, OSError) as error:
                warn(f"{str(error).rstrip('.')}. {instead}")
                return None

        return attempt

    return decorate
