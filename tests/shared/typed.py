"""Calls the function of a command with options as text, as the command line does; its errors come out as they are."""

from collections.abc import Callable
from typing import Any

import typer


def call(function: Callable[..., Any], *arguments: str) -> None:
    single = typer.Typer(add_completion=False)
    single.command()(function)
    typer.main.get_command(single).main(list(arguments), standalone_mode=False)
