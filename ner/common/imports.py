"""Imports of large libraries without what they import and we do not use.

with without("torch"):
    import spacy
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(*optional: str, required: Sequence[str] = ()) -> Iterator[None]:
    """Hide modules from what is imported meanwhile, unless they are loaded: seconds.

    optional: an import of them fails, which the library provides for. required: an empty module stands for each, which
    the library names and never uses in what we call.
    """
    hidden: dict[str, ModuleType | None] = {name: None for name in optional}
    hidden |= {name: ModuleType(name) for name in required}
    hidden = {name: module for name, module in hidden.items() if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]  # None: an import of it is an ImportError
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
