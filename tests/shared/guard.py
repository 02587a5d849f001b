"""No test opens a file of this checkout that a user's run or edit rewrites; frozen ones are in tests/data."""

import os
import re
import sys
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))) + os.sep
REWRITTEN = re.compile(
    r"(?:params|catalog)\.yaml|(?:bench/)?dvc\.lock|profiles/.+"
    r"|(?:reports|data|models|checkpoints|mlflow/data|bench/data|\.ner/trainings)/.+|local/(?!README\.md$).+"
)


class OfTheUser(BaseException):
    """Not an Exception: code that goes on without a file it cannot read would hide it."""


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Raises OfTheUser where a file of that kind is opened, to read or to write."""
    if event != "open" or not isinstance(arguments[0], str | bytes):
        return
    path = os.path.abspath(os.fsdecode(arguments[0]))
    if path.startswith(ROOT) and REWRITTEN.fullmatch(path, len(ROOT)):
        raise OfTheUser(f"{path} is a user's: a test takes tests/data/params.yaml and the like, or a copy in tmp_path.")


sys.addaudithook(watch)
